"""Circuits behind breakers, in memory; see ``circuit.py`` for how one opens and closes."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.model import Answered, CircuitClaim, Hold, Outcome
from gateway.stores.circuit import Circuit
from gateway.stores.keeper import Keeper

PROBE = "probe"
"""The state written on a hold that passed a half-open circuit; its ``left`` is the circuit's epoch."""

SWEEP = 10_000
"""Circuits at which those that say nothing are forgotten."""


class Circuits(Keeper[CircuitClaim]):
    """One circuit for each key."""

    hears = True
    ends = True

    def __init__(self) -> None:
        self._circuits: dict[tuple[str, ...], Circuit] = {}
        self._sweep_at = SWEEP

    def look(self, claim: CircuitClaim, now: float) -> Hold:
        circuit = self._circuit(claim)
        ok, wait = circuit.admits(now)
        return Hold(claim, ok, 0.0, wait, circuit.state)

    def take(self, claim: CircuitClaim, hold: Hold, now: float) -> Hold:  # noqa: ARG002
        epoch = self._circuits[claim.key].enter()
        return Hold(claim, True, epoch, 0.0, PROBE) if epoch else hold

    def answered(self, hold: Hold, answer: Answered, now: float) -> None:
        """Circuits learn from the head of the answer: 5xx is a failure, 4xx (429 too) is not the tool's fault."""
        claim = hold.claim
        if not isinstance(claim, CircuitClaim):
            raise TypeError(f"not a claim of a breaker: {claim!r}")
        settings = claim.settings
        if settings.result_errors and answer.status < 500:
            return  # whether it failed is known at its end
        circuit = self._circuits.get(claim.key)
        if circuit is not None:
            slow = settings.slow > 0 and answer.first_byte >= settings.slow
            circuit.leave(_probe(hold), answer.status < 500, slow, now, ended=False)

    def settle(self, hold: Hold, outcome: Outcome, now: float) -> None:
        """Tell circuits of calls that never got an answer, or whose answer broke off."""
        claim = hold.claim
        circuit = self._circuits.get(claim.key)
        if circuit is None or not isinstance(claim, CircuitClaim):
            return
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

    def release(self, hold: Hold, now: float) -> None:
        circuit = self._circuits.get(hold.claim.key)
        if circuit is not None:
            circuit.leave(_probe(hold), None, False, now)

    def breakers(self) -> Iterator[tuple[str, str, str]]:
        """Name, key and state of every circuit, for the metrics."""
        for key, circuit in self._circuits.items():
            yield key[0], " ".join(key[1:]), circuit.state

    def tidy(self, now: float) -> None:
        """A closed circuit without a failure to remember is as good as a new one, and so is one long unasked."""
        if len(self._circuits) > self._sweep_at:
            self._circuits = {
                key: circuit
                for key, circuit in self._circuits.items()
                if not circuit.healthy and not circuit.quiet(now)
            }
            self._sweep_at = max(SWEEP, 2 * len(self._circuits))

    def __len__(self) -> int:
        return len(self._circuits)

    def _circuit(self, claim: CircuitClaim) -> Circuit:
        circuit = self._circuits.get(claim.key)
        if circuit is None:
            circuit = self._circuits[claim.key] = Circuit(claim.settings)
        elif circuit.settings is not claim.settings and circuit.settings != claim.settings:
            circuit.adopt(claim.settings)
        return circuit


def _probe(hold: Hold) -> int:
    return int(hold.left) if hold.state == PROBE else 0
