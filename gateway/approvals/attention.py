"""How much of people's attention approvals may take: budgets by the hour, over all replicas.

An agent that asks too often would have people wave things through. Beyond the budget its calls are refused, or people
see a sample of them. What counts is what was put before people in the last hour, on whichever replica.

No agent can use up what is for all: each may have at most three times as much as is still left (the dynamic thresholds
of Choudhury and Hahne, 1998). So one that is alone gets three quarters of the budget, and the next find some too.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Callable

from gateway.approvals.docket import Docket
from gateway.approvals.samples import verdict_of
from gateway.model import Approval, ApprovalState, Attention, Call, Petition, Reason, Ruling

HOUR = 3600.0
OPENING = 5.0
"""Seconds within which an approval that was to be opened is heard of, or has not been opened."""
MOST = 20_000
"""Times that a window keeps: more in an hour is beyond any budget of people."""
MOST_PEOPLE = 10_000
"""People whose verdicts are counted."""
SHARE = 3
"""An agent may have so many times as much as is left."""

Counted = Callable[[str, str], None]
"""Is told of each call beyond a budget: its name, and ``refused`` or ``sampled``."""


class Window:
    """What happened in the last hour, and by whom. Times come in any order: replicas hear of one another late."""

    def __init__(self) -> None:
        self._times: list[tuple[float, str]] = []
        self._by: Counter[str] = Counter()

    def add(self, at: float, who: str) -> None:
        """Count something."""
        insort(self._times, (at, who))
        self._by[who] += 1
        if len(self._times) > MOST:
            self._drop(1)

    def of(self, who: str) -> int:
        """How much of it was theirs, as of the last ``count``."""
        return self._by.get(who, 0)

    def count(self, now: float) -> int:
        """How much it was."""
        self._drop(bisect_right(self._times, now - HOUR, key=lambda one: one[0]))
        return len(self._times)

    def _drop(self, many: int) -> None:
        for _, who in self._times[:many]:
            self._by[who] -= 1
            if not self._by[who]:
                del self._by[who]
        del self._times[:many]


class AttentionBudgets:
    """Counts what people are asked, and rules on calls that are beyond it."""

    def __init__(self, docket: Docket, counted: Counted) -> None:
        """To be made before the docket starts, so that it hears of what stands."""
        self._docket, self._counted = docket, counted
        self._opened: dict[str, Window] = {}
        self._opening: dict[str, dict[str, tuple[float, str]]] = {}
        self._said: dict[tuple[str, str], Window] = {}
        docket.watch(self._hear)

    async def before(self, _: Call, petition: Petition) -> Ruling | None:
        """Rule on a call that nobody could look at; see ``Desk``. None: there is time to ask."""
        budget = petition.terms.attention
        if not budget.per_hour:
            return None
        now = self._docket.now()
        if self.room(budget, petition.agent, now):
            self._opening.setdefault(budget.name, {})[petition.binding] = now, petition.agent
            return None
        if budget.beyond == "sample" and sampled(petition.binding, budget.sample):
            self._counted(budget.name, "sampled")
            return None
        self._counted(budget.name, "refused")
        return busy(budget)

    def room(self, budget: Attention, agent: str, now: float) -> bool:
        """Whether a call of this agent may be put before people."""
        left = budget.per_hour - self.spent(budget.name, now)
        opened = self._opened.get(budget.name)
        mine = opened.of(agent) if opened is not None else 0
        mine += sum(who == agent for _, who in self._opening.get(budget.name, {}).values())
        return left > 0 and mine < SHARE * left

    def spent(self, name: str, now: float) -> int:
        """Approvals of this budget that were put before people in the last hour, or are about to be."""
        opening = self._opening.get(name, {})
        for binding in [binding for binding, (at, _) in opening.items() if at <= now - OPENING]:
            del opening[binding]
        opened = self._opened.get(name)
        return len(opening) + (opened.count(now) if opened is not None else 0)

    def tired(self, approver: str, budget: Attention, now: float) -> bool:
        """Whether this person has decided on as many of them in the last hour as they should: they are not told of
        more, and see them last."""
        said = self._said.get((approver, budget.name))
        return bool(budget.per_approver) and said is not None and said.count(now) >= budget.per_approver

    def _hear(self, before: Approval | None, after: Approval | None) -> None:
        if after is None or after.terms.attention == Attention():
            return
        name = after.terms.attention.name
        if before is None or before.id != after.id:
            self._opened.setdefault(name, Window()).add(after.opened, after.agent)
            self._opening.get(name, {}).pop(after.binding, None)
            before = None
        if verdict_of(after) and (before is None or before.state is ApprovalState.WAITING):
            self._decided(name, after)

    def _decided(self, name: str, after: Approval) -> None:
        for vote in after.votes:
            if vote.verb == "ask":
                continue
            key = vote.by, name
            if key not in self._said and len(self._said) >= MOST_PEOPLE:
                self._said.pop(next(iter(self._said)))
            self._said.setdefault(key, Window()).add(vote.at, "")


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
        message=f"a person would have to approve this call, and they have been asked too much in the last hour: at most"
        f" {budget.per_hour} times, of which one agent may have three quarters",
        reason=Reason.APPROVAL_DENIED,
        advice="do not repeat this call now; go on without it, or do what needs nobody's approval, and come back in an"
        " hour",
    )
