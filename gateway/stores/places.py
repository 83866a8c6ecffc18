"""Places behind bulkheads: calls in flight at once."""

from __future__ import annotations

from gateway.model import Hold, Outcome, SlotClaim
from gateway.stores.keeper import Keeper


class Places(Keeper[SlotClaim]):
    """How many places are taken, by key."""

    ends = True

    def __init__(self) -> None:
        self._taken: dict[tuple[str, ...], int] = {}

    def look(self, claim: SlotClaim, now: float) -> Hold:  # noqa: ARG002
        free = claim.capacity - self._taken.get(claim.key, 0)
        return Hold(claim, free > 0, max(0, free - 1))

    def take(self, claim: SlotClaim, hold: Hold, now: float) -> Hold:  # noqa: ARG002
        self._taken[claim.key] = self._taken.get(claim.key, 0) + 1
        return hold

    def settle(self, hold: Hold, outcome: Outcome, now: float) -> None:  # noqa: ARG002
        self.release(hold, now)

    def release(self, hold: Hold, now: float) -> None:  # noqa: ARG002
        key = hold.claim.key
        taken = self._taken.get(key, 0) - 1
        if taken > 0:
            self._taken[key] = taken
        else:
            self._taken.pop(key, None)

    def __len__(self) -> int:
        return len(self._taken)
