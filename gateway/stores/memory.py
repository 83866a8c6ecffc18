"""The ledger in memory: the reference for every other. All of it runs on one loop, so each method is atomic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.model import Answered, CircuitClaim, Claim, Hold, Outcome, RateClaim, SlotClaim
from gateway.stores.bucket import spend, take
from gateway.stores.circuit import Circuit

PROBE = "probe"
"""The state written on a hold that passed a half-open circuit; its ``left`` is the circuit's epoch."""

_SWEEP = 10_000
"""Keys of one kind at which those that say nothing are forgotten."""


class MemoryLedger:
    """Token buckets, places and circuits, by key. Survives reloads: the keys name the guard and what it counts by."""

    def __init__(self) -> None:
        self._full_at: dict[tuple[str, ...], float] = {}
        self._taken: dict[tuple[str, ...], int] = {}
        self._circuits: dict[tuple[str, ...], Circuit] = {}
        self._sweep_at = self._circuits_sweep_at = _SWEEP

    def reserve(self, claims: Sequence[Claim], now: float) -> tuple[Hold, ...]:
        """One hold for each claim, all granted or none taken. ``now`` is in seconds, monotonic."""
        self._tidy(now)
        holds = [self._look(claim, now) for claim in claims]
        for hold in holds:
            if not hold.granted:
                return tuple(holds)
        for at, claim in enumerate(claims):
            if isinstance(claim, RateClaim):
                self._full_at[claim.key] = spend(self._full_at.get(claim.key, 0.0), claim.rate, claim.cost, now)
            elif isinstance(claim, SlotClaim):
                self._taken[claim.key] = self._taken.get(claim.key, 0) + 1
            elif epoch := self._circuits[claim.key].enter():
                holds[at] = Hold(claim, True, epoch, 0.0, PROBE)
        return tuple(holds)

    def look(self, claims: Sequence[Claim], now: float) -> tuple[Hold, ...]:
        """What ``reserve`` would answer, without taking anything."""
        self._tidy(now)
        return tuple([self._look(claim, now) for claim in claims])

    def _look(self, claim: Claim, now: float) -> Hold:
        if isinstance(claim, RateClaim):
            full_at = self._full_at.get(claim.key, 0.0)
            granted, _, left, wait = take(full_at, claim.capacity, claim.rate, claim.cost, now)
            return Hold(claim, granted, left, wait)
        if isinstance(claim, CircuitClaim):
            circuit = self._circuit(claim)
            ok, wait = circuit.admits(now)
            return Hold(claim, ok, 0.0, wait, circuit.state)
        if isinstance(claim, SlotClaim):
            free = claim.capacity - self._taken.get(claim.key, 0)
            return Hold(claim, free > 0, max(0, free - 1))
        raise TypeError(f"unknown claim {claim!r}")

    def answered(self, holds: Sequence[Hold], answer: Answered, now: float) -> None:
        """Circuits learn from the head of the answer: 5xx is a failure, 4xx (429 too) is not the tool's fault."""
        for hold in holds:
            if type(hold.claim) is CircuitClaim:
                settings = hold.claim.settings
                if settings.result_errors and answer.status < 500:
                    continue  # whether it failed is known at its end
                slow = settings.slow > 0 and answer.first_byte >= settings.slow
                circuit = self._circuits.get(hold.claim.key)
                if circuit is not None:
                    circuit.leave(_probe(hold), answer.status < 500, slow, now, ended=False)

    def settle(self, holds: Sequence[Hold], outcome: Outcome, now: float) -> None:
        """Give back places; tell circuits of calls that never got an answer, or whose answer broke off."""
        for hold in holds:
            claim = hold.claim
            if type(claim) is SlotClaim:
                taken = self._taken.get(claim.key, 0) - 1
                if taken > 0:
                    self._taken[claim.key] = taken
                else:
                    self._taken.pop(claim.key, None)
            elif type(claim) is CircuitClaim:
                circuit = self._circuits.get(claim.key)
                if circuit is None:
                    continue
                broken = outcome.fault == "tool"
                settings = claim.settings
                if settings.result_errors and 0 < outcome.upstream < 500:
                    slow = settings.slow > 0 and outcome.first_byte >= settings.slow
                    failed = broken or outcome.found.is_error
                    nobody_knows = outcome.fault and not failed
                    circuit.leave(_probe(hold), None if nobody_knows else not failed, slow, now)
                elif not outcome.upstream:
                    circuit.leave(_probe(hold), False if broken else None, False, now)
                elif outcome.upstream < 500:
                    circuit.end(now, broken=broken)

    def breakers(self) -> Iterator[tuple[str, str, str]]:
        """Name, key and state of every circuit, for the metrics."""
        for key, circuit in self._circuits.items():
            yield key[0], " ".join(key[1:]), circuit.state

    def _circuit(self, claim: CircuitClaim) -> Circuit:
        circuit = self._circuits.get(claim.key)
        if circuit is None:
            circuit = self._circuits[claim.key] = Circuit(claim.settings)
        elif circuit.settings is not claim.settings and circuit.settings != claim.settings:
            circuit.adopt(claim.settings)
        return circuit

    def _tidy(self, now: float) -> None:
        """Forget what says nothing. Before a claim, never within one: it may have just made what would be forgotten."""
        if len(self._full_at) > self._sweep_at:
            self._forget_full(now)
        if len(self._circuits) > self._circuits_sweep_at:
            self._forget_circuits(now)

    def _forget_circuits(self, now: float) -> None:
        """A closed circuit without a failure to remember is as good as a new one, and so is one long unasked."""
        self._circuits = {
            key: circuit for key, circuit in self._circuits.items() if not circuit.healthy and not circuit.quiet(now)
        }
        self._circuits_sweep_at = max(_SWEEP, 2 * len(self._circuits))

    def _forget_full(self, now: float) -> None:
        """A bucket that is full again needs no memory; look again when twice as many have gathered."""
        self._full_at = {key: at for key, at in self._full_at.items() if at > now}
        self._sweep_at = max(_SWEEP, 2 * len(self._full_at))


def _probe(hold: Hold) -> int:
    return int(hold.left) if hold.state == PROBE else 0
