"""JSON-RPC messages, read as far as a bridge must and no further: values keep their original bytes.

A member's value is decoded only where the bridge looks at it; everything else passes as it was written. Names given
twice in a message's own object collapse into the last, so that both sides of the bridge read the same message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
import orjson
from msgspec import Raw, Struct

_T = TypeVar("_T")
Ident = int | str
"""An id or a progress token. 1 and "1" are two, in JSON-RPC as in Python."""
Members = Mapping[str, Raw]

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
HEADER_MISMATCH = -32020
UNSUPPORTED_VERSION = -32022
CANCELLED = -32800
"""What the official SDK's HTTP server answers to a request that its client has cancelled."""

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_ARRAY = msgspec.json.Decoder(list[Raw])
_SCALAR: msgspec.json.Decoder[int | str] = msgspec.json.Decoder(int | str)


class RpcError(Exception):
    """Answered as a JSON-RPC error: ``code``, the text, the HTTP ``status`` and JSON ``data``.

    ``ident`` is the JSON text of the request's id, where it is known which request it is.
    """

    def __init__(self, code: int, text: str, status: int = 400, data: object = None) -> None:
        super().__init__(text)
        self.code, self.status, self.data, self.ident = code, status, data, b"null"


class Message(Struct, frozen=True):
    """One request (``method`` and ``ident``), notification (``method`` only) or answer (no ``method``)."""

    members: Members
    method: str | None
    ident: Ident | None

    @property
    def is_request(self) -> bool:
        """Whether an answer is owed."""
        return self.method is not None and self.ident is not None

    @property
    def raw_ident(self) -> bytes:
        """The id as it was written."""
        return bytes(self.members["id"])


def parse(data: bytes | Raw) -> Message:
    """One message.

    Raises:
        RpcError: it is not JSON (-32700), or not a JSON-RPC 2.0 message (-32600).
    """
    members = _decoded(_OBJECT, data)
    if scalar(members.get("jsonrpc")) != "2.0":
        raise RpcError(INVALID_REQUEST, 'not a JSON-RPC message: "jsonrpc": "2.0" is missing')
    ident = scalar(members.get("id"))
    if "method" in members:
        method = scalar(members["method"])
        if not isinstance(method, str):
            raise RpcError(INVALID_REQUEST, "method must be a string")
        if ident is None and "id" in members:
            raise RpcError(INVALID_REQUEST, "id must be a string or an integer")
        return Message(members, method, ident)
    if ("result" in members) == ("error" in members):
        raise RpcError(INVALID_REQUEST, "not a JSON-RPC message: one of method, result, error is needed")
    return Message(members, None, ident)


def parse_body(body: bytes) -> list[Message] | Message:
    """What a client posted: one message, or a batch, which only revision 2025-03-26 has.

    Raises:
        RpcError: as ``parse``; an empty batch is no message either.
    """
    if not body.lstrip(b" \t\r\n").startswith(b"["):
        return parse(body)
    items = _decoded(_ARRAY, body)
    if not items:
        raise RpcError(INVALID_REQUEST, "an empty batch")
    return [parse(item) for item in items]


def render(members: Members) -> bytes:
    """A message on one line, without the line's end: line feeds between tokens become spaces."""
    text = b",".join([orjson.dumps(name) + b":" + bytes(value) for name, value in members.items()])
    # Inside strings JSON has no raw line ends, so those that are here stand between tokens.
    return b"{%b}" % text.replace(b"\n", b" ").replace(b"\r", b" ")


def error(ident: bytes, code: int, text: str, data: object = None) -> bytes:
    """An error answer. ``ident`` is the id's JSON text, ``null`` where none could be read."""
    said: dict[str, Any] = {"code": code, "message": text}
    if data is not None:
        said["data"] = data
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (ident, orjson.dumps(said))


def scalar(raw: Raw | None) -> Ident | None:
    """The integer or string that a value is, or None for all else."""
    if raw is None:
        return None
    try:
        return _SCALAR.decode(raw)
    except msgspec.MsgspecError:
        return None


def dig(members: Members, *path: str) -> Raw | None:
    """The value at a path of member names, or None where the way ends early."""
    for name in path[:-1]:
        members = opened(members.get(name))
    return members.get(path[-1])


def planted(members: Members, path: tuple[str, ...], value: bytes) -> Members:
    """A copy with another value at a path, the last step of which may be new."""
    name, *rest = path
    if rest:
        value = render(planted(opened(members.get(name)), tuple(rest), value))
    return {**members, name: Raw(value)}


def opened(raw: Raw | None) -> Members:
    """The members of an object; none of any other value."""
    if raw is None or bytes(memoryview(raw)[:1]) != b"{":
        return {}
    return _decoded(_OBJECT, raw)


def _decoded(decoder: msgspec.json.Decoder[_T], data: bytes | Raw) -> _T:
    try:
        if isinstance(data, bytes):
            data.decode()
        return decoder.decode(data)
    except msgspec.ValidationError as fault:
        raise RpcError(INVALID_REQUEST, f"not a JSON-RPC message: {fault}") from None
    except UnicodeDecodeError as fault:
        raise RpcError(PARSE_ERROR, f"not UTF-8: byte {fault.start}") from None
    except msgspec.DecodeError as fault:
        raise RpcError(PARSE_ERROR, f"not JSON: {fault}") from None
    except RecursionError:
        raise RpcError(PARSE_ERROR, "nested too deeply") from None
