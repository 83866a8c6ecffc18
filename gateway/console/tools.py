"""Tools: how fast they are, how often they fail, what stands between them and the agents."""

from __future__ import annotations

from time import time

from aiohttp import web

from gateway.console.desk import Desk
from gateway.console.errors import Missing
from gateway.console.windows import BUCKETS, SPANS, window_of
from gateway.observe.store.found import Filter, ToolStats


async def listing(desk: Desk, request: web.Request) -> web.StreamResponse:
    """``/tools``: all that are configured, and those that there are only calls of."""
    window = window_of(request.query, time())
    stats = await desk.records.ask(lambda reader: reader.tools(window.since, window.until, BUCKETS))
    by_name = {one.tool: one for one in stats}
    configured = {tool.name: tool for tool in desk.sights.loaded().tools}
    return await desk.page(
        request,
        "tools.html",
        tools=[(name, configured.get(name), by_name.get(name)) for name in sorted({*configured, *by_name})],
        circuits=desk.breakers(),
        pools=desk.sights.pools(),
        window=window,
        spans=SPANS,
    )


async def one(desk: Desk, request: web.Request, name: str) -> web.StreamResponse:
    """``/tools/NAME``.

    Raises:
        Missing: there is no such tool, and no call to one.
    """
    window = window_of(request.query, time())
    wanted = Filter(since=window.since, tool=name)
    stats, trouble, refusals = await desk.records.ask(
        lambda reader: (
            reader.tools(window.since, window.until, BUCKETS),
            [row for row in reader.calls(wanted, 200) if row.failed or row.decision == "refuse"][:20],
            reader.refusals(wanted),
        )
    )
    mine: ToolStats | None = next((each for each in stats if each.tool == name), None)
    tool = next((each for each in desk.sights.loaded().tools if each.name == name), None)
    if tool is None and mine is None:
        raise Missing(f"No tool is called {name!r}, and in this time none was called.")
    return await desk.page(
        request,
        "tool.html",
        name=name,
        tool=tool,
        stats=mine,
        trouble=trouble,
        refusals=refusals,
        circuits=desk.breakers(name),
        pools=[pool for pool in desk.sights.pools() if pool.tool == name],
        unapproved=[str(change) for change in desk.sights.unapproved() if change.server == name],
        quarantine=desk.quarantine("tool", name),
        window=window,
        spans=SPANS,
    )
