"""``/api/runs``: the runs that are remembered, and how they stand."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from gateway.admin.api import answer
from gateway.admin.problems import Failure
from gateway.stores.quarantines import Register
from gateway.stores.runs import RunBook, RunLine

USUAL, MOST = 100, 10_000
"""Runs that are listed, where it is not said how many, and at most."""


def add(app: web.Application, book: RunBook, register: Register) -> None:
    """Add the routes. ``?agent=A`` are only those of this agent, ``?limit=N`` the N with the latest calls."""

    async def listing(request: web.Request) -> web.Response:
        agent, limit = request.query.get("agent"), _limit(request.query.get("limit"))
        quarantined = {each.key for each in register if each.scope == "run"}
        lines = [line for line in book.listing(time.monotonic()) if agent is None or line.agent == agent]
        latest = sorted(lines, key=lambda line: line.idle)[:limit]
        return answer({"runs": list(_shown(latest, quarantined)), "known": len(lines)})

    app.router.add_get("/runs", listing)


def _shown(lines: list[RunLine], quarantined: set[tuple[str, ...]]) -> Iterator[dict[str, Any]]:
    for line in lines:
        yield {
            "agent": line.agent,
            "run": line.run,
            "steps": line.steps,
            "errors_in_row": line.errors_in_row,
            "cost_usd": line.cost_usd,
            "labels": line.labels,
            "age": round(line.age, 3),
            "idle": round(line.idle, 3),
            "quarantined": (line.agent, line.run) in quarantined,
        }


def _limit(text: str | None) -> int:
    if text is None:
        return USUAL
    if not text.isdecimal() or not 0 < int(text[:9]) <= MOST:
        raise Failure(400, f"limit must be from 1 to {MOST}")
    return int(text)
