"""Records of the audit, sealed: each says the hash of the one before it, so that none can be changed, removed, added
or moved without all that follow it.

A line is ``{"hash": H, "record": {...}}``, where H is the SHA-256 of the record in canonical JSON (RFC 8785) and the
record holds ``seq`` (1, 2, 3, ...) and ``prev``, the hash of the record before it. A checkpoint's ``mac`` is an
HMAC-SHA256 over the checkpoint without it: it speaks for everything up to there, and nobody can make one without the
key.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Any

import orjson
from msgspec import Struct

GENESIS = "0" * 64
"""What the first record follows."""

CHECKPOINT = "checkpoint"
OPENED = "opened"


class Link(Struct, frozen=True):
    """Where a chain has come to: the last record's number and hash."""

    seq: int = 0
    hash: str = GENESIS


def canonical(value: Any) -> bytes:
    """RFC 8785 for what records consist of: objects with ASCII names, texts, whole numbers, true, false, null.

    Raises:
        TypeError: a text that is not Unicode.
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def seal(record: dict[str, Any], after: Link) -> tuple[bytes, Link]:
    """The record's line, line feed included, and where the chain is then.

    Raises:
        TypeError: a text that is not Unicode.
    """
    seq = after.seq + 1
    body = canonical({**record, "seq": seq, "prev": after.hash})
    digest = sha256(body).hexdigest()
    return b'{"hash":"%b","record":%b}\n' % (digest.encode(), body), Link(seq, digest)


def checkpoint(ts: str, after: Link, key: bytes | None, *, closing: bool = False) -> dict[str, Any]:
    """A checkpoint that is to follow ``after``; ``closing``: the gateway ends, nothing is missing behind it."""
    record: dict[str, Any] = {"kind": CHECKPOINT, "ts": ts, "closing": closing}
    if key is not None:
        record["mac"] = _mac(key, {**record, "seq": after.seq + 1, "prev": after.hash})
    return record


def signed(record: dict[str, Any], key: bytes) -> bool:
    """Whether a checkpoint was made with this key."""
    mac = record.get("mac")
    return isinstance(mac, str) and hmac.compare_digest(mac, _mac(key, {**record, "mac": None}))


def head(link: Link, key: bytes | None) -> bytes:
    """What stands in ``head.json``: how far the chain is known to reach."""
    told: dict[str, Any] = {"seq": link.seq, "hash": link.hash}
    return canonical({**told, "mac": None if key is None else _mac(key, {**told, "kind": "head"})}) + b"\n"


def read_head(data: bytes, key: bytes | None) -> Link:
    """The same, read again.

    Raises:
        ValueError: it is not as it was written.
    """
    told = orjson.loads(data)
    try:
        link = Link(int(told["seq"]), str(told["hash"]))
        whole = (
            told if key is None else {**told, "mac": _mac(key, {"seq": link.seq, "hash": link.hash, "kind": "head"})}
        )
    except (KeyError, TypeError):
        raise ValueError("it says no seq and hash") from None
    if canonical(whole) + b"\n" != data:
        raise ValueError("it was not written by whoever has the key" if key is not None else "it was changed")
    return link


def _mac(key: bytes, record: dict[str, Any]) -> str:
    told = {name: value for name, value in record.items() if name != "mac"}
    return hmac.digest(key, b"toolgate audit 1\n" + canonical(told), "sha256").hex()
