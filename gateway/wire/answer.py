"""The head of a tool's answer on its way to the agent: rebuilt from parsed fields, hop-by-hop fields left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct

from gateway.errors import UpstreamError
from gateway.execute.forward import VIA
from gateway.model import Fields, Reason
from gateway.model.hops import HOP_BY_HOP, connection_options

LABELS = b"x-toolgate-labels"
"""In which a tool that the gateway itself is tells the labels of what it answers, separated by commas."""
DROPPED = HOP_BY_HOP | {
    b"proxy-authenticate",
    b"x-toolgate-call",
    b"x-toolgate-warning",
    b"x-toolgate-budget",
    LABELS,
}
"""Fields of an answer that are not the tool's to say to the agent."""

_NOTED = DROPPED | {b"content-length", b"location"}
"""Fields of an answer that are looked at more closely."""

_OF_THE_BYTES = frozenset(
    {b"content-length", b"etag", b"content-md5", b"digest", b"content-digest", b"repr-digest", b"accept-ranges"}
)
"""Fields that speak of the very bytes of a body, and are wrong of any other."""

_PLAIN = frozenset({b"", b"close", b"keep-alive"})
"""Connection fields that name no other field."""

_VIA = b"Via: %b\r\n" % VIA


class Head(Struct):
    """Lines of a head so far, from the status line to the fields; and how the body is framed."""

    parts: list[bytes]
    has_length: bool
    """The agent is told the length."""
    chunked: bool
    ends_with_connection: bool
    """The tool told neither a length nor chunks (RFC 9112, 6.3)."""


def head_of(
    status: int,
    reason: bytes,
    fields: Iterable[tuple[bytes, bytes]],
    locate: Callable[[bytes], bytes],
    *,
    new_body: bool,
) -> Head:
    """The head for the agent. ``locate`` says where a Location leads by the agent's map. ``new_body``: the agent gets
    other bytes than the tool sent, so that what speaks of those is left out.

    Raises:
        UpstreamError: 502 for a transfer coding other than chunked.
    """
    parts = [b"HTTP/1.1 %d %b\r\n" % (status, reason)]
    options = b""
    has_length = chunked = False
    for field in fields:
        low = field[0].lower()
        if low not in _NOTED:
            parts.append(b"%b: %b\r\n" % field)
        elif low == b"content-length":
            has_length = True
            parts.append(b"%b: %b\r\n" % field)
        elif low == b"transfer-encoding":
            chunked = True
            _check_coding(field[1])
        elif low == b"connection":
            options = options + b"," + field[1] if options else field[1]
        elif low == b"location":
            parts.append(b"%b: %b\r\n" % (field[0], locate(field[1])))
    named = connection_options(options) if options.lower() not in _PLAIN else frozenset[bytes]()
    ends = not has_length and not chunked
    if new_body:
        named |= _OF_THE_BYTES
        has_length = False
    if named:
        parts[1:] = [part for part in parts[1:] if part.partition(b":")[0].lower() not in named]
    parts.append(_VIA)
    return Head(parts, has_length, chunked, ends)


def session_of(fields: Iterable[tuple[bytes, bytes]]) -> str:
    """The MCP session that a head names; empty for none."""
    return next((value.decode("latin-1") for name, value in fields if name.lower() == b"mcp-session-id"), "")


def labels_of(fields: Iterable[tuple[bytes, bytes]]) -> tuple[str, ...]:
    """The labels that a head tells."""
    told = next((value for name, value in fields if name.lower() == LABELS), b"")
    return tuple([label.strip() for label in told.decode("latin-1").split(",") if label.strip()])


def content_of(fields: Iterable[tuple[bytes, bytes]]) -> tuple[str, str]:
    """Content-Type and Content-Encoding; empty where there is none. Repeated fields are joined (RFC 9110, 5.3): clients
    choose among two types, and decode all codings, so neither one alone may count."""
    kind = coding = b""
    for name, value in fields:
        low = name.lower()
        if low == b"content-type":
            kind = kind + b", " + value if kind else value
        elif low == b"content-encoding":
            coding = coding + b", " + value if coding else value
    return kind.decode("latin-1"), coding.decode("latin-1")


def ends_with_connection(fields: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a body that there is ends only with the connection (RFC 9112, 6.3).

    Raises:
        UpstreamError: 502 for a transfer coding other than chunked.
    """
    ends = True
    for name, value in fields:
        low = name.lower()
        if low == b"content-length":
            ends = False
        elif low == b"transfer-encoding":
            _check_coding(value)
            ends = False
    return ends


def _check_coding(value: bytes) -> None:
    if value.strip().lower() != b"chunked":
        raise UpstreamError(Reason.UPSTREAM_PROTOCOL, 502, "the tool used a transfer coding other than chunked")


def lines(fields: Fields) -> bytes:
    """Fields as they stand in a head."""
    return b"".join([b"%b: %b\r\n" % field for field in fields])
