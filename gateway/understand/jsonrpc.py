"""JSON-RPC 2.0 messages as MCP sends them, read so that no server can read them differently.

Beyond what ``strict_json`` refuses: a member whose name differs from one of the protocol's only in case (``Method``),
since decoders that ignore case (Go's) would take it for that one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from msgspec import Struct

Id = str | int | None

MOST_MESSAGES = 64
"""Messages in one batch."""
LONGEST_ID = 256
"""Characters of an id that is a string."""

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
INVALID_PARAMS = -32602

MEMBERS = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_READ = frozenset({"name", "arguments", "uri", "_meta", "ref", "cursor", "taskId"})
"""Members of params that are read here or by rules."""
_METHOD = re.compile(r"[A-Za-z0-9_.$/-]{1,128}")
_NONE: Mapping[str, Any] = {}


class Malformed(ValueError):  # noqa: N818 - a finding
    """JSON that is no JSON-RPC message. The text names the place."""


class Message(Struct, frozen=True):
    """One message. ``method`` is empty for a response; a notification has no ``id``."""

    method: str
    id: Id
    params: Mapping[str, Any]
    result: Any = None
    """Of a response that is no error."""

    @property
    def is_request(self) -> bool:
        """Whether an answer is owed."""
        return self.method != "" and self.id is not None


def resembles(value: Any) -> bool:
    """Whether any server could take this JSON for a JSON-RPC message, or a batch of them."""
    if isinstance(value, list):
        return True
    if not isinstance(value, dict):
        return False
    return "jsonrpc" in value or any(key.casefold() in ("jsonrpc", "method") for key in value)


def messages(value: Any) -> tuple[Message, ...]:
    """The messages of a body, which is one object or an array of them (a batch).

    Raises:
        Malformed: it is neither, or one of them is no message, or two requests have the same id.
    """
    if not isinstance(value, list):
        return (message(value),)
    if not value or len(value) > MOST_MESSAGES:
        raise Malformed(f"a batch has 1 to {MOST_MESSAGES} messages, not {len(value)}")
    batch = tuple([message(item, f"$[{at}]") for at, item in enumerate(value)])
    ids = [(type(item.id), item.id) for item in batch if item.is_request]
    if len(set(ids)) < len(ids):
        raise Malformed("two requests of the batch have the same id")
    return batch


def message(value: Any, place: str = "$") -> Message:
    """One message, from what ``strict_json.parse`` gave.

    Raises:
        Malformed: what is wrong and where.
    """
    if type(value) is not dict:
        raise Malformed(f"{place} is not an object")
    if not value.keys() <= MEMBERS:
        _check(value, MEMBERS, place)
    if value.get("jsonrpc") != "2.0":
        raise Malformed(f'{place}.jsonrpc is not "2.0"')
    if "method" not in value:
        return _response(value, place)
    method = value["method"]
    if type(method) is not str or not _METHOD.fullmatch(method):
        raise Malformed(f"{place}.method is not a name of at most 128 letters, digits and _.$/-")
    if "result" in value or "error" in value:
        raise Malformed(f"{place} is a request and a response at once")
    params = value.get("params")
    if params is None:
        params = _NONE
    elif type(params) is not dict:
        raise Malformed(f"{place}.params is not an object")
    elif not params.keys() <= _READ:
        _check(params, _READ, f"{place}.params")
    if "id" not in value:
        return Message(method, None, params)
    return Message(method, _id(value["id"], place), params)


def _response(value: Mapping[str, Any], place: str) -> Message:
    """A client's answer to a request of the server (elicitation, sampling, roots)."""
    if ("result" in value) == ("error" in value):
        raise Malformed(f"{place} has no method, so it must have either a result or an error")
    ident = value.get("id")
    if ident is None and "error" in value:
        return Message("", None, _NONE)
    return Message("", _id(ident, place), _NONE, value.get("result"))


def _id(ident: Any, place: str) -> Id:
    if type(ident) is int:
        return ident
    if type(ident) is str and len(ident) <= LONGEST_ID:
        return ident
    raise Malformed(f"{place}.id is neither a string of at most {LONGEST_ID} characters nor an integer")


def lookalike(value: Mapping[str, Any], names: Collection[str]) -> str:
    """A member whose name is not one of these, but differs from one only in case; empty where there is none."""
    folded = _folded(frozenset(names))
    return next((key for key in value if key not in names and key.casefold() in folded), "")


@cache
def _folded(names: frozenset[str]) -> frozenset[str]:
    return frozenset(name.casefold() for name in names)


def _check(value: Mapping[str, Any], names: frozenset[str], place: str) -> None:
    if other := lookalike(value, names):
        raise Malformed(f"{place} has a member {other[:64]!r}, which some servers take for {other.casefold()!r}")
