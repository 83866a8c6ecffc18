"""``/api/pools``: who has places in tools, and who waits for them."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from gateway.admin.api import answer
from gateway.model.pools import PoolState
from gateway.stores.pools import PoolKeeper

MOST = 100
"""Agents that are listed for a pool, those with most calls in line."""


def add(app: web.Application, pools: PoolKeeper) -> None:
    """Add the routes."""

    async def listing(_: web.Request) -> web.Response:
        now = time.monotonic()
        return answer({"pools": [_shown(state, pools, now) for state in pools.states()]})

    app.router.add_get("/pools", listing)


def _shown(state: PoolState, pools: PoolKeeper, now: float) -> dict[str, Any]:
    lines = pools.lines(state.pool, state.tool, now)
    return {
        "pool": state.pool,
        "tool": state.tool,
        "in_flight": state.in_flight,
        "waiting": state.waiting,
        "limit": state.limit,
        "concurrency": state.concurrency,
        "turned_away": state.turned_away,
        "agents": [
            {
                "agent": line.agent,
                "in_flight": line.placed,
                "waiting": line.waiting,
                "waited": round(line.waited, 3),
                "weight": line.weight,
                "priority": line.priority,
            }
            for line in lines[:MOST]
        ],
        "agents_known": len(lines),
    }
