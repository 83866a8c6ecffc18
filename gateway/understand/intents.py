"""What a call asks for, in short: guards compare calls by it."""

from __future__ import annotations

from msgspec import structs

from gateway.model import UNREAD, Call
from gateway.policy.fingerprints import canonical, digest, of_values


def with_intent(call: Call, body: bytes | None) -> Call:
    """The call with a digest of its tool, operation and arguments, and so each of its parts.

    Arguments that were read count by their values, in whatever order they came; others by the bytes of body and query.
    A call whose body is too large to be read is like no other: it has none.
    """
    if call.parts:
        return structs.replace(call, parts=tuple([with_intent(part, b"") for part in call.parts]))
    if body is None and call.request.length:
        return call
    return structs.replace(call, intent=_intent(call, body))


def _intent(call: Call, body: bytes | None) -> str:
    if call.args is not UNREAD and not call.tool.head_only:
        return of_values(call)
    named = f"{call.tool.name}\0{call.operation}\0{call.target}".encode("utf-8", "surrogatepass")
    return digest(named, b"\0" + body if body else b"")


__all__ = ["canonical", "with_intent"]
