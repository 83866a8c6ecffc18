"""Which approvals a list shows, and in which order."""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from gateway.admin.problems import Failure
from gateway.model import OPEN, Approval, ApprovalState

USUAL, MOST = 100, 1000
"""Approvals that are listed, where it is not said how many, and at most."""
ORDERS = ("value", "age", "expires", "newest")
"""What is worth most of a person's attention first; the oldest; what expires soonest; the newest."""
_TURN = 256
"""Approvals that are valued in one turn of the event loop."""
_GROUPS = {"open": OPEN, "closed": frozenset(ApprovalState) - OPEN, "all": frozenset(ApprovalState)}

Priority = Callable[[Approval, float], float]
"""What a look at an approval is worth now; the highest comes first."""


class Query(Struct, frozen=True):
    """What somebody wants to see; an empty text is whatever there is. ``rule`` is POLICY/RULE, or all of a POLICY."""

    states: frozenset[ApprovalState] = frozenset({ApprovalState.WAITING})
    tool: str = ""
    agent: str = ""
    rule: str = ""
    order: str = ORDERS[0]
    limit: int = USUAL

    def fits(self, approval: Approval) -> bool:
        """Whether the approval is one of them, in whichever state."""
        return (
            self.tool in ("", approval.tool)
            and self.agent in ("", approval.agent)
            and (not self.rule or any(self.rule in (rule, rule.partition("/")[0]) for rule in approval.rules))
        )


def query_of(given: Mapping[str, str]) -> Query:
    """The query of a request.

    Raises:
        Failure: 400, one of the parameters makes no sense, or there is none of that name.
    """
    unknown = given.keys() - {"state", "tool", "agent", "rule", "order", "limit"}
    if unknown:
        raise Failure(400, f"no parameter is called {min(unknown)[:100]!r}")
    order, limit = given.get("order", ORDERS[0]), given.get("limit", str(USUAL))
    if order not in ORDERS:
        raise Failure(400, f"order must be one of {', '.join(ORDERS)}")
    if not limit.isascii() or not limit.isdecimal() or not 0 < int(limit[:9]) <= MOST:
        raise Failure(400, f"limit must be from 1 to {MOST}")
    return Query(
        _states(given.get("state", "waiting")),
        given.get("tool", ""),
        given.get("agent", ""),
        given.get("rule", ""),
        order,
        int(limit),
    )


def _states(text: str) -> frozenset[ApprovalState]:
    if text in _GROUPS:
        return _GROUPS[text]
    try:
        return frozenset([ApprovalState(word) for word in text.split(",")])
    except ValueError:
        words = ", ".join([*_GROUPS, *ApprovalState])
        raise Failure(400, f"state must be one of {words}, or several with commas") from None


async def chosen(
    approvals: Iterable[Approval], query: Query, now: float, priority: Priority
) -> tuple[list[Approval], int, Counter[str]]:
    """The first of those that fit, how many fit, and how many of them there are in each state. Calls of agents go on
    while thousands are put in order."""
    fitting = [approval for approval in approvals if query.fits(approval)]
    counts = Counter([approval.state.value for approval in fitting])
    wanted = [approval for approval in fitting if approval.state in query.states]
    keys: dict[str, Callable[[Approval], tuple[float, ...]]] = {
        "value": lambda approval: (-priority(approval, now), approval.opened),
        "age": lambda approval: (approval.opened,),
        "expires": lambda approval: (approval.expires,),
        "newest": lambda approval: (-max(approval.opened, approval.decided),),
    }
    key = keys[query.order]
    ranked: list[tuple[tuple[float, ...], int]] = []
    for number, approval in enumerate(wanted):
        ranked.append((key(approval), number))
        if not number % _TURN:
            await asyncio.sleep(0)
    return [wanted[number] for _, number in heapq.nsmallest(query.limit, ranked)], len(wanted), counts
