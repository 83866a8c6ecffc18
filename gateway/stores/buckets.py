"""Token buckets behind rate limits, in memory."""

from __future__ import annotations

from gateway.model import Hold, RateClaim
from gateway.stores.bucket import spend, take
from gateway.stores.keeper import Keeper

SWEEP = 10_000
"""Keys at which those that say nothing are forgotten."""


class Buckets(Keeper[RateClaim]):
    """One bucket for each key, known by the time at which it will be full again."""

    def __init__(self) -> None:
        self._full_at: dict[tuple[str, ...], float] = {}
        self._sweep_at = SWEEP

    def look(self, claim: RateClaim, now: float) -> Hold:
        full_at = self._full_at.get(claim.key, 0.0)
        granted, _, left, wait = take(full_at, claim.capacity, claim.rate, claim.cost, now)
        return Hold(claim, granted, left, wait)

    def take(self, claim: RateClaim, hold: Hold, now: float) -> Hold:
        self._full_at[claim.key] = spend(self._full_at.get(claim.key, 0.0), claim.rate, claim.cost, now)
        return hold

    def tidy(self, now: float) -> None:
        """A bucket that is full again needs no memory; look again when twice as many have gathered."""
        if len(self._full_at) > self._sweep_at:
            self._full_at = {key: at for key, at in self._full_at.items() if at > now}
            self._sweep_at = max(SWEEP, 2 * len(self._full_at))

    def __len__(self) -> int:
        return len(self._full_at)
