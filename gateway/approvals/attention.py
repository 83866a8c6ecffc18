"""How much of people's attention approvals may take: budgets by the hour, over all replicas.

An agent that asks too often would have people wave things through. Beyond the budget its calls are refused, or people
see a sample of them. What counts is what was put before people in the last hour, on whichever replica.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable

from gateway.approvals.docket import Docket
from gateway.approvals.samples import verdict_of
from gateway.model import Approval, ApprovalState, Attention, Call, Petition, Reason, Ruling

HOUR = 3600.0
OPENING = 5.0
"""Seconds within which an approval that was to be opened is heard of, or has not been opened."""
MOST = 20_000
"""Approvals of one budget that are counted in an hour: more is beyond any budget of people."""
MOST_PEOPLE = 10_000
"""People whose verdicts are counted."""

Counted = Callable[[str, str], None]
"""Is told of each call beyond a budget: its name, and ``refused`` or ``sampled``."""


class AttentionBudgets:
    """Counts what people are asked, and rules on calls that are beyond it."""

    def __init__(self, docket: Docket, counted: Counted) -> None:
        """To be made before the docket starts, so that it hears of what stands."""
        self._docket, self._counted = docket, counted
        self._opened: dict[str, list[float]] = {}
        self._opening: dict[str, dict[str, float]] = {}
        self._said: dict[tuple[str, str], list[float]] = {}
        docket.watch(self._hear)

    async def before(self, _: Call, petition: Petition) -> Ruling | None:
        """Rule on a call that nobody could look at; see ``Desk``. None: there is time to ask."""
        budget = petition.terms.attention
        if not budget.per_hour:
            return None
        now = self._docket.now()
        if self.spent(budget.name, now) < budget.per_hour:
            self._opening.setdefault(budget.name, {})[petition.binding] = now
            return None
        if budget.beyond == "sample" and sampled(petition.binding, budget.sample):
            self._counted(budget.name, "sampled")
            return None
        self._counted(budget.name, "refused")
        return busy(budget)

    def spent(self, name: str, now: float) -> int:
        """Approvals of this budget that were put before people in the last hour, or are about to be."""
        opening = self._opening.get(name, {})
        for binding in [binding for binding, at in opening.items() if at <= now - OPENING]:
            del opening[binding]
        return len(_recent(self._opened.get(name), now)) + len(opening)

    def tired(self, approver: str, budget: Attention, now: float) -> bool:
        """Whether this person has decided on as many of them in the last hour as they should: they are not told of
        more, and see them last."""
        if not budget.per_approver:
            return False
        return len(_recent(self._said.get((approver, budget.name)), now)) >= budget.per_approver

    def _hear(self, before: Approval | None, after: Approval | None) -> None:
        if after is None or after.terms.attention == Attention():
            return
        name = after.terms.attention.name
        if before is None or before.id != after.id:
            _count(self._opened.setdefault(name, []), after.opened)
            self._opening.get(name, {}).pop(after.binding, None)
        if after.state is not ApprovalState.WAITING and verdict_of(after):
            self._decided(name, before, after)

    def _decided(self, name: str, before: Approval | None, after: Approval) -> None:
        if before is not None and before.id == after.id and before.state is not ApprovalState.WAITING:
            return
        for vote in after.votes:
            if vote.verb == "ask":
                continue
            if len(self._said) >= MOST_PEOPLE:
                self._said.pop(next(iter(self._said)))
            _count(self._said.setdefault((vote.by, name), []), vote.at)


def _count(times: list[float], at: float) -> None:
    """Replicas hear of one another's late: times do not come in order."""
    insort(times, at)
    if len(times) > MOST:
        del times[0]


def _recent(times: list[float] | None, now: float) -> list[float]:
    if times is None:
        return []
    del times[: bisect_right(times, now - HOUR)]
    return times


def sampled(binding: str, share: float) -> bool:
    """Whether a call is of the sample that still goes to people: by its digest, so that asking again changes
    nothing."""
    return int(binding[:8], 16) < share * 2**32


def busy(budget: Attention) -> Ruling:
    """What a call beyond the budget is told."""
    return Ruling(
        False,
        verb="budget",
        why=budget.name,
        message=f"a person would have to approve this call, and they are asked {budget.per_hour} times an hour already",
        reason=Reason.APPROVAL_DENIED,
        advice="do not repeat this call now; go on without it, or do what needs nobody's approval, and come back in an"
        " hour",
    )
