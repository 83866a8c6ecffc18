"""``/calls/ID``: everything that is on record of one call, and what would have changed it."""

from __future__ import annotations

from aiohttp import web

from gateway.console import plots
from gateway.console.desk import Desk
from gateway.console.errors import Missing
from gateway.console.pieces import whole
from gateway.console.story import unusual
from gateway.console.stream import outcome_of


async def one(desk: Desk, request: web.Request, ident: str) -> web.StreamResponse:
    """The page.

    Raises:
        Missing: there is no such call.
    """
    row = await desk.records.ask(lambda reader: reader.call(ident))
    if row is None:
        raise Missing(
            f"No call {ident!r} is on record. It may be too old for the trace store, or so new that it is not in there"
            " yet: that takes half a second."
        )
    record = whole(row.record)
    timings = record["timings"]
    return await desk.page(
        request,
        "call.html",
        row=row,
        record=record,
        outcome=outcome_of(record),
        guards=sorted(record["guards"], key=lambda guard: not unusual(guard)),
        stay=plots.stay(
            0, row.total_ms / 1e3, 0, timings["queue_ms"] + timings["asked_ms"] + timings["decide_ms"], row.total_ms
        ),
        agent=record["agent"],
        tree=(row.tree_agent, row.tree_run),
        proposed_by=record.get("proposed_by"),
        changes=desk.sights.explain(row.record, desk.sights.loaded()),
    )
