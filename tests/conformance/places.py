"""Where the suite's clients are sent: the server itself, the gateway before it, or a proxy that is bad on purpose."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.e2e.harness.gateway import Gateway
from tests.e2e.harness.net import eventually, free_port

from .toolbox import ROOT

PROTOCOL = "mcp"
"""How the gateway understands the servers that it stands before."""
TOOL = "everything"
"""The tool's name, and so the first segment of its path at the gateway."""


def tool(url: str) -> dict[str, Any]:
    """The tool's configuration, for a server whose origin is ``url``."""
    return {"url": url, "protocol": PROTOCOL}


@contextlib.contextmanager
def process(module: str, *arguments: str) -> Iterator[str]:
    """A server of ours in a process of its own; its origin."""
    port = free_port()
    with tempfile.TemporaryFile() as output:
        running = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", module, "--port", str(port), *arguments],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
        try:
            eventually(lambda: _answers(running, port), 30, f"{module} listens")
            yield f"http://localhost:{port}"
        finally:
            running.kill()
            running.wait()


@contextlib.contextmanager
def everything() -> Iterator[str]:
    """The server with all that the suite calls; its URL."""
    with process("tests.conformance.everything") as origin:
        yield f"{origin}/mcp"


@contextlib.contextmanager
def gateway_before(url: str) -> Iterator[Gateway]:
    """A gateway before the server at ``url``, in which everybody may do everything."""
    parts = urlsplit(url)
    with tempfile.TemporaryDirectory() as folder:
        gateway = Gateway(Path(folder), {TOOL: tool(f"{parts.scheme}://{parts.netloc}")}).start()
        try:
            yield gateway
        finally:
            gateway.stop()


@contextlib.contextmanager
def through(url: str) -> Iterator[str]:
    """A gateway before the server at ``url``; the URL at which the server is reached through it."""
    with gateway_before(url) as gateway:
        yield f"http://localhost:{gateway.port}/{TOOL}{urlsplit(url).path}"


@contextlib.contextmanager
def spoiled(url: str, how: str) -> Iterator[str]:
    """A proxy of ``bad_proxy`` before the server at ``url``."""
    parts = urlsplit(url)
    with process("tests.conformance.bad_proxy", f"{parts.scheme}://{parts.netloc}", how) as origin:
        yield f"{origin}{parts.path}"


def _answers(running: subprocess.Popen[bytes], port: int) -> bool:
    if running.poll() is not None:
        raise AssertionError(f"it ended with {running.returncode}")
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
