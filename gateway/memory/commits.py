"""Several changes that are made together or not at all, as agents write them:

    {"puts": [{"key": "a", "value": {...}, "version": "..."}, {"key": "b", "text": "...", "version": null, "ttl": "1h"},
              {"key": "c", "delete": true, "version": "..."}],
     "compares": [{"key": "d", "version": "..."}]}

``version`` is what was seen: null for nothing. Without one, nothing is said of it.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from gateway.memory.book import Want
from gateway.memory.requests import json_bytes, too_large
from gateway.memory.seen import Expect, Seen
from gateway.memory.wrong import Wrong
from gateway.policy.units import duration


class Put(Struct, forbid_unknown_fields=True):
    """What is to stand under a key: exactly one of ``value``, ``text`` and ``delete``."""

    key: str
    value: Any = UNSET
    text: str | UnsetType = UNSET
    delete: bool = False
    version: str | UnsetType | None = UNSET
    ttl: str | float | None = None


class Compare(Struct, forbid_unknown_fields=True):
    """What must stand under a key that is not written: null for nothing."""

    key: str
    version: str | None


class Commit(Struct, forbid_unknown_fields=True):
    """All of it, or nothing."""

    puts: list[Put]
    compares: list[Compare] = []


def commit_in(body: Any, largest: int) -> tuple[list[Want], list[tuple[str, Expect]]]:
    """What is wanted, and what must stand besides; ``largest``: bytes of one value.

    Raises:
        Wrong: it cannot be understood, or a value is too large.
    """
    try:
        commit = msgspec.convert(body, Commit)
    except msgspec.ValidationError as error:
        advice = (
            'send {"puts": [{"key": ..., "value": ..., "version": ...}], "compares": [{"key": ..., "version": ...}]}'
        )
        raise Wrong(400, "unusable", f"the commit cannot be read: {error}", advice) from None
    wants = [want_of(put, largest) for put in commit.puts]
    return wants, [(one.key, expect_of(one.version)) for one in commit.compares]


def want_of(put: Put, largest: int) -> Want:
    """What one of them wants. Raises Wrong."""
    given = [put.value is not UNSET, put.text is not UNSET, put.delete]
    if sum(given) != 1:
        raise Wrong(400, "unusable", f"exactly one of value, text and delete belongs to the key {put.key[:100]!r}")
    ttl, expect = None if put.ttl is None else duration(put.ttl), expect_of(put.version)
    if put.delete:
        return Want(put.key, None, expect=expect)
    if isinstance(put.text, str):
        text = put.text.encode()
        if len(text) > largest:
            raise too_large(largest)
        return Want(put.key, text, "text", ttl, expect)
    return Want(put.key, json_bytes(put.value, largest), "json", ttl, expect)


def expect_of(version: str | UnsetType | None) -> Expect:
    """What was seen, as agents say it in JSON."""
    if isinstance(version, UnsetType):
        return Seen.BLIND
    return Seen.ABSENT if version is None else (version,)
