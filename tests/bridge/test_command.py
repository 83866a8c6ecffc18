"""``toolgate mcp stdio``: mistakes are named before anything starts."""

from __future__ import annotations

import socket

import pytest
from click.testing import CliRunner

from gateway.bridge import hosts
from gateway.cli.root import toolgate


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--listen", "8080", "--", "cat"], "8080 is not HOST:PORT"),
        (["--listen", "localhost:99999", "--", "cat"], "is not HOST:PORT"),
        (["--path", "mcp", "--", "cat"], "must start with /"),
        (["--env", "NAME", "--", "cat"], "NAME is not NAME=VALUE"),
        (["--", "no-such-program"], "no-such-program: no such command"),
        (["--listen", "0.0.0.0:0", "--", "cat"], "--allow-host"),
        ([], "Missing argument"),
    ],
)
def test_a_mistake_is_named(arguments: list[str], text: str) -> None:
    done = CliRunner().invoke(toolgate, ["mcp", "stdio", *arguments])
    assert done.exit_code in {1, 2}
    assert text in done.output


def test_an_address_in_use_is_a_mistake_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = CliRunner().invoke(toolgate, ["mcp", "stdio", "--listen", address, "cat"])
    assert done.exit_code == 1
    assert f"cannot listen on {address}: " in done.output


@pytest.mark.parametrize(
    ("host", "ours"),
    [("localhost", True), ("127.8.8.8", True), ("::1", True), ("127.0.0.1.evil.example", False), ("10.0.0.1", False)],
)
def test_this_machine_is_told_from_others(host: str, ours: bool) -> None:
    assert hosts.is_loopback(host) is ours
