"""``/approvals``: the inbox, live; what has become of the others; and what people let pass from now on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic, time
from typing import Any

import orjson
from aiohttp import web

from gateway.admin.events import STILL_HERE, send, wait
from gateway.admin.principals import APPROVER, principal_of
from gateway.approvals.changes import Crowded
from gateway.approvals.paths import of_args
from gateway.console import approval as one
from gateway.console.desk import Desk
from gateway.console.errors import Busy, Mistaken
from gateway.console.inbox import Inbox, Page, Wanted
from gateway.console.pieces import number_of
from gateway.console.render import PAGE_HEADERS
from gateway.console.stream import number_after
from gateway.model import Approval, ApprovalState

MOST_PAGES = 10_000
MOST_TOLD = 100
"""Changed approvals that one event names."""
LIFE = 900.0
"""Seconds after which a stream ends, so that its browser comes again and is asked who it is."""
MOST_VALUES = 4
"""Values on a card."""
PAST = 100
"""Past approvals on a page."""
_ENDS = frozenset(ApprovalState) - {ApprovalState.WAITING}


def wanted_of(query: Mapping[str, str]) -> Wanted:
    """What a query wants to see."""
    return Wanted(*[query.get(name, "").strip() for name in ("tool", "agent", "rule")])


def read_of(approval: Approval) -> list[tuple[str, Any]]:
    """What rules read of its arguments, by name: the few values that a card has room for."""
    found = {path.removeprefix("args."): value for held in approval.held for path, value in held.read if of_args(path)}
    return list(found.items())[:MOST_VALUES]


async def listing(desk: Desk, request: web.Request) -> web.StreamResponse:
    """``/approvals``: the queue, and beside it the approval with the id ``at``, or else the first."""
    inbox, wanted = desk.sights.inbox, wanted_of(request.query)
    page = await _page(desk, request, wanted)
    chosen = inbox.docket.find(request.query.get("at", ""))
    together = chosen is None and bool(page.cards) and len(page.cards[0].members) > 1
    if chosen is None and page.cards:
        chosen = page.cards[0].first
    beside = await one.context(desk, request, chosen, together=together) if chosen is not None else {}
    return await desk.page(
        request,
        "approvals.html",
        queue=page,
        wanted=wanted,
        choices=await inbox.choices(),
        chosen=chosen,
        after=inbox.changes.last,
        may=principal_of(request).may(APPROVER),
        connected=desk.connected,
        read_of=read_of,
        **beside,
    )


async def queue(desk: Desk, request: web.Request) -> web.StreamResponse:
    """``/parts/approvals``: a page of the queue, without what is around it."""
    wanted = wanted_of(request.query)
    page = await _page(desk, request, wanted)
    return await desk.page(request, "queue.html", queue=page, wanted=wanted, connected=desk.connected, read_of=read_of)


async def _page(desk: Desk, request: web.Request, wanted: Wanted) -> Page:
    number = number_of(request.query.get("page"), 1, MOST_PAGES)
    return await desk.sights.inbox.page(wanted, number, principal_of(request).id)


async def stream(desk: Desk, request: web.Request) -> web.StreamResponse:
    """``/parts/approvals/stream``: events that say that something has changed; the page then asks for what it shows.

    Each has ``waiting`` (how many do), ``newest`` (when the newest of them was opened, seconds since the epoch),
    ``changed`` (ids) and ``more`` (whether others have changed too).
    """
    inbox = desk.sights.inbox
    changes = inbox.changes
    number = number_after(request, changes.last)
    try:
        with changes.watching() as event, _counted(inbox):
            response = web.StreamResponse(headers={**PAGE_HEADERS, "Content-Type": "text/event-stream"})
            await response.prepare(request)
            await send(response, b"retry: 1000\n\n")
            ends = monotonic() + LIFE
            while not changes.closed and monotonic() < ends:
                event.clear()
                changed, lost = changes.after(number)
                number = changes.last
                if (changed or lost) and not await send(response, _event(number, inbox, changed, lost=lost)):
                    break
                await asyncio.sleep(inbox.pause)
                if not await wait(event) and not await send(response, STILL_HERE):
                    break
    except Crowded as error:
        raise Busy(f"{error}; close one of them") from None
    return response


@contextmanager
def _counted(inbox: Inbox) -> Iterator[None]:
    inbox.watching += 1
    try:
        yield
    finally:
        inbox.watching -= 1


def _event(number: int, inbox: Inbox, changed: list[Approval], *, lost: bool) -> bytes:
    waiting = inbox.docket.waiting()
    told = {
        "waiting": len(waiting),
        "newest": max([approval.opened for approval in waiting], default=0.0),
        "changed": [approval.id for approval in changed[:MOST_TOLD]],
        "more": lost or len(changed) > MOST_TOLD,
    }
    return b"id: %d\ndata: %b\n\n" % (number, orjson.dumps(told))


async def history(desk: Desk, request: web.Request) -> web.StreamResponse:
    """``/approvals/history``: those that wait no more, newest first.

    Raises:
        Mistaken: there is no such state.
    """
    wanted, state = wanted_of(request.query), request.query.get("state", "")
    if state and state not in set(_ENDS):
        raise Mistaken(f"state must be one of {', '.join(sorted(_ENDS))}")
    states = frozenset({ApprovalState(state)}) if state else _ENDS
    found = desk.sights.inbox.past(wanted, states)
    number = number_of(request.query.get("page"), 1, MOST_PAGES)
    return await desk.page(
        request,
        "history.html",
        found=found[(number - 1) * PAST : number * PAST],
        total=len(found),
        number=number,
        pages=max(1, -(-len(found) // PAST)),
        wanted=wanted,
        wanted_state=state,
        states=sorted(_ENDS),
    )


async def exemptions(desk: Desk, request: web.Request) -> web.StreamResponse:
    """``/exemptions``: what people let pass without being asked, and the end of each."""
    standing = desk.sights.exemptions()
    return await desk.page(
        request,
        "exemptions.html",
        exemptions=sorted(standing, key=lambda each: -each.created),
        may=principal_of(request).may(APPROVER),
        at=time(),
    )
