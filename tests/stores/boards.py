"""A board that a test can take away."""

from __future__ import annotations

import asyncio

from gateway.errors import StoreUnavailable
from gateway.stores.memory_state import MemoryBoard


class Board(MemoryBoard):
    """A board in memory. Where it is ``away``, nothing can be changed on it; each change takes a turn of the loop."""

    away = False

    async def post(self, *args):
        await self._asked()
        await super().post(*args)

    async def remove(self, *args):
        await self._asked()
        return await super().remove(*args)

    async def seize(self, *args):
        await self._asked()
        return await super().seize(*args)

    async def _asked(self) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailable("nobody answers")
