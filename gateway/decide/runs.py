"""Bounds of runs: how deep calls lie within calls, how many runs one leads to, how many steps, how long."""

from __future__ import annotations

from gateway.decide.memo import ClaimMemo
from gateway.model import Call, Claim, Hold, Reason, Refusal, RunClaim
from gateway.policy.book import PolicyBook
from gateway.policy.governors import CompiledRun
from gateway.policy.guards import short

_ADVICE = {
    "depth": "do this yourself, or give the answer with what you have; do not call on another agent for it",
    "fan_out": "go on with the runs that there are; begin no more",
    "steps": "stop here: sum up what was reached, and what is left to be done",
    "duration": "stop here: sum up what was reached, and what is left to be done",
}


class Bounds:
    """Claims a step of each bound that matches the call."""

    def __init__(self, book: PolicyBook) -> None:
        self._book = book
        memo = ClaimMemo(self._claims)
        self.claims, self.of_the_kind = memo.of, memo.of_the_kind

    def _claims(self, call: Call) -> tuple[tuple[Claim, ...], bool]:
        bounds = self._book.governors(CompiledRun, call.tool.name, call.operation, implied=call.implied)
        if not bounds:
            return (), True
        agent, run = call.tree
        own = (call.agent.id, short(call.run.id))
        led = call.run.led
        parent = (led[0], short(led[1])) if led else own
        claims = [
            RunClaim(bound.name, (bound.name, agent, short(run)), own, parent, call.run.depth, bound.settings)
            for bound in bounds
        ]
        # Beside its kind, only a run's place in a tree tells its claims apart.
        return tuple(claims), not call.run.root

    def refusal(self, hold: Hold) -> Refusal:
        claim = hold.claim
        if not isinstance(claim, RunClaim):
            raise TypeError(f"not a claim of a bound of runs: {claim!r}")
        return Refusal(
            Reason.RUN_LIMITED,
            403,
            f"run {claim.guard!r}: {hold.detail}",
            f"run/{claim.guard}",
            advice=_ADVICE[hold.state],
        )
