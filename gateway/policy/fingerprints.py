"""Digests by which guards tell that two calls, or two results, are the same."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import orjson

from gateway.model import Call
from gateway.policy.redaction import redact

SIZE = 16
"""Bytes of a digest: agents could look for two calls of one digest, and gain nothing but a refusal."""


def canonical(value: Any) -> bytes:
    """JSON in which the order of members does not show."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # a lone surrogate, or an integer beyond 64 bits
        return repr(value).encode("utf-8", "surrogatepass")


def digest(data: bytes, *more: bytes) -> str:
    """Digest of these bytes, one after the other, as hex digits."""
    hashed = blake2b(data, digest_size=SIZE)
    for part in more:
        hashed.update(part)
    return hashed.hexdigest()


def of_values(call: Call, ignore: Iterable[str] = ()) -> str:
    """Digest of tool, operation and arguments by value, in whatever order they came; paths of arguments in ``ignore``
    (``args.request_id``) stand for whatever is there."""
    args = redact(call.args, ignore)[0] if ignore else call.args
    named = f"{call.tool.name}\0{call.operation}\0".encode("utf-8", "surrogatepass")
    # A path is part of an operation only where no template names it.
    return digest(named, canonical({**call.params, "": args} if call.params else args))
