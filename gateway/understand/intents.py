"""What a call asks for, in short: guards compare calls by it."""

from __future__ import annotations

import orjson
from msgspec import structs

from gateway.model import UNREAD, Call
from gateway.policy.fingerprints import canonical, digest, of_values

_MOST_SETTLED = 64 * 1024
"""Bytes of a body that is compared by value: 0.1 ms of work."""


def with_intent(call: Call, body: bytes | None) -> Call:
    """The call with a digest of its tool, operation and arguments, and so each of its parts.

    Arguments count by their values, in whatever order they came, also where no rule has them read: a body that is JSON,
    and the members of a query. Any other body counts by its bytes.
    A call whose body is too large to be read is like no other: it has none.
    """
    if call.parts:
        return structs.replace(call, parts=tuple([with_intent(part, b"") for part in call.parts]))
    if body is None and call.request.length:
        return call
    return structs.replace(call, intent=_intent(call, body))


def _intent(call: Call, body: bytes | None) -> str:
    # Of a tool whose bodies may be unreadable, arguments are those of the body only where there are any, and no query.
    if call.args is not UNREAD and (not call.tool.head_only or (call.args and not call.query)):
        return of_values(call)
    path, _, query = call.target.partition("?")
    named = "\0".join([call.tool.name, call.operation, path, *sorted(filter(None, query.split("&")), key=_name)])
    return digest(named.encode("utf-8", "surrogatepass"), b"\0" + _settled(body) if body else b"")


def _name(member: str) -> str:
    return member.partition("=")[0]


def _settled(body: bytes) -> bytes:
    """JSON in one form, where that is not too much work; else the bytes as they are."""
    if len(body) > _MOST_SETTLED or body.lstrip()[:1] not in (b"{", b"["):
        return body
    try:
        return canonical(orjson.loads(body))
    except orjson.JSONDecodeError:
        return body


__all__ = ["canonical", "with_intent"]
