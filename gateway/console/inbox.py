"""What waits for people, as the inbox shows it: in order, alike ones together, one page at a time.

Ten thousand may wait. Their order is made once for all who look, and again when something has changed; a page renders
only what is on it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from time import monotonic

from msgspec import Struct

from gateway.approvals.alike import key_of
from gateway.approvals.changes import Changes
from gateway.approvals.docket import Docket
from gateway.model import Approval, ApprovalState, Attention

PER_PAGE = 50
"""Cards on one page of the inbox, and members of one group before somebody at once."""
_FRESH = 5.0
"""Seconds after which the order is made anew though nothing has changed: waiting itself moves it."""
_SHARE = 4
"""Making the order takes at most one part in so many of the time."""
_PAUSE, _COST = 0.2, 1e-6
"""Seconds between two looks at the queue, at least; and what a look takes for each that waits, about."""
_AT_ONCE = 200
"""Priorities that are computed before calls have their turn."""
MOST_CHOICES = 200
"""Values of one filter that are offered."""

Priority = Callable[[Approval, float], float]
"""What a look at an approval is worth now (seconds since the epoch): the highest comes first."""

Tired = Callable[[str, Attention, float], bool]
"""Whether a person has had as many of these before them lately as they should; the last is now."""


class Wanted(Struct, frozen=True):
    """Which approvals somebody wants to see; empty is all."""

    tool: str = ""
    agent: str = ""
    rule: str = ""

    def fits(self, approval: Approval) -> bool:
        """Whether it is one of them."""
        return (
            (not self.tool or approval.tool == self.tool)
            and (not self.agent or approval.agent == self.agent)
            and (not self.rule or self.rule in approval.rules)
        )


class Card(Struct, frozen=True):
    """Approvals that are alike, the one most worth a look first."""

    members: tuple[Approval, ...]

    @property
    def first(self) -> Approval:
        """The one that the card shows."""
        return self.members[0]

    @property
    def key(self) -> str:
        """What the card is known by while its first stands."""
        return self.first.id


class Page(Struct, frozen=True):
    """One page of the inbox."""

    cards: tuple[Card, ...]
    number: int
    pages: int
    waiting: int
    """All that wait."""
    wanted: int
    """Those of them that fit the filter."""
    groups: int
    newest: float
    """When the newest of all was opened."""


class Choices(Struct, frozen=True):
    """What can be filtered by, and how many wait for each, most first."""

    tools: list[tuple[str, int]]
    agents: list[tuple[str, int]]
    rules: list[tuple[str, int]]


class Inbox:
    """Over a docket."""

    def __init__(self, docket: Docket, priority: Priority, tired: Tired) -> None:
        self.docket = docket
        self.changes = Changes(docket)
        self.watching = 0
        """How many pages are told of changes."""
        self._priority, self._tired = priority, tired
        self._ordered: list[Approval] = []
        self._made_of = -1
        self._good_until = 0.0
        self._not_before = 0.0
        self._making = asyncio.Lock()

    async def ordered(self) -> list[Approval]:
        """All that wait, in order."""
        async with self._making:
            now = monotonic()
            changed = self._made_of != self.changes.last
            if now < self._not_before or (not changed and now < self._good_until):
                return self._standing()
            self._made_of = self.changes.last
            self._ordered = await self._in_order(self.docket.waiting(), self.docket.now())
            done = monotonic()
            self._not_before = done + (done - now) * _SHARE
            self._good_until = done + _FRESH
            return self._ordered

    async def _in_order(self, waiting: list[Approval], now: float) -> list[Approval]:
        """On the loop, where all that priorities depend on lives; some at a time, so that calls go on meanwhile."""
        ranked: list[tuple[float, float, str, Approval]] = []
        for start in range(0, len(waiting), _AT_ONCE):
            some = waiting[start : start + _AT_ONCE]
            ranked += [(-self._priority(one, now), one.opened, one.id, one) for one in some]
            await asyncio.sleep(0)
        return [one for *_, one in await asyncio.to_thread(sorted, ranked)]

    def _standing(self) -> list[Approval]:
        """The order as it was made, without what has been decided since, and with what is new at its end."""
        if self._made_of == self.changes.last:
            return self._ordered
        waiting = {approval.id: approval for approval in self.docket.waiting()}
        known = [waiting.pop(one.id) for one in self._ordered if one.id in waiting]
        return known + list(waiting.values())

    async def page(self, wanted: Wanted, number: int = 1, approver: str = "") -> Page:
        """A page of cards for this person; the last one where there are fewer."""
        everything = await self.ordered()
        enough = self._enough(everything, approver)
        if enough:  # what they have seen enough of comes last
            everything = sorted(everything, key=lambda one: one.terms.attention in enough)
        return await asyncio.to_thread(self._page, everything, wanted, number)

    def _enough(self, everything: Sequence[Approval], approver: str) -> set[Attention]:
        """The budgets of attention that this person has used up."""
        now = self.docket.now()
        budgets = {one.terms.attention for one in everything if one.terms.attention.per_approver}
        return {budget for budget in budgets if self._tired(approver, budget, now)}

    def _page(self, everything: Sequence[Approval], wanted: Wanted, number: int) -> Page:
        mine = [approval for approval in everything if wanted.fits(approval)]
        groups: dict[Hashable, list[Approval]] = {}
        for approval in mine:
            groups.setdefault(key_of(approval), []).append(approval)
        cards = list(groups.values())
        pages = max(1, -(-len(cards) // PER_PAGE))
        number = min(number, pages)
        shown = cards[(number - 1) * PER_PAGE : number * PER_PAGE]
        return Page(
            tuple([Card(tuple(members)) for members in shown]),
            number,
            pages,
            len(everything),
            len(mine),
            len(cards),
            max([approval.opened for approval in everything], default=0.0),
        )

    async def alike(self, approval: Approval) -> list[Approval]:
        """All that wait and are alike, this one first."""
        key = key_of(approval)
        everything = await self.ordered()
        return [approval, *[one for one in everything if one.id != approval.id and key_of(one) == key]]

    async def choices(self) -> Choices:
        """What can be filtered by."""
        return await asyncio.to_thread(self._choices, self.docket.waiting())

    def _choices(self, waiting: Sequence[Approval]) -> Choices:
        tools, agents, rules = Counter[str](), Counter[str](), Counter[str]()
        for approval in waiting:
            tools[approval.tool] += 1
            agents[approval.agent] += 1
            rules.update(dict.fromkeys(approval.rules, 1))
        return Choices(
            tools.most_common(MOST_CHOICES), agents.most_common(MOST_CHOICES), rules.most_common(MOST_CHOICES)
        )

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self.docket.waiting())

    @property
    def pause(self) -> float:
        """Seconds that a page should wait before it asks for the queue again: however many look, and however often
        something changes, that takes a part of the time only."""
        return max(_PAUSE, self.watching * self.waiting * _COST * _SHARE)

    def past(self, wanted: Wanted, states: frozenset[ApprovalState]) -> list[Approval]:
        """Those that wait no more, newest first."""
        found = [one for one in self.docket if one.state in states and wanted.fits(one)]
        return sorted(found, key=lambda one: -(one.decided or one.opened))
