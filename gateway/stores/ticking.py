"""Something that is done again and again, beside the calls."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger("toolgate.state")


class Ticker:
    """Does ``work`` every ``seconds`` between ``start`` and ``stop``. What it raises is logged, and it goes on."""

    def __init__(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        self._seconds, self._work = seconds, work
        self._task: asyncio.Task[None] | None = None
        self._ending = False

    def start(self) -> None:
        """Begin; the first time comes after ``seconds``."""
        self._task = asyncio.create_task(self._go())

    async def stop(self) -> None:
        """End, in the middle of the work if need be."""
        self._ending = True
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _go(self) -> None:
        while not self._ending:  # a client library may swallow the cancelling
            await asyncio.sleep(self._seconds)
            try:
                await self._work()
            except Exception:  # a mistake here must not end what keeps replicas together
                log.exception("state")
