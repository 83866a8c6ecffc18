"""Runs: a list of them, and the page of one, which tells what happened in it and why."""

from __future__ import annotations

from time import time

from aiohttp import web

from gateway.console import plots
from gateway.console.desk import Desk
from gateway.console.errors import Missing
from gateway.console.pieces import number_of
from gateway.console.render import PAGE_HEADERS, link
from gateway.console.story import told, troubles
from gateway.console.windows import SPANS, window_of
from gateway.observe.store.found import Filter
from gateway.policy.guards import short

_PAGE = 50
STEPS = 200
"""Steps of a run on one page."""


async def listing(desk: Desk, request: web.Request) -> web.StreamResponse:
    """``/runs``: those active last first."""
    query, now = request.query, time()
    window = window_of(query, now, "24h")
    wanted = Filter(
        since=window.since,
        agent=query.get("agent", "").strip(),
        tool=query.get("tool", "").strip(),
        text=query.get("text", "").strip(),
    )
    limit = number_of(query.get("limit"), _PAGE, 500)
    found = await desk.records.ask(lambda reader: reader.runs(now, wanted, limit + 1))
    return await desk.page(
        request,
        "runs.html",
        runs=found[:limit],
        more=min(500, limit * 4) if len(found) > limit and limit < 500 else 0,
        wanted=wanted,
        window=window,
        spans=SPANS,
        tools=sorted(tool.name for tool in desk.sights.loaded().tools),
        quarantined={one["key"] for one in desk.quarantines() if one["scope"] == "run"},
    )


async def one(desk: Desk, request: web.Request, agent: str, run: str) -> web.StreamResponse:
    """``/runs/AGENT/RUN``: the run at the root of a tree, with all that it led to. ``agent`` is empty for nobody who
    was recognised.

    Raises:
        Missing: there is no such run, or not yet, or not any more.
        HTTPSeeOther: another run led to it, on whose page it is told.
    """
    now = time()
    stories = await desk.records.ask(lambda reader: reader.run(run, now, agent))
    story = next((one for one in stories if (one.summary.agent or "") == agent), None)
    if story is None and agent and stories:
        root = stories[0].summary
        raise web.HTTPSeeOther(link("runs", root.agent, root.run), headers=PAGE_HEADERS)
    if story is None:
        raise Missing(
            f"No call of run {run!r} of {agent or 'nobody who was recognised'} is on record. It may be too old for the"
            " trace store, or so new that it is not in there yet: that takes half a second."
        )
    steps = told(story)
    shown = [step for step in steps if step.notable] if request.query.get("only") == "notable" else steps
    first = min(number_of(request.query.get("from"), 1, 10_000), max(1, len(shown)))
    costs = [(step.step.row.at, step.step.row.cost_usd or 0.0) for step in steps]
    return await desk.page(
        request,
        "run.html",
        story=story,
        run=story.summary,
        steps=shown[first - 1 : first - 1 + STEPS],
        first=first,
        total=len(shown),
        all_steps=len(steps),
        notable=sum(step.notable for step in steps),
        only=request.query.get("only") == "notable",
        troubles=troubles(steps),
        spend=plots.stairs(sorted(costs), 600, 60) if story.summary.cost_usd else "",
        quarantine=desk.quarantine("run", agent, short(run)) if agent else None,
        of_agent=desk.quarantine("agent", agent) if agent else None,
        per_page=STEPS,
    )
