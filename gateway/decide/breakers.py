"""Circuit breakers: a tool that fails is left alone for a while."""

from __future__ import annotations

from gateway.decide.memo import ClaimMemo
from gateway.model import Call, CircuitClaim, Claim, Hold, Reason, Refusal
from gateway.policy.book import PolicyBook


class Breakers:
    """Claims passage through every breaker that matches the call."""

    def __init__(self, book: PolicyBook) -> None:
        self._book = book
        self.claims = ClaimMemo(self._claims).of

    def _claims(self, call: Call) -> tuple[tuple[Claim, ...], bool]:
        breakers = self._book.breakers(call.tool.name, call.operation, implied=call.implied)
        return tuple([CircuitClaim(breaker.name, breaker.key(call), breaker.settings) for breaker in breakers]), True

    def refusal(self, hold: Hold) -> Refusal:
        claim = hold.claim
        return Refusal(
            Reason.CIRCUIT_OPEN,
            503,
            f"breaker {claim.guard!r} is {hold.state}: {' '.join(claim.key[1:])} has been failing",
            f"breaker/{claim.guard}",
            hold.retry_after,
            True,
            f"the tool is failing; try again in {max(1, round(hold.retry_after))} s, or go on without it",
        )
