"""What all shelves keep to: quotas, and how much is read at once."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from typing import Any

from msgspec import Struct

from gateway.errors import OverQuota
from gateway.model.shelf import Item, ShelfLimits

MOST_NAMESPACES = 1_000
"""A shelf that is full takes no new ones."""
PAGE_BYTES = 4 << 20
"""Of values, in one page; at least one item."""
MOST_FORGOTTEN = 512
"""Versions that one commit forgets at most: it must not take long. It writes at most 200."""

_SAID = {
    "items": "it would hold more than {} keys",
    "size": "it would hold more than {} bytes",
    "value": "a value has more than {} bytes",
    "keys_per_agent": "more than {} of its keys would be by this agent",
}


def new_epoch() -> str:
    """A text that nobody has had."""
    return os.urandom(8).hex()


class Held(Struct):
    """How much a namespace holds, and what a commit would make of it."""

    items: int = 0
    size: int = 0
    own: int = 0
    """Keys that came to be by the agent that writes."""


def check_quota(before: Held, after: Held, limits: ShelfLimits) -> None:
    """Raises OverQuota where it would grow beyond its limits; what shrinks it is always in order."""
    for what, had, has, limit in (
        ("items", before.items, after.items, limits.items),
        ("size", before.size, after.size, limits.size),
        ("keys_per_agent", before.own, after.own, limits.keys_per_agent),
    ):
        if has > limit and has > had:
            raise over_quota(what, limit)


def over_quota(what: str, limit: int) -> OverQuota:
    """The error that says so."""
    return OverQuota(what, limit, _SAID[what].format(limit))


def full() -> OverQuota:
    """There are too many namespaces."""
    return OverQuota("namespaces", MOST_NAMESPACES, f"there are {MOST_NAMESPACES} namespaces, and no room for another")


def check_values(values: Mapping[str, Any], limits: ShelfLimits) -> None:
    """Raises OverQuota where one is too large. ``values`` by key; None is none."""
    if any(value is not None and len(value) > limits.value for value in values.values()):
        raise over_quota("value", limits.value)


async def batches(items: AsyncIterator[Item], most: int) -> AsyncIterator[list[Item]]:
    """So many at once at most, and of so many bytes."""
    some: list[Item] = []
    room = PAGE_BYTES
    async for item in items:
        some.append(item)
        room -= len(item.value or b"")
        if len(some) == most or room < 0:
            yield some
            some, room = [], PAGE_BYTES
    if some:
        yield some
