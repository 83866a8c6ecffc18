"""Bridges as processes, and a client that says exactly what it is told to."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

HERE = Path(__file__).parent
SDK_SERVER, PLAIN_SERVER = HERE / "sdk_server.py", HERE / "plain_server.py"
ACCEPT = "application/json, text/event-stream"


@contextlib.contextmanager
def bridge(*options: str, server: Path = PLAIN_SERVER) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A running ``toolgate mcp stdio`` before a server: its URL and its process."""
    python = [sys.executable, "-I", "-S"] if server == PLAIN_SERVER else [sys.executable]
    command = [sys.executable, "-m", "gateway", "mcp", "stdio", *options, "--", *python, str(server)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip(), process
    finally:
        process.terminate()
        try:
            process.wait(15)
        finally:
            process.kill()
            process.stdout.close()


class Peer:
    """One client with a session of its own."""

    def __init__(self, url: str, version: str = "2025-11-25") -> None:
        self.url = url
        self.http = httpx.Client(headers={"Accept": ACCEPT}, timeout=10, trust_env=False, verify=False)
        params = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        self.hello = self.post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
        if ident := self.hello.headers.get("Mcp-Session-Id"):
            self.http.headers["Mcp-Session-Id"] = ident

    def post(self, message: Any, **headers: str) -> httpx.Response:
        return self.http.post(
            self.url, content=as_bytes(message), headers={"Content-Type": "application/json", **headers}
        )

    def ask(self, method: str, ident: int | str = 1) -> httpx.Response:
        return self.post({"jsonrpc": "2.0", "id": ident, "method": method})

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()


def as_bytes(message: Any) -> bytes:
    return message if isinstance(message, bytes) else json.dumps(message).encode()


def messages(response: httpx.Response) -> list[Any]:
    """The messages of a JSON or an SSE answer, in order."""
    if response.headers["Content-Type"].startswith("application/json"):
        return [response.json()]
    lines = response.text.splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def is_running(pid: int) -> bool:
    """Whether a process is there and not merely unburied."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(true: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)
