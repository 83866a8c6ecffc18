"""Limits that wait: aiolimiter's leaky buckets, one for each key, with a bound on the wait and on the queue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator
from typing import Any

from aiolimiter import AsyncLimiter

from gateway.model import Hold, PoolClaim, RateClaim
from gateway.stores.bucket import paced

LONGEST_QUEUE = 1000
_MOST_KEYS = 10_000


class _Lane:
    __slots__ = ("capacity", "limiter", "rate", "waiting")

    def __init__(self, capacity: float, rate: float) -> None:
        self.capacity, self.rate = capacity, rate
        self.limiter = AsyncLimiter(capacity, capacity / rate)
        self.waiting = 0


class WaitingRoom:
    """ports.Pacer for one process."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[str, ...], _Lane] = {}
        self._sweep_at = _MOST_KEYS

    def pace(self, claim: RateClaim | PoolClaim) -> Hold | Awaitable[Hold]:
        """Take a token now where there is one, else wait for it, at most ``claim.wait`` seconds."""
        if not isinstance(claim, RateClaim):
            raise TypeError(f"not a claim of a limit: {claim!r}")
        lane = self._lanes.get(claim.key)
        if lane is None or lane.capacity != claim.capacity or lane.rate != claim.rate:
            self._forget_idle()
            lane = self._lanes[claim.key] = _Lane(claim.capacity, claim.rate)
        if lane.waiting >= LONGEST_QUEUE:
            return paced(claim, granted=False)
        if not lane.waiting and lane.limiter.has_capacity(claim.cost):
            taking = lane.limiter.acquire(claim.cost)
            try:
                taking.send(None)
            except StopIteration:  # there was room: nothing to wait for
                return paced(claim, granted=True)
            taking.close()
        return _Turn(lane, claim)

    def _forget_idle(self) -> None:
        if len(self._lanes) >= self._sweep_at:
            self._lanes = {
                key: lane
                for key, lane in self._lanes.items()
                if lane.waiting or not lane.limiter.has_capacity(lane.capacity)
            }
            self._sweep_at = max(_MOST_KEYS, 2 * len(self._lanes))


class _Turn:
    """A call's turn. It comes to stand in line when it is first awaited: one that never is leaves nothing behind."""

    __slots__ = ("_claim", "_lane")

    def __init__(self, lane: _Lane, claim: RateClaim) -> None:
        self._lane, self._claim = lane, claim

    def __await__(self) -> Generator[Any, None, Hold]:
        return self._wait().__await__()

    async def _wait(self) -> Hold:
        lane, claim = self._lane, self._claim
        lane.waiting += 1
        try:
            async with asyncio.timeout(claim.wait):
                await lane.limiter.acquire(claim.cost)
        except TimeoutError:
            return paced(claim, granted=False)
        finally:
            lane.waiting -= 1
        return paced(claim, granted=True)
