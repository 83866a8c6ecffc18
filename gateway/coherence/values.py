"""Keys, versions and texts, as expressions and answers give them."""

from __future__ import annotations

import hashlib
from typing import Any

from gateway.coherence.answers import MISSING
from gateway.policy.fingerprints import canonical

MOST_KEYS = 100
"""Keys that one call may write, or name in what it asks."""
MOST_ENTRIES = 1_000
"""Entries of one answer of which something is learnt."""
LONGEST_TEXT = 4096
"""Characters of a text that are kept: each key has several of them, and there may be many keys."""
LONGEST_VERSION = 256
"""Characters of a version; longer ones count by their digest."""


def key_of(value: Any) -> str | None:
    """A key as text: ``7``, ``7.0`` and ``"7"`` are the same. None where the value is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, str | int) and value != "" else None


def keys_of(value: Any) -> tuple[str, ...]:
    """The keys that an expression gives, one or a list of them; none where one of them is no key, or there are too
    many."""
    given = list(value) if isinstance(value, list | tuple) else [value]
    keys = [key_of(each) for each in given] if len(given) <= MOST_KEYS else [None]
    told = [key for key in keys if key is not None]
    return tuple(dict.fromkeys(told)) if len(told) == len(keys) else ()


def text_of(value: Any) -> str | None:
    """What stands there as text: a text as it is, else JSON in which the order of members does not show."""
    if value is MISSING:
        return None
    try:
        return value if isinstance(value, str) else canonical(value).decode("utf-8", "replace")
    except RecursionError:
        return None


def kept(text: str | None) -> str | None:
    """The text where it is short enough to be kept."""
    return text if text is not None and len(text) <= LONGEST_TEXT else None


def digest_of(text: str) -> str:
    """Its SHA-256, in hex digits."""
    return digest_of_bytes(text.encode("utf-8", "surrogatepass"))


def digest_of_bytes(data: bytes) -> str:
    """Their SHA-256, in hex digits."""
    return hashlib.sha256(data).hexdigest()


def version_of(value: Any) -> str | None:
    """A version that an expression gives: a text or a whole number."""
    text = key_of(value)
    return text if text is None or len(text) <= LONGEST_VERSION else digest_of(text)
