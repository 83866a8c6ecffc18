"""Keys that sign what all replicas read, where none is configured: made by the first of them, shared by the board."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from os import urandom
from typing import Protocol

from gateway.errors import StoreUnavailable
from gateway.ports import Board

log = logging.getLogger("toolgate")

KIND, KEY = "key", "lineage"
"""The kind of facts on the board, and the key of lineage tokens."""
RETRY = 1.0
"""Seconds between two tries to find a key on the board, or to put one there."""
PATIENCE = 2.0
"""Seconds that a replica waits for a key before it takes calls."""
_TURN = 10.0
"""Seconds that a replica has for posting one."""


class Keyed(Protocol):
    """What signs."""

    def rekey(self, key: bytes) -> None:
        """Sign with this from now on."""


class SharedKey:
    """Keeps the key of ``keyed`` the same as that of all replicas on one board, where it has this name."""

    def __init__(self, board: Board, keyed: Keyed, name: str = KEY) -> None:
        self._board = board
        self._keyed, self._name = keyed, name
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
        while (found := self._board.entries(KIND).get(self._name)) is None:
            try:
                if await self._board.seize(f"{KIND}/{self._name}", _TURN):
                    await self._board.post(KIND, self._name, urandom(32))
            except StoreUnavailable:
                if not told:
                    log.warning("the key of %s tokens is not shared: the state cannot be reached", self._name)
                told = True
            await asyncio.sleep(0 if self._name in self._board.entries(KIND) else RETRY)
        self._keyed.rekey(found)

    def _heed(self, key: str, value: bytes | None) -> None:
        if key == self._name and value is not None:
            self._keyed.rekey(value)
