"""Retries: what failed by the caller's own fault is not asked of the tool again, what failed by the tool's not as often
as agents would."""

from __future__ import annotations

from functools import partial

from gateway.decide.changes import may_change
from gateway.decide.memo import ClaimMemo, Prepared
from gateway.model import Call, Claim, Hold, Reason, Refusal, RetryClaim
from gateway.policy.book import PolicyBook
from gateway.policy.governors import CompiledRetry
from gateway.policy.guards import short

OF_A_RESULT = 422
"""The status of a refusal that stands for a result which says that it failed."""


class Retries:
    """Claims leave to repeat what failed, of every guard of retries that matches."""

    def __init__(self, book: PolicyBook) -> None:
        self._book = book
        self._kinds = ClaimMemo(self._of_the_kind).of

    def claims(self, call: Call) -> tuple[Claim, ...]:
        """One for each guard."""
        kinds = self._kinds(call)
        return _own(kinds, call) if kinds else ()

    def of_the_kind(self, call: Call) -> Prepared:
        """What adds to the claims of the kind what a call asks for."""
        kinds = self._kinds(call)
        return partial(_own, kinds) if kinds else ()

    def _of_the_kind(self, call: Call) -> tuple[tuple[Claim, ...], bool]:
        """Claims without an intent: all else is the same for calls of one kind."""
        tool = call.tool
        agent, run = call.tree
        tree = (agent, short(run))
        claims = [
            RetryClaim(
                retry.name,
                (retry.name, call.agent.id, tool.name),
                tree,
                short(call.operation),
                "",
                True,
                retry.settings,
                tool.protocol == "mcp",
            )
            for retry in self._book.governors(CompiledRetry, tool.name, call.operation, implied=call.implied)
        ]
        return tuple(claims), True

    def refusal(self, hold: Hold) -> Refusal:
        claim = hold.claim
        if not isinstance(claim, RetryClaim):
            raise TypeError(f"not a claim of a guard of retries: {claim!r}")
        rule = f"retry/{claim.guard}"
        if hold.state == "exhausted":
            return Refusal(
                Reason.RETRY_BUDGET_EXHAUSTED,
                429,
                f"retry {claim.guard!r}: {claim.key[2]} keeps failing, and has been tried again often enough",
                rule,
                hold.retry_after,
                True,
                f"the tool is failing; try again in {max(1, round(hold.retry_after))} s, or go on without it",
            )
        status = hold.status if hold.status >= 400 else OF_A_RESULT
        if hold.state == "stopped":
            detail, advice = "the same failing call again", "change it, or do something else"
        else:
            said = f": {hold.detail}" if hold.detail else ""
            detail = f"the same call has just failed, and was not made again{said}"
            advice = "it will fail again as it is: change the arguments, or do something else"
        return Refusal(Reason.REPEATED_FAILURE, status, detail, rule, advice=advice)


def _own(kinds: tuple[Claim, ...], call: Call) -> tuple[Claim, ...]:
    changes = may_change(call)
    intent = call.intent
    return tuple(
        [
            RetryClaim(each.guard, each.key, each.tree, each.operation, intent, changes, each.settings, each.by_result)
            for each in kinds
            if isinstance(each, RetryClaim)
        ]
    )
