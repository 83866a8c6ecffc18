"""What all streams of server-sent events (HTML Living Standard, 9.2) on the admin address do alike."""

from __future__ import annotations

import asyncio

from aiohttp import web

SIGN_OF_LIFE = 15.0
"""Seconds without an event after which a client is told that the stream is still there."""
STILL_HERE = b": still here\n\n"
_PATIENCE = 10.0
"""Seconds that a client may take to take what it is sent; then it is dropped."""


async def wait(event: asyncio.Event) -> bool:
    """False where nothing has happened for so long that a sign of life is due."""
    try:
        async with asyncio.timeout(SIGN_OF_LIFE):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def send(response: web.StreamResponse, data: bytes) -> bool:
    """False where the client has gone, or is too slow."""
    try:
        async with asyncio.timeout(_PATIENCE):
            await response.write(data)
    except (TimeoutError, ConnectionError):
        return False
    return True


__all__ = ["SIGN_OF_LIFE", "STILL_HERE", "send", "wait"]
