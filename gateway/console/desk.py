"""What pages are made from: the records, the feed, and how the gateway stands at this moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import time
from typing import Any

from aiohttp import web
from msgspec import Struct

from gateway.admin.breakers import shown as shown_circuits
from gateway.admin.gate import Gate
from gateway.admin.principals import principal_of
from gateway.admin.quarantines import shown as shown_quarantine
from gateway.approvals.exemptions import Exemption
from gateway.approvals.permission import Who
from gateway.config.load import Loaded
from gateway.console.feed import Feed
from gateway.console.inbox import Inbox
from gateway.console.records import Records
from gateway.console.render import page
from gateway.errors import StoreUnavailable
from gateway.model import Approval
from gateway.model.pools import PoolState
from gateway.model.standing import Standing
from gateway.stores.circuits import Circuits
from gateway.stores.quarantines import Register
from gateway.stores.runs import RunLine
from gateway.understand.pins import Change

Explain = Callable[[dict[str, Any], Loaded], list[str]]
"""What would have changed a recorded call, in lines; by these policies."""


class Sights(Struct, frozen=True):
    """Where to look for what is, at the moment of asking."""

    status: Callable[[], Mapping[str, Any]]
    """As on /readyz."""
    loaded: Callable[[], Loaded]
    quarantines: Register
    circuits: Circuits
    pools: Callable[[], list[PoolState]]
    budgets: Callable[[], Awaitable[list[Standing]]]
    runs: Callable[[], list[RunLine]]
    unapproved: Callable[[], Sequence[Change]]
    """Tools of MCP servers that are not as approved."""
    explain: Explain
    inbox: Inbox
    why_not: Callable[[Approval, Who], str]
    """Why somebody may not decide on an approval; empty where they may."""
    holds: Callable[[str], bool]
    """Whether an agent is held on the line here for the approval with this id."""
    past: Callable[[Approval], Sequence[Mapping[str, Any]]]
    """What people said of calls like it before (``approvals/similar.py``)."""
    exemptions: Callable[[], Sequence[Exemption]]
    """Those that stand."""
    calibration: Callable[[], Mapping[str, Any]]
    """What verdicts tell and suggest (``admin/calibration.py``)."""
    hide: Callable[[bytes], bytes] = bytes
    """Takes secrets out of JSON. In a page they are no longer known by their names."""


class Desk:
    """One for all pages."""

    def __init__(self, records: Records, feed: Feed, sights: Sights, gate: Gate) -> None:
        self.records, self.feed, self.sights, self.gate = records, feed, sights, gate

    async def page(self, request: web.Request, template: str, status: int = 200, **context: Any) -> web.Response:
        """A page with what all pages have. It is written in another thread: a long one takes many milliseconds."""
        state = self.sights.status()
        return await asyncio.to_thread(
            page,
            template,
            status,
            path=request.path,
            now=time(),
            state=state,
            word=word_of(state),
            stored=self.records.stored,
            asking=self.sights.inbox.waiting,
            session=self.gate.in_session(request),
            who=principal_of(request),
            **context,
        )

    def connected(self, approval: Approval) -> bool:
        """Whether its agent is on the line. Of a known-answer check this is as it would be of any other."""
        if approval.canary:
            return time() < approval.opened + approval.terms.hold
        return self.sights.holds(approval.id)

    def quarantines(self) -> list[dict[str, Any]]:
        """What is quarantined, for templates."""
        now = time()
        return [shown_quarantine(one, now) for one in self.sights.quarantines]

    def quarantine(self, scope: str, *key: str) -> dict[str, Any] | None:
        """The quarantine of this, if it stands."""
        return next((one for one in self.quarantines() if one["scope"] == scope and one["key"] == key), None)

    def breakers(self, tool: str = "") -> list[dict[str, Any]]:
        """Circuits, those first that are not closed; of one tool, and those that are for several, where it is named."""
        found = shown_circuits(self.sights.circuits, self.sights.loaded().book.breaker_names)
        return [one for one in found if not tool or (one["key"] and one["key"][0] == tool)]

    async def budgets(self, agent: str = "") -> list[Standing]:
        """Budgets, nearest to their limits first; those that count by this agent where it is named. Empty where their
        store is away."""
        try:
            found = await self.sights.budgets()
        except StoreUnavailable:
            return []
        mine = [one for one in found if not agent or agent in one.key]
        return sorted(mine, key=lambda one: one.left / one.limit)


def word_of(state: Mapping[str, Any]) -> str:
    """How the gateway is, in a word or two."""
    if state["draining"]:
        return "draining"
    if not state["ready"]:
        return "not ready"
    return "reload failed" if state["last_reload_error"] else "ready"
