"""The nouns of the embedded shared memory: versioned values under keys, in namespaces that agents share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

Kind = Literal["json", "text"]

BESIDE = 100
"""Bytes that a version counts as beside what it holds."""
MOST_PUTS = 200
"""Keys that one commit writes, or compares, at most."""
MOST_WRITTEN = 8 << 20
"""Bytes of all values of one commit at most; one value may be as large as its limit says."""
LONGEST_KEY = 512
"""Bytes of a key at most, in UTF-8."""


class Provenance(Struct, frozen=True):
    """Who wrote a version, and the labels of where what it says came from."""

    agent: str
    run: str = ""
    call: str = ""
    labels: tuple[str, ...] = ()


NOBODY = Provenance("")
"""Who "writes" that a key has expired."""


class Item(Struct, frozen=True):
    """One version of what stands under a key. ``value`` is None where the key was removed, or has expired (by NOBODY).

    Times are in seconds since the epoch: when the key came to be, when this version was written, when it expires (0:
    never). A revision of 0: there is nothing, and nothing is known to have been.
    """

    namespace: str
    key: str
    revision: int
    value: bytes | None
    kind: Kind = "json"
    created: float = 0.0
    written: float = 0.0
    ends: float = 0.0
    by: Provenance = NOBODY


class Put(Struct, frozen=True):
    """What is to stand under a key: ``value``, or None to remove it, for ``ttl`` seconds (0: for ever).

    ``expect``: the revision that must stand; 0: no value must; None: whatever does.
    """

    key: str
    value: bytes | None
    kind: Kind = "json"
    ttl: float = 0.0
    expect: int | None = None


class Page(Struct, frozen=True):
    """What was read of a namespace. A version is named by ``epoch`` and an item's revision (``version_of``)."""

    epoch: str
    """Of this life of the namespace; "" where it does not exist."""
    revision: int
    """Of the namespace: what is read is as of then."""
    items: tuple[Item, ...] = ()
    more: bool = False
    """There is more than these items."""

    @property
    def item(self) -> Item | None:
        """Its only item, where one key was asked for."""
        return self.items[0] if self.items else None


class Committed(Struct, frozen=True):
    """All of it was written, as this one revision of the namespace. ``items`` are those that it changed."""

    epoch: str
    revision: int
    items: tuple[Item, ...] = ()


class Mismatch(Struct, frozen=True):
    """None of it was written. ``items``: what stands (``value`` None: nothing) under each key where something else was
    expected."""

    epoch: str
    revision: int
    items: tuple[Item, ...]


class ShelfLimits(Struct, frozen=True):
    """What a namespace may hold, and how much of its past is kept."""

    items: int = 10_000
    size: int = 64 << 20
    """Bytes of all values that stand, their keys and provenance; of former versions as much again."""
    value: int = 1 << 20
    """Bytes of one value."""
    keys_per_agent: int = 5_000
    """Keys that came to be by one agent."""
    versions: int = 20
    """Former versions of each key."""
    age: float = 30 * 86_400.0
    """Seconds for which it is known what no longer stands."""


class ShelfUsage(Struct, frozen=True):
    """What a namespace holds now. ``former`` is in bytes."""

    epoch: str
    revision: int
    items: int = 0
    size: int = 0
    former: int = 0


def version_of(epoch: str, revision: int) -> str:
    """The name of a version, to be compared as a whole: of no other version at any time, also where a store has lost
    what it had, or was set back."""
    return f"{epoch}-{revision}"


def read_version(text: str) -> tuple[str, int] | None:
    """Epoch and revision of the name of a version; None where it is none."""
    epoch, _, number = text.rpartition("-")
    if not epoch or not number.isascii() or not number.isdigit() or len(number) > 15:
        return None
    return epoch, int(number)


def size_of(key: str, value: bytes | None, by: Provenance) -> int:
    """Bytes that a version counts as."""
    texts = (key, by.agent, by.run, by.call, *by.labels)
    return BESIDE + len(value or b"") + sum(len(text.encode()) for text in texts)


def check_puts(puts: Sequence[Put], compares: Sequence[tuple[str, int]]) -> None:
    """Whether these can be one commit.

    Raises:
        ValueError: a key is put twice, is empty, too long or no text; there are too many of them, or too many bytes.
    """
    keys = {put.key for put in puts}
    if len(keys) < len(puts):
        raise ValueError("a key is written twice in one commit")
    if len(puts) > MOST_PUTS or len(compares) > MOST_PUTS:
        raise ValueError(f"one commit writes, and compares, {MOST_PUTS} keys at most")
    for key in keys:
        check_key(key)
    if len(puts) > 1 and sum(len(put.value or b"") for put in puts) > MOST_WRITTEN:
        raise ValueError(f"one commit writes {MOST_WRITTEN} bytes at most")


def check_key(key: str) -> None:
    """Raises ValueError where this cannot be a key."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise ValueError("a key is a text that can be encoded as UTF-8") from None
    if not 0 < size <= LONGEST_KEY or "\0" in key:
        raise ValueError(f"a key has 1 to {LONGEST_KEY} bytes, and no zero byte among them")
