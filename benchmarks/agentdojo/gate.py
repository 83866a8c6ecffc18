"""A real gateway process in front of the suites' tools, and calls through it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

KEY = "the platform's key, which no agent has ever seen"
AGENT = "assistant"
HERE = Path(__file__).parent


def free_port() -> int:
    """A port of the loopback."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Gate:
    """The process. ``toolgate`` is the command; ``folder`` is where its files are written."""

    def __init__(
        self, toolgate: str, folder: Path, tools_port: int, policies: dict[str, str], labels: dict[str, Any]
    ) -> None:
        """``policies`` are texts by file name; ``labels`` the tools' ``flow:`` by suite."""
        self.port, self.admin = free_port(), free_port()
        config = {
            "listen": f"127.0.0.1:{self.port}",
            "admin": f"127.0.0.1:{self.admin}",
            "policies": str(folder / "policies"),
            "trace": {"file": str(folder / "trace.jsonl"), "args": True},
            "flow": {"prompt_key": KEY},
            "tools": {
                suite: {"url": f"http://127.0.0.1:{tools_port}/{suite}", "flow": entries}
                for suite, entries in labels.items()
            },
        }
        (folder / "policies").mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").write_text(json.dumps(config, indent=1))
        for name, text in policies.items():
            (folder / "policies" / name).write_text(text)
        log = (folder / "gateway.log").open("w")
        command = [toolgate, "run", "--config", str(folder / "config.yaml")]
        self._process = subprocess.Popen(command, stderr=log, stdout=log, env={**os.environ, "PYTHONPATH": ""})
        self._await_ready(folder)
        self._local = threading.local()

    def _await_ready(self, folder: Path) -> None:
        for _ in range(100):
            if self._process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/readyz", timeout=1):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        sys.exit((folder / "gateway.log").read_text())

    @property
    def cpu(self) -> float:
        """Seconds of CPU that the process has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(20)

    def poster(self, suite: str) -> Callable[[str, str, dict[str, Any], str], tuple[int, str]]:
        """Makes calls to the tools of one suite."""

        def post(run: str, tool: str, args: dict[str, Any], prompt: str) -> tuple[int, str]:
            told = base64.urlsafe_b64encode(prompt.encode()).rstrip(b"=").decode()
            about = b"\0".join([AGENT.encode(), run.encode(), told.encode()])
            fields = {
                "Content-Type": "application/json",
                "X-Agent-Id": AGENT,
                "X-Run-Id": run,
                "X-Toolgate-Prompt": told,
                "X-Toolgate-Prompt-Signature": hmac.new(KEY.encode(), about, hashlib.sha256).hexdigest(),
            }
            connection = self._connection()
            connection.request("POST", f"/{suite}/{tool}", json.dumps(args), fields)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

        return post

    def _connection(self) -> HTTPConnection:
        if not hasattr(self._local, "connection"):
            self._local.connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        return self._local.connection  # type: ignore[no-any-return]

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """One call of the admin API."""
        data = None if body is None else json.dumps(body).encode()
        fields = {"X-Toolgate-Admin": "1", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin}/api{path}", data, fields, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
