"""``Mcp-Param-*``: arguments that a tool's schema has repeated in the header (``x-mcp-header``, 2026-07-28, SEP-2243).

What stands before the bridge may route by them, so a server must refuse a call whose header and body disagree.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct
from multidict import CIMultiDictProxy

from gateway.bridge import message as rpc
from gateway.bridge.envelope import decoded
from gateway.bridge.message import Message, RpcError

_PREFIX = "mcp-param-"
_WHOLE = re.compile(r"(-?[0-9]+)(?:\.0+)?")
_DIGITS = 400
"""Digits that a number may have to be compared: more than a double has, and less than Python refuses to read."""
_NOTHING = object()
"""The place of a value that no header can carry."""


class _Tool(Struct):
    name: str
    input_schema: Any = msgspec.field(name="inputSchema", default=None)


class Mirror(Struct, frozen=True):
    """One argument, by its path, and the header that repeats it."""

    path: tuple[str, ...]
    header: str
    is_integer: bool


_SCALAR: msgspec.json.Decoder[Any] = msgspec.json.Decoder(bool | int | float | str | None)
_TOOLS = msgspec.json.Decoder(list[_Tool])


class Mirrors:
    """What the tools of one server want repeated, learned from its lists as they pass by."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Mirror, ...]] = {}

    def learn(self, members: Mapping[str, Raw]) -> None:
        """Take note of an answer to ``tools/list``; one that is not as it should be teaches nothing."""
        raw = rpc.dig(members, "result", "tools")
        with contextlib.suppress(msgspec.MsgspecError, RecursionError):
            tools = [] if raw is None else _TOOLS.decode(raw)
            self._known |= {tool.name: tuple(_mirrors(tool.input_schema, ())) for tool in tools}

    def knows(self, message: Message, headers: CIMultiDictProxy[str]) -> bool:
        """Whether ``check`` can tell: also where there is nothing that could disagree."""
        name = _called(message)
        if name is None or name in self._known:
            return True
        arguments = rpc.dig(message.members, "params", "arguments")
        is_bare = arguments is None or bytes(arguments) in {b"{}", b"null"}
        return is_bare and not any(header.lower().startswith(_PREFIX) for header in headers)

    def check(self, message: Message, headers: CIMultiDictProxy[str]) -> None:
        """Compare a call's header with its arguments.

        Raises:
            RpcError: -32020, they disagree.
        """
        for mirror in self._known.get(_called(message) or "", ()):
            value = _value(rpc.dig(message.members, "params", "arguments", *mirror.path))
            given = headers.getall(mirror.header, [])
            if value is None or value is _NOTHING:
                agree = not given
            else:
                agree = len(given) == 1 and _same(mirror, value, decoded(given[0]))
            if not agree:
                argument = ".".join(mirror.path)
                text = f"the header {mirror.header} must say what the argument {argument} says, or be absent with it"
                raise RpcError(rpc.HEADER_MISMATCH, text)


def _called(message: Message) -> str | None:
    name = rpc.scalar(rpc.dig(message.members, "params", "name")) if message.method == "tools/call" else None
    return name if isinstance(name, str) else None


def _mirrors(schema: Any, path: tuple[str, ...]) -> Iterator[Mirror]:
    """Annotations on properties of properties; elsewhere in a schema they have no meaning."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    for name, inner in properties.items() if isinstance(properties, dict) else ():
        if not isinstance(inner, dict):
            continue
        token, kind = inner.get("x-mcp-header"), inner.get("type")
        if isinstance(token, str) and kind in ("string", "integer", "boolean"):
            yield Mirror((*path, name), f"Mcp-Param-{token}", kind == "integer")
        yield from _mirrors(inner, (*path, name))


def _value(raw: Raw | None) -> Any:
    try:
        return None if raw is None else _SCALAR.decode(raw)
    except msgspec.MsgspecError:
        return _NOTHING


def _same(mirror: Mirror, value: Any, said: str | None) -> bool:
    if said is None:
        return False
    if isinstance(value, bool):
        return said == ("true" if value else "false")
    if mirror.is_integer and isinstance(value, int | float) and (whole := _WHOLE.fullmatch(said)):
        return len(whole[1]) <= _DIGITS and int(whole[1]) == value
    return said == str(value)
