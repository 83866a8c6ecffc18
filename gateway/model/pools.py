"""How pools stand, for metrics and operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

WAIT_BUCKETS = (0.0, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds in seconds of what calls have waited for a place; the first is of those that did not wait."""


class PoolLine(Struct, frozen=True):
    """An agent in a pool: its calls that have a place, and that wait for one."""

    agent: str
    placed: int
    waiting: int
    weight: float
    priority: int
    waited: float
    """Seconds that its first call in line has waited."""


class PoolState(Struct, frozen=True):
    """How a pool stands. ``limit`` is the number of places now, at most ``concurrency``."""

    pool: str
    tool: str
    in_flight: int
    waiting: int
    limit: int
    concurrency: int
    waits: Sequence[int]
    """Calls that got a place, by how long they waited: one number for each of WAIT_BUCKETS, and one more."""
    waited: float
    """Seconds that they waited together."""
    turned_away: Mapping[str, int]
    """Calls that got none: ``full``, ``displaced``, ``timeout``."""
