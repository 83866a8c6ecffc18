"""The first page: calls as they end, the last hour in numbers, and what needs somebody's attention."""

from __future__ import annotations

from time import time
from typing import Any

from aiohttp import web
from msgspec import Struct

from gateway.console.desk import Desk
from gateway.console.pieces import whole
from gateway.console.records import PATIENCE
from gateway.console.stream import choice_of, newest
from gateway.observe.store.found import Filter, RefusalStats, Stretch
from gateway.observe.store.reader import TraceReader

_ACTIVE = 60.0
"""Seconds after its last call for which a run counts as running."""
_SHOWN = 40
"""Calls that the page begins with."""
_AGAIN, _SHARE = 2.0, 10
"""Seconds for which the numbers are good, however many look; or so many times as long as it took to count them."""


class Numbers(Struct, frozen=True):
    """The last hour."""

    line: tuple[Stretch, ...]
    refusals: list[RefusalStats]

    @property
    def calls(self) -> int:
        return sum(one.calls for one in self.line)

    @property
    def refused(self) -> int:
        return sum(one.refused for one in self.line)

    @property
    def failed(self) -> int:
        return sum(one.failed for one in self.line)

    @property
    def cost_usd(self) -> float:
        return sum(one.cost_usd for one in self.line)


class Home:
    """The page and its parts."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._numbers = Numbers((), [])
        self._good_until = 0.0

    async def page(self, request: web.Request) -> web.StreamResponse:
        """``/``"""
        desk, choice = self._desk, choice_of(request.query)
        last = desk.feed.last
        lines, _ = desk.feed.after(0)
        found, _ = newest(lines, choice, _SHOWN)
        if not found and desk.records.stored:  # the gateway has only just begun: what was before?
            rows = await desk.records.ask(lambda reader: reader.calls(choice.filter, _SHOWN))
            found = [whole(row.record) for row in rows]
        return await desk.page(
            request,
            "home.html",
            calls=found,
            choice=choice,
            last=last,
            tools=sorted(tool.name for tool in desk.sights.loaded().tools),
            **await self._context(),
        )

    async def numbers(self, request: web.Request) -> web.StreamResponse:
        """``/parts/numbers``: what of the page is fetched again every few seconds."""
        return await self._desk.page(request, "numbers.html", **await self._context())

    async def _context(self) -> dict[str, Any]:
        desk = self._desk
        state = desk.sights.status()
        return {
            "numbers": await self._hour(),
            "running": sum(line.idle < _ACTIVE for line in desk.sights.runs()),
            "quarantines": desk.quarantines(),
            "circuits": [one for one in desk.breakers() if one["state"] != "closed"],
            "budgets": [one for one in await desk.budgets() if one.left * 10 <= one.limit][:5],
            "unapproved": [str(change) for change in desk.sights.unapproved()],
            "trace": state["trace"],
            "reload": state["last_reload_error"],
        }

    async def _hour(self) -> Numbers:
        now = time()
        if now > self._good_until:
            self._good_until = now + PATIENCE  # whoever comes meanwhile is shown what there was
            self._numbers = await self._desk.records.ask(lambda reader: _count(reader, now))
            took = time() - now
            self._good_until = time() + max(_AGAIN, took * _SHARE)
        return self._numbers


def _count(reader: TraceReader, now: float) -> Numbers:
    return Numbers(reader.timeline(now - 3600, now, 60), reader.refusals(Filter(since=now - 3600))[:5])
