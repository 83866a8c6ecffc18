"""``/api/budgets``: how budgets stand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from gateway.admin.api import answer
from gateway.admin.problems import Failure
from gateway.errors import StoreUnavailable
from gateway.model.standing import Standing

MOST = 1000
"""Budgets that are listed, those first that are nearest to their limits."""

Source = Callable[[], Awaitable[list[Standing]]]


def add(app: web.Application, source: Source) -> None:
    """Add the route. ``source`` gives how budgets stand, and raises StoreUnavailable."""

    async def listing(_: web.Request) -> web.Response:
        try:
            standings = await source()
        except StoreUnavailable as error:
            raise Failure(503, f"the store of budgets is away: {error}", "ask again when it is back") from None
        standings.sort(key=lambda each: (each.left / each.limit, each.budget, each.unit, each.key))
        return answer({"budgets": [shown(each) for each in standings[:MOST]], "known": len(standings)})

    app.router.add_get("/budgets", listing)


def shown(standing: Standing) -> dict[str, Any]:
    """A budget for machines: amounts of usd in US dollars, ``ends`` in seconds since the epoch, null for never."""

    def amount(value: int) -> float:
        return value / 1_000_000 if standing.unit == "usd" else value

    return {
        "budget": standing.budget,
        "unit": standing.unit,
        "key": standing.key,
        "window": standing.window,
        "mode": "hard" if standing.hard else "soft",
        "limit": amount(standing.limit),
        "spent": amount(standing.spent),
        "reserved": amount(standing.reserved),
        "left": amount(standing.left),
        "ends": standing.ends or None,
        "replicas": standing.replicas,
    }
