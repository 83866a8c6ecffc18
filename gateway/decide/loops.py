"""Loops: a run that makes the same calls again and again, with the same results, is told so, then stopped."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from gateway.decide.changes import may_change
from gateway.decide.memo import ClaimMemo, Prepared
from gateway.model import UNREAD, Call, Claim, Hold, LoopClaim, Mode, Reason, Refusal, Spoke, Verdict
from gateway.policy.book import PolicyBook
from gateway.policy.fingerprints import of_values
from gateway.policy.governors import CompiledLoop
from gateway.policy.guards import short

_ADVICE = {
    "repeats": "use the result that you have, or do something else",
    "errors": "it will fail again: change the arguments, or do something else",
    "pending": "wait for their answers",
    "cycle": "the next round will be no different: use what you have, or do something else",
    "stalled": "use what you have, do something else, or tell the user what you lack",
    "streak": "find out what is wrong before you go on, or tell the user",
}

NEAR = "near"
"""The state of a hold of a call that passes, and after which the same call may be refused."""


def advice_of(holds: Iterable[Hold]) -> tuple[Spoke, ...]:
    """What the agent is told with the answer of a call that is close to a loop."""
    advice: tuple[Spoke, ...] = ()
    for hold in holds:
        if hold.state == NEAR and isinstance(hold.claim, LoopClaim) and hold.claim.settings.enforced:
            advice += (Spoke("loop", hold.claim.guard, Verdict.WARN, Mode.ENFORCE, hold.detail),)
    return advice


class Loops:
    """Claims leave to make this very call, of every loop guard that matches."""

    def __init__(self, book: PolicyBook) -> None:
        self._book = book
        self._kinds = ClaimMemo(self._of_the_kind).of
        self._ignored: dict[str, tuple[str, ...]] = {}

    def claims(self, call: Call) -> tuple[Claim, ...]:
        """One for each guard, with what the call asks for as the guard sees it."""
        kinds = self._kinds(call)
        return self._own(kinds, call) if kinds else ()

    def of_the_kind(self, call: Call) -> Prepared:
        """What adds to the claims of the kind what a call asks for."""
        kinds = self._kinds(call)
        return partial(self._own, kinds) if kinds else ()

    def _own(self, kinds: tuple[Claim, ...], call: Call) -> tuple[Claim, ...]:
        changes = may_change(call)
        ignored, intent = self._ignored, call.intent
        return tuple(
            [
                LoopClaim(
                    each.guard,
                    each.key,
                    self._intent(call, each.guard) if ignored.get(each.guard) else intent,
                    changes,
                    each.polls,
                    each.settings,
                    each.by_result,
                )
                for each in kinds
                if isinstance(each, LoopClaim)
            ]
        )

    def _intent(self, call: Call, guard: str) -> str:
        ignore = self._ignored.get(guard)
        if not ignore or not call.intent or call.args is UNREAD:
            return call.intent
        return of_values(call, ignore)

    def _of_the_kind(self, call: Call) -> tuple[tuple[Claim, ...], bool]:
        """Claims without an intent: all else is the same for calls of one kind."""
        loops = self._book.governors(CompiledLoop, call.tool.name, call.operation, implied=call.implied)
        self._ignored.update({loop.name: loop.ignore for loop in loops})
        agent, run = call.tree
        by_result = call.tool.protocol == "mcp"
        claims = [
            LoopClaim(
                loop.name,
                (loop.name, agent, short(run)),
                "",
                True,
                loop.is_poll(call.operation),
                loop.settings,
                by_result,
            )
            for loop in loops
        ]
        return tuple(claims), True

    def refusal(self, hold: Hold) -> Refusal:
        claim = hold.claim
        if not isinstance(claim, LoopClaim):
            raise TypeError(f"not a claim of a loop guard: {claim!r}")
        rule = f"loop/{claim.guard}"
        if hold.escalate:
            detail = f"loop {claim.guard!r}: this run goes round in circles, and has been stopped"
            advice = "make no more calls; tell the user what you were trying to do, and how far you came"
            seconds = claim.settings.quarantine
            return Refusal(Reason.LOOP_DETECTED, 403, detail, rule, advice=advice, quarantine="run", seconds=seconds)
        if not hold.detail:
            return Refusal(Reason.LOOP_DETECTED, 403, "the same again", rule, advice="do something else, or stop")
        return Refusal(Reason.LOOP_DETECTED, 403, hold.detail, rule, advice=_ADVICE[hold.state])
