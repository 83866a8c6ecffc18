"""Calls as they end, to a browser: server-sent events (HTML Living Standard, 9.2), each with rows of the feed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from aiohttp import web
from msgspec import Struct

from gateway.admin.events import STILL_HERE, send, wait
from gateway.console.desk import Desk
from gateway.console.errors import Mistaken
from gateway.console.render import PAGE_HEADERS, render
from gateway.observe.store.found import Filter

MOST_ROWS = 50
"""Rows of one event: more than that in a quarter of a second nobody reads."""
_PAUSE = 0.25
"""Seconds between two events, at least."""
_DECISIONS = ("", "allow", "refuse", "failed")


class Choice(Struct, frozen=True):
    """Which calls somebody wants to see. ``decision`` is allow, refuse or failed (let through, and failed)."""

    tool: str = ""
    agent: str = ""
    decision: str = ""

    @property
    def filter(self) -> Filter:
        """The same for the store, which cannot be asked for what failed."""
        return Filter(
            tool=self.tool, agent=self.agent, decision="allow" if self.decision == "failed" else self.decision
        )

    def fits(self, record: Mapping[str, Any]) -> bool:
        """Whether a record is one of them."""
        if (self.tool and record["tool"] != self.tool) or (self.agent and record["agent"] != self.agent):
            return False
        if not self.decision:
            return True
        return outcome_of(record) == self.decision

    def candidates(self, lines: Iterable[bytes]) -> list[bytes]:
        """Encoded records that can be among them, told without decoding any."""
        decision = "allow" if self.decision == "failed" else self.decision
        wanted = (("tool", self.tool), ("agent", self.agent), ("decision", decision))
        needles = [orjson.dumps({name: value})[1:-1] for name, value in wanted if value]
        return [line for line in lines if all(needle in line for needle in needles)]


def choice_of(query: Mapping[str, str]) -> Choice:
    """The choice that a query makes.

    Raises:
        Mistaken: there is no such decision.
    """
    decision = query.get("decision", "")
    if decision not in _DECISIONS:
        raise Mistaken("decision must be allow, refuse or failed")
    return Choice(query.get("tool", "").strip(), query.get("agent", "").strip(), decision)


def outcome_of(record: Mapping[str, Any]) -> str:
    """What came of a call, in a word: ``allow``, ``refuse``, ``failed`` (let through, and failed) or ``left``."""
    if record["decision"] != "allow":
        return record["decision"] or "left"
    status = record["upstream_status"] or 0
    failed = not 0 < status < 400 or record["fault"] is not None or record.get("is_error")
    return "failed" if failed else "allow"


def newest(lines: Iterable[bytes], choice: Choice, most: int) -> tuple[list[dict[str, Any]], int]:
    """The newest records that are wanted, newest first; and how many more there are, at most."""
    candidates = choice.candidates(lines)
    found: list[dict[str, Any]] = []
    for number, line in enumerate(reversed(candidates)):
        if len(found) == most:
            return found, len(candidates) - number
        record = orjson.loads(line)
        if choice.fits(record):
            found.append(record)
    return found, 0


async def stream(desk: Desk, request: web.Request) -> web.StreamResponse:
    """``/parts/feed``: rows of calls that ended after the one numbered ``after``, until the browser goes."""
    choice = choice_of(request.query)
    number = number_after(request, desk.feed.last)
    with desk.feed.watching() as event:
        response = web.StreamResponse(headers={**PAGE_HEADERS, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        await send(response, b"retry: 1000\n\n")
        while not desk.feed.closed:
            event.clear()
            lines, gone = desk.feed.after(number)
            number = desk.feed.last
            found, more = newest(lines, choice, MOST_ROWS)
            if found or gone:
                rows = render("rows.html", calls=found, more=more + gone, live=True)
                if not await send(response, _event(number, rows)):
                    break
            await asyncio.sleep(_PAUSE)
            if not await wait(event) and not await send(response, STILL_HERE):
                break
    return response


def _event(number: int, html: str) -> bytes:
    data = "".join(f"data: {line}\n" for line in html.splitlines() if line.strip())
    return f"id: {number}\n{data}\n".encode("utf-8", "replace")


def number_after(request: web.Request, last: int) -> int:
    """After which event a browser wants to go on. A number of another process's feed is none of ours."""
    text = request.headers.get("Last-Event-ID") or request.query.get("after", "")
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else last
    return min(number, last)
