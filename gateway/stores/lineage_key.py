"""The key that signs lineage tokens, where none is configured: made by the first replica, shared through the board."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from os import urandom

from gateway.errors import StoreUnavailable
from gateway.ports import Board
from gateway.stores.lineage import TracedRuns

log = logging.getLogger("toolgate")

KIND, KEY = "key", "lineage"
RETRY = 1.0
"""Seconds between two tries to find a key on the board, or to put one there."""
PATIENCE = 2.0
"""Seconds that a replica waits for a key before it takes calls."""
_TURN = 10.0
"""Seconds that a replica has for posting one."""


class SharedKey:
    """Keeps the key of ``runs`` the same as that of all replicas on one board."""

    def __init__(self, board: Board, runs: TracedRuns) -> None:
        self._board = board
        self._runs = runs
        self._looking: asyncio.Task[None] | None = None

    async def start(self, patience: float = PATIENCE) -> None:
        """Follow the board from now on. Waits ``patience`` seconds at most until there is a key: the calls of a replica
        that begins before that are signed with a key of its own, which no other knows."""
        self._board.watch(KIND, self._heed)
        self._looking = asyncio.create_task(self._agree())
        await asyncio.wait({self._looking}, timeout=patience)

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking

    async def _agree(self) -> None:
        told = False
        while (found := self._board.entries(KIND).get(KEY)) is None:
            try:
                if await self._board.seize(f"{KIND}/{KEY}", _TURN):
                    await self._board.post(KIND, KEY, urandom(32))
            except StoreUnavailable:
                if not told:
                    log.warning("the key of lineage tokens is not shared: the state cannot be reached")
                told = True
            await asyncio.sleep(0 if KEY in self._board.entries(KIND) else RETRY)
        self._runs.rekey(found)

    def _heed(self, key: str, value: bytes | None) -> None:
        if key == KEY and value is not None:
            self._runs.rekey(value)
