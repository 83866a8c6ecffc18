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
_TURN = 10.0
"""Seconds that a replica has for posting one."""


class SharedKey:
    """Keeps the key of ``runs`` the same as that of all replicas on one board."""

    def __init__(self, board: Board, runs: TracedRuns) -> None:
        self._board = board
        self._runs = runs
        self._looking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Follow the board from now on; until it has a key, this replica signs with one of its own."""
        self._board.watch(KIND, self._heed)
        self._looking = asyncio.create_task(self._agree())

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
