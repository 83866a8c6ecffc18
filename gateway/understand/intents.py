"""What a call asks for, in short: guards compare calls by it."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import orjson
from msgspec import structs

from gateway.model import UNREAD, Call


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
    digest = blake2b(digest_size=16)
    digest.update(f"{call.tool.name}\0{call.operation}\0".encode("utf-8", "surrogatepass"))
    if call.args is not UNREAD and not call.tool.head_only:
        # A path is part of an operation only where no template names it.
        digest.update(canonical({**call.params, "": call.args} if call.params else call.args))
    else:
        digest.update(call.target.encode("utf-8", "surrogatepass"))
        digest.update(b"\0" + body if body else b"")
    return digest.hexdigest()


def canonical(value: Any) -> bytes:
    """JSON in which the order of members does not show."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # a lone surrogate, or an integer beyond 64 bits
        return repr(value).encode("utf-8", "surrogatepass")
