"""``/api/calibration``: what verdicts tell of rules and of people, and what they suggest."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from gateway.admin.api import answer
from gateway.admin.principals import VIEWER, need
from gateway.admin.problems import Failure
from gateway.approvals.calibration import caught, people_of, rules_of, stamps
from gateway.approvals.learning import Learning
from gateway.approvals.suggestions import USUAL, Limits, suggestions

MOST = 200
"""Rules and people that are told, those with most verdicts."""


def add(app: web.Application, learning: Learning) -> None:
    """Add the route."""

    async def calibration(request: web.Request) -> web.Response:
        need(request, VIEWER)
        return answer(await asyncio.to_thread(told, learning, _limits(request)))  # ten thousand verdicts take 0.3 s

    app.router.add_get("/calibration", calibration)


def told(learning: Learning, limits: Limits = USUAL) -> dict[str, Any]:
    """All of it as plain data."""
    samples = list(learning.samples)
    plain: dict[str, Any] = msgspec.to_builtins(
        {
            "samples": len(samples),
            "since": min((sample.at for sample in samples), default=None),
            "rubber_stamps": stamps(samples),
            "canaries_caught": caught(samples),
            "rules": rules_of(samples)[:MOST],
            "people": people_of(samples)[:MOST],
            "suggestions": suggestions(samples, limits),
        }
    )
    return plain


def _limits(request: web.Request) -> Limits:
    """The limits of suggestions that the query asks for: loosen, tighten (shares), loosen_n, tighten_n.

    Raises:
        Failure: 400, one of them is no number within its bounds.
    """
    limits = USUAL
    given: dict[str, float | int] = {}
    for name, text in request.query.items():
        if name not in Limits.__struct_fields__:
            raise Failure(400, f"no parameter is called {name[:100]!r}")
        try:
            value = type(getattr(limits, name))(text)
        except ValueError:
            value = -1
        if not 0 < value <= (1 if isinstance(value, float) else 1_000_000):
            raise Failure(400, f"{name} must be {'a share' if '_' not in name else 'a number'} above 0")
        given[name] = value
    return msgspec.structs.replace(limits, **given)
