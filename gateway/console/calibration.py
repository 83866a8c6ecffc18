"""``/calibration``: what people's verdicts tell of rules and of how they decide, and which changes they suggest."""

from __future__ import annotations

import asyncio

from aiohttp import web

from gateway.console.desk import Desk


async def calibration(desk: Desk, request: web.Request) -> web.StreamResponse:
    """The page. What is told is worked out in another thread: it may be of ten thousand verdicts."""
    told = await asyncio.to_thread(desk.sights.calibration)
    return await desk.page(request, "calibration.html", **told)
