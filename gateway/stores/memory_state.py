"""State in memory: nothing outlives the process."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.errors import StoreUnavailable
from gateway.ports import Board, Cabinet, Coherence, Shelf, Vault
from gateway.stores.board_copy import MOST, BoardCopy, Told
from gateway.stores.coherence import CoherenceBook
from gateway.stores.holders import new_holder
from gateway.stores.memory_cabinet import MemoryCabinet
from gateway.stores.memory_shelf import MemoryShelf
from gateway.stores.shelf_rules import new_epoch
from gateway.stores.ticking import Ticker

TICK = 0.25
"""Seconds between two looks for what has ended."""


class MemoryBoard:
    """ports.Board for one process: the copy is all there is."""

    def __init__(self, wall: Callable[[], float]) -> None:
        """``wall`` gives seconds since the epoch."""
        self._wall = wall
        self._seized: dict[str, float] = {}
        self.copy = BoardCopy(wall)

    def entries(self, kind: str) -> Mapping[str, bytes]:
        """What stands now, by key."""
        return self.copy.entries(kind)

    async def post(self, kind: str, key: str, value: bytes, seconds: float = 0.0) -> None:
        """Let it stand for so long; 0 is for ever."""
        self.copy.expire()
        if not self.copy.has_room(kind, key):
            raise StoreUnavailable(f"the board is full of {kind}")
        self.copy.put(kind, key, value, self._wall() + seconds if seconds else 0.0)

    async def remove(self, kind: str, key: str) -> bool:
        """Whether there was one."""
        return self.copy.drop(kind, key)

    def watch(self, kind: str, told: Told) -> None:
        """Be told of each change from now on."""
        self.copy.watch(kind, told)

    async def seize(self, key: str, seconds: float) -> bool:
        """Whether nobody else has it now."""
        now = self._wall()
        if self._seized.get(key, 0.0) > now:
            return False
        if len(self._seized) >= MOST:
            self._seized = {one: until for one, until in self._seized.items() if until > now}
        self._seized[key] = now + seconds
        return True


class MemoryState:
    """ports.State for one process. Budgets have no vault: they live in the ledger."""

    shared = False
    replicas = 1

    def __init__(self, wall: Callable[[], float]) -> None:
        """``wall`` gives seconds since the epoch."""
        self.vault: Vault | None = None
        self._board = MemoryBoard(wall)
        self.board: Board = self._board
        self.cabinet: Cabinet = MemoryCabinet(wall)
        self.shelf: Shelf = MemoryShelf(wall, new_epoch)
        self.coherence: Coherence = CoherenceBook(wall)
        self.holder = new_holder()
        self._ticker = Ticker(TICK, self._tick)

    async def start(self) -> None:
        """Begin to let go of what has ended."""
        self._ticker.start()

    async def close(self) -> None:
        """There is nothing to keep."""
        await self._ticker.stop()

    def status(self) -> Mapping[str, object]:
        """Always available."""
        return {"url": "memory:", "available": True}

    async def _tick(self) -> None:
        self._board.copy.expire()
