"""Circuit breakers: a tool that fails is left alone for a while."""

from __future__ import annotations

from gateway.decide.memo import ClaimMemo
from gateway.model import Call, CircuitClaim, Claim, Hold, Reason, Refusal
from gateway.policy.book import PolicyBook
from gateway.policy.guards import short


class Breakers:
    """Claims passage through every breaker that matches the call."""

    def __init__(self, book: PolicyBook) -> None:
        self._book = book
        memo = ClaimMemo(self._claims)
        self.claims, self.of_the_kind = memo.of, memo.of_the_kind

    def _claims(self, call: Call) -> tuple[tuple[Claim, ...], bool]:
        breakers = self._book.breakers(call.tool.name, call.operation, implied=call.implied)
        agent = short(call.agent.id)
        claims = [CircuitClaim(breaker.name, breaker.key(call), breaker.settings, agent) for breaker in breakers]
        return tuple(claims), True

    def refusal(self, hold: Hold) -> Refusal:
        claim, wait = hold.claim, hold.retry_after
        what = " ".join(claim.key[1:])
        if hold.detail:
            detail = f"breaker {claim.guard!r} is {hold.state} for {what}: {hold.detail}"
        else:
            detail = f"breaker {claim.guard!r} is {hold.state}: {what} has been failing"
        if wait:
            advice = f"the tool is left alone; try again in {max(1, round(wait))} s, or go on without it"
        else:
            advice = "go on without the tool; an operator decides when it may be used again"
        return Refusal(Reason.CIRCUIT_OPEN, 503, detail, f"breaker/{claim.guard}", wait, wait > 0, advice)
