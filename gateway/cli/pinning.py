"""The configured MCP servers, their pins, and their answers: what the commands of ``toolgate tools`` work with."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import Struct

from gateway.cli.mcp_client import Server, list_tools
from gateway.cli.mcp_exchange import McpError
from gateway.cli.pin_diff import Difference, differences, offered
from gateway.config.authorities import believing
from gateway.config.load import Loaded
from gateway.model import Tool
from gateway.policy.pins import Pins, digest_of
from gateway.policy.pins_text import text_of


class Asked(Struct, frozen=True):
    """One server and what came of asking it; ``error`` says why it could not be.

    ``file`` is where its pins are, if anywhere; ``url`` is as configured; ``offered`` are its tools by name,
    ``version`` the revision of MCP in which it was asked.
    """

    name: str
    pins: Pins
    file: Path | None
    url: str
    error: str = ""
    version: str = ""
    offered: Mapping[str, dict[str, Any]] = {}
    digests: Mapping[str, str] = {}
    differences: Sequence[Difference] = ()


def servers(loaded: Loaded, names: Sequence[str], *, with_pins: bool = False) -> list[Tool]:
    """The named MCP servers, or all of them (that have a file of pins).

    Raises:
        click.ClickException: there is no such MCP server in the configuration.
    """
    known = {tool.name: tool for tool in loaded.tools if tool.protocol == "mcp" and not tool.builtin}
    for name in names:
        if name not in known:
            there = f"MCP servers are {', '.join(known)}" if known else "no tool has protocol: mcp"
            raise click.ClickException(f"no MCP server named {name!r} is configured; {there}")
    chosen = [known[name] for name in names] if names else list(known.values())
    if with_pins and not names:
        chosen = [tool for tool in chosen if loaded.config.tools[tool.name].pins.file is not None]
    if not chosen:
        raise click.ClickException("no MCP server is configured" + (" with pins: {file: ...}" if with_pins else ""))
    return chosen


def ask(loaded: Loaded, base: Path, tools: Sequence[Tool], fields: Sequence[tuple[str, str]]) -> list[Asked]:
    """Ask the servers for their tools, one after the other. ``base`` is the configuration's folder; ``fields`` are
    header fields beside, or instead of, the configured credential."""
    return [_ask(loaded, base, tool, fields) for tool in tools]


def _ask(loaded: Loaded, base: Path, tool: Tool, fields: Sequence[tuple[str, str]]) -> Asked:
    file = loaded.config.tools[tool.name].pins.file
    asked = Asked(
        tool.name,
        loaded.pinnings[tool.name].pins or Pins(exists=False),
        None if file is None else base / file,
        loaded.config.tools[tool.name].url.rstrip("/"),
    )
    try:
        listing = asyncio.run(list_tools(server_of(loaded, tool, fields)))
        definitions = offered(listing.tools)
        digests = {name: digest_of(definition) for name, definition in definitions.items()}
    except (McpError, ValueError) as error:
        return msgspec.structs.replace(asked, error=str(error))
    return msgspec.structs.replace(
        asked,
        version=listing.version,
        offered=definitions,
        digests=digests,
        differences=differences(asked.pins, definitions, digests),
    )


def server_of(loaded: Loaded, tool: Tool, fields: Sequence[tuple[str, str]]) -> Server:
    """Where a configured server is, and how it is asked: as the gateway does, with the same credential."""
    endpoints = loaded.config.tools[tool.name].mcp.endpoints
    path = endpoints[0] if endpoints else ("/" if tool.base_path else "/mcp")
    whole = (tool.base_path + path).rstrip("/") if tool.base_path else path
    given = {name.lower() for name, _ in fields}
    configured = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in tool.inject]
    return Server(
        f"{tool.origin.scheme}://{tool.origin.authority}{whole}",
        (*[field for field in configured if field[0].lower() not in given], *fields),
        believing(pem=tool.ca_pem) if tool.origin.scheme == "https" else None,
        tool.server_name,
    )


def write(pins: Pins, file: Path) -> None:
    """Write a file of pins so that a reader finds the old or the new one, never half of it.

    Raises:
        OSError: it cannot be written.
    """
    target = Path(os.path.realpath(file))
    target.parent.mkdir(parents=True, exist_ok=True)
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o644
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text_of(pins))
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
