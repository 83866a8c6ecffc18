"""Trails of runs behind loop guards, in memory; see ``trail.py`` for what a loop is."""

from __future__ import annotations

from msgspec import structs

from gateway.model import Hold, LoopClaim, Outcome
from gateway.stores.failures import ended, result_of
from gateway.stores.keeper import Keeper
from gateway.stores.shares import Shares
from gateway.stores.trail import Trail, memory_of

CAPACITY = 10_000
"""Trails that are remembered; beyond, those of the agent with the most are forgotten, the least recently used first."""

LONG_AGO = 86_400.0
"""Seconds after which a trail is given up, whatever its settings."""


class Loops(Keeper[LoopClaim]):
    """One trail for each guard and tree of runs."""

    ends = True
    refuses = True

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._trails: Shares[tuple[str, ...], Trail] = Shares(capacity)

    def look(self, claim: LoopClaim, now: float) -> Hold:
        if not claim.intent:
            return Hold(claim, True)
        trail = self._trails.get(claim.key)
        if trail is None or _forgotten(trail, claim, now):
            return Hold(claim, True)
        found = trail.found(claim, now)
        if found is None:
            return Hold(claim, True)
        granted = found.kind == "near" or not claim.settings.enforced
        return Hold(claim, granted, float(found.times), state=found.kind, detail=found.detail)

    def take(self, claim: LoopClaim, hold: Hold, now: float) -> Hold:
        if not claim.intent:
            return hold
        trail = self._trails.use(claim.key)
        if trail is None or _forgotten(trail, claim, now):
            trail = Trail(named=bool(claim.key[2]))
            trail.at = now
            self._trails.put(claim.key[1], claim.key, trail)
            self._forget(now)
        trail.begin(claim.intent)
        return hold

    def refused(self, hold: Hold, now: float) -> Hold:
        """A refusal counts; the first teaches, later ones are short, and at last the run is quarantined. A call that
        another guard refuses counts as a repetition, where it had failed by its own fault."""
        claim = hold.claim
        trail = self._trails.use(claim.key)
        if trail is None or not isinstance(claim, LoopClaim):
            return hold
        trail.at = now
        if hold.granted:
            trail.tried(claim.intent)
            return hold
        refusals, most = trail.refuse(), claim.settings.refusals
        if most and refusals >= most and claim.key[2]:
            trail.pardon()
            return structs.replace(hold, escalate=True)
        return hold if refusals == 1 else structs.replace(hold, detail="")

    def settle(self, hold: Hold, outcome: Outcome, now: float) -> None:
        claim = hold.claim
        trail = self._trails.get(claim.key)
        if trail is None or not isinstance(claim, LoopClaim) or not claim.intent:
            return
        trail.drop(claim.intent)
        how = ended(outcome, by_result=claim.by_result)
        trail.end(claim, how, result_of(outcome, how), now)

    def release(self, hold: Hold, now: float) -> None:  # noqa: ARG002
        claim = hold.claim
        trail = self._trails.get(claim.key)
        if trail is not None and isinstance(claim, LoopClaim) and claim.intent:
            trail.drop(claim.intent)

    def _forget(self, now: float) -> None:
        """The trail that was used least recently, where it says nothing any more."""
        oldest = self._trails.oldest()
        if oldest is not None and now - oldest[1].at > LONG_AGO and not oldest[1].busy:
            self._trails.pop(oldest[0])

    def __len__(self) -> int:
        return len(self._trails)


def _forgotten(trail: Trail, claim: LoopClaim, now: float) -> bool:
    """Whether all of it is too long ago to say anything. Not with calls under way: they would be lost count of."""
    return now - trail.at > memory_of(claim) and not trail.busy
