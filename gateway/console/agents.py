"""Agents: what they spend, what is refused them, what they have left."""

from __future__ import annotations

from time import time

from aiohttp import web

from gateway.console.desk import Desk
from gateway.console.errors import Missing
from gateway.console.windows import BUCKETS, SPANS, window_of
from gateway.observe.store.found import Filter


async def listing(desk: Desk, request: web.Request) -> web.StreamResponse:
    """``/agents``: dearest first."""
    window = window_of(request.query, time(), "24h")
    found = await desk.records.ask(lambda reader: reader.agents(window.since, window.until))
    quarantined = {one["key"][0] for one in desk.quarantines() if one["scope"] == "agent"}
    return await desk.page(
        request,
        "agents.html",
        agents=found[:500],
        known=len(found),
        window=window,
        spans=SPANS,
        quarantined=quarantined,
    )


async def one(desk: Desk, request: web.Request, agent: str) -> web.StreamResponse:
    """``/agents/ID``.

    Raises:
        Missing: it made no call in this time, and nothing else is known of it.
    """
    now = time()
    window = window_of(request.query, now, "24h")
    wanted = Filter(since=window.since, agent=agent)
    line, refusals, runs, trouble = await desk.records.ask(
        lambda reader: (
            reader.timeline(window.since, window.until, BUCKETS, wanted),
            reader.refusals(wanted),
            reader.runs(now, wanted, 20),
            reader.calls(Filter(since=window.since, agent=agent, decision="refuse"), 20),
        )
    )
    budgets = await desk.budgets(agent)
    quarantine = desk.quarantine("agent", agent)
    if not agent or not (any(one.calls for one in line) or budgets or quarantine):
        raise Missing(f"Agent {agent!r} made no call in this time ({window.name}).")
    return await desk.page(
        request,
        "agent.html",
        agent=agent,
        line=line,
        refusals=refusals,
        runs=runs,
        trouble=trouble,
        budgets=budgets,
        quarantine=quarantine,
        window=window,
        spans=SPANS,
    )
