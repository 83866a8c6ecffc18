"""``/api/runs/{agent}/{run}/prompt``: the platform hands over what the user said in a run."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from msgspec import Struct

from gateway.admin.api import answer, body_of, changed
from gateway.admin.problems import Failure

MOST = 128 * 1024
"""Bytes of one prompt."""


class Said(Struct, forbid_unknown_fields=True):
    """What the user said."""

    prompt: str
    by: str = ""


def add(app: web.Application, hand_over: Callable[[str, str, str], None]) -> None:
    """Add the route. ``hand_over`` is told agent, run and prompt."""

    async def said(request: web.Request) -> web.Response:
        agent, run = request.match_info["agent"], request.match_info["run"]
        wanted = await body_of(request, Said)
        size = len(wanted.prompt.encode("utf-8", "surrogatepass"))
        if not 0 < size <= MOST:
            raise Failure(400, f"$.prompt must have from 1 to {MOST} bytes, not {size}")
        hand_over(agent, run, wanted.prompt)
        changed(request, wanted.by, f"hand over a prompt of {size} bytes for run {run} of agent {agent}", "")
        return answer({"agent": agent, "run": run, "bytes": size})

    app.router.add_post("/runs/{agent}/{run}/prompt", said)
