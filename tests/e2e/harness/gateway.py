"""The real process: ``python -m gateway run -c FILE`` on free loopback ports."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from .http1 import Message, read_response, request
from .net import PATIENCE, Peer, connect, eventually, free_port

ALL = """
apiVersion: toolgate/v1
kind: Grant
metadata: {name: everyone}
spec: {agents: ["*"], tools: ["*"]}
"""
"""A policy that lets everybody do everything."""


def no_wiping(tool: str) -> str:
    """Policies that let everybody do everything but ``/wipe...`` of this tool."""
    return f"""{ALL}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {{name: safety}}
spec:
  match: {{tools: [{tool}]}}
  rules:
    - {{name: no-wiping, when: 'request.path.startsWith("/wipe")', then: deny, message: nothing is wiped here}}
"""


class Gateway:
    """One gateway process with its folder: ``toolgate.yaml``, ``policies/``, ``trace.jsonl``, its output."""

    def __init__(self, folder: Path, tools: dict[str, Any], policies: str = ALL, **config: Any) -> None:
        self.folder = folder
        self.port, self.admin = free_port(), free_port()
        self.file = folder / "toolgate.yaml"
        self.trace_file = folder / "trace.jsonl"
        self.policy_file = folder / "policies" / "all.yaml"
        self.policy_file.parent.mkdir(parents=True)
        self.policy_file.write_text(policies)
        self.config = {
            "listen": f"127.0.0.1:{self.port}",
            "admin": f"127.0.0.1:{self.admin}",
            "state": "memory:",
            "policies": "./policies",
            "identify": [{"anonymous": "tester"}],
            "trace": {"file": str(self.trace_file)},
            "tools": tools,
            **config,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Gateway:
        self.file.write_text(yaml.safe_dump(self.config, sort_keys=False))
        output = (self.folder / "output.log").open("ab")
        with output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "run", "-c", str(self.file)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                cwd=Path(__file__).parents[3], env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
        eventually(self._ready, 30, "the gateway is ready")
        return self

    def _ready(self) -> bool:
        if self.running.poll() is not None:
            raise AssertionError(f"the gateway ended with {self.running.returncode}:\n{self.output}")
        try:
            return self.ask("/readyz")[0] == 200
        except OSError:
            return False

    @property
    def running(self) -> subprocess.Popen[bytes]:
        assert self.process is not None
        return self.process

    @property
    def output(self) -> str:
        """What the process wrote to stdout and stderr."""
        return (self.folder / "output.log").read_text(errors="replace")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self, **options: Any) -> Peer:
        return connect(self.port, **options)

    def ask(self, path: str, fields: dict[str, str] | None = None) -> tuple[int, bytes]:
        """GET on the admin address."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=PATIENCE)
        try:
            connection.request("GET", path, headers=fields or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def ready(self) -> Any:
        """What /readyz says, as JSON."""
        return json.loads(self.ask("/readyz")[1])

    def metric(self, sample: str) -> float:
        """The value of one sample, written as Prometheus writes it; 0 where it is not there."""
        for line in self.ask("/metrics")[1].decode().splitlines():
            if line.startswith(sample + " "):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    def traces(self) -> list[dict[str, Any]]:
        """Every complete line of the trace."""
        if not self.trace_file.exists():
            return []
        return [json.loads(line) for line in self.trace_file.read_bytes().split(b"\n")[:-1]]

    def trace(self, call: bytes | str | None) -> dict[str, Any]:
        """The record of one call, waited for."""
        assert call, "the answer names no call"
        name = call.encode() if isinstance(call, str) else call

        def line() -> bytes:
            """The whole line that names the call, found without reading the others."""
            data = self.trace_file.read_bytes() if self.trace_file.exists() else b""
            at = data.find(b'"call":"%s"' % name)
            end = data.find(b"\n", at)
            return data[data.rfind(b"\n", 0, at) + 1 : end] if 0 <= at < end else b""

        record: dict[str, Any] = json.loads(eventually(line, what=f"trace of {name!r}"))
        return record

    def rss(self) -> int:
        """Resident bytes."""
        pages = int(Path(f"/proc/{self.running.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def sockets(self) -> int:
        """Open sockets of the process."""
        count = 0
        for entry in os.scandir(f"/proc/{self.running.pid}/fd"):
            try:
                count += os.readlink(entry.path).startswith("socket:")
            except FileNotFoundError:
                continue
        return count

    def signal(self, number: signal.Signals) -> None:
        self.running.send_signal(number)

    def wait(self, seconds: float = PATIENCE) -> int:
        return self.running.wait(seconds)

    def stop(self) -> None:
        """End the process however it may be; its exit code is not looked at."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def call(
    gateway: Gateway,
    method: str,
    target: str,
    fields: list[tuple[str, str]] | None = None,
    body: bytes = b"",
    host: str = "gateway.test",
) -> Message:
    """One call on a connection of its own."""
    with gateway.connect() as peer:
        peer.send(request(method, target, [*(fields or []), ("Connection", "close")], body, host))
        return read_response(peer, method)


def problem_of(answer: Message, reason: str, status: int) -> dict[str, Any]:
    """The problem in a refusal, after checking what every refusal promises (RFC 9457 and Toolgate's own members)."""
    assert answer.status == status, (answer.line, answer.body)
    assert answer.all("content-type") == [b"application/problem+json"]
    problem: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail", "reason", "call_id", "retryable", "advice"} <= problem.keys()
    assert {"rule", "retry_after"} <= problem.keys()
    assert (problem["reason"], problem["status"]) == (reason, status)
    assert problem["title"]
    assert problem["detail"]
    assert isinstance(problem["retryable"], bool)
    assert answer.all("x-toolgate-call") == [problem["call_id"].encode()]
    if status != 429:
        assert answer.all("x-should-retry") == [b"false"]
    return problem
