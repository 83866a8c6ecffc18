"""Limits that wait, on a clock that is told, for calls of which it is known how their wait ended live."""

from __future__ import annotations

from gateway.model import RateClaim
from gateway.stores.bucket import spend, take

LATE = 0.02
"""Seconds by which a live gateway's timers may be late."""


class Lines:
    """Limits that wait, on a clock that is told. Timers of a live gateway are late by some milliseconds, so a turn that
    comes about when the patience ends is had or missed as it was then."""

    def __init__(self) -> None:
        self._full_at: dict[tuple[str, ...], float] = {}

    def turn(self, claim: RateClaim, now: float, lean: bool | None) -> float | None:
        """Seconds until the call's turn, 0 for now, or None where it would wait too long. ``lean``: whether it was had
        live, None where that is not known."""
        full_at = self._full_at.get(claim.key, 0.0)
        wait = take(full_at, claim.capacity, claim.rate, claim.cost, now)[3]
        patience = claim.wait if lean is None else claim.wait + LATE if lean else max(0.0, claim.wait - LATE)
        if wait > patience:
            return None
        self._full_at[claim.key] = spend(full_at, claim.rate, claim.cost, now)
        return wait
