"""Which accounts a replica lacks room in while others hold leases of them: told on the board, so that these give back
what they do not need, instead of when they have been idle for long."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from itertools import count

import msgspec

from gateway.errors import StoreUnavailable
from gateway.ports import Board, Clock

KIND = "wanted"
STANDS = 1.0
"""Seconds for which a want stands, if it is not repeated."""
AGAIN = 0.1
"""Seconds between two looks whether there is something else to tell."""
MOST = 64
"""Accounts that a replica tells of at once; of more, leases come back when they are idle."""

Key = tuple[str, ...]

log = logging.getLogger("toolgate.budgets")


class Wanted:
    """One entry of the board for each replica: the keys of the accounts that it lacks room in now."""

    def __init__(self, board: Board, holder: str, clock: Clock, told: Callable[[frozenset[Key]], None]) -> None:
        """``told`` is told of the accounts that another replica wants, each time that it says so."""
        self._board, self._holder, self._clock, self._told = board, holder, clock, told
        self._own: dict[Key, float] = {}
        self._others: dict[str, tuple[frozenset[Key], float]] = {}
        self._numbers = count(1)
        self._task: asyncio.Task[None] | None = None
        board.watch(KIND, self._hear)

    def elsewhere(self, key: Key) -> bool:
        """Whether another replica wants the account."""
        if not self._others:
            return False
        now = self._clock()
        return any(key in keys and until > now for keys, until in self._others.values())

    def want(self, key: Key) -> None:
        """Tell the others, soon. It stands for a second."""
        if key not in self._own and len(self._own) >= MOST:
            return
        self._own[key] = self._clock() + STANDS
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._tell())

    def had(self, key: Key) -> None:
        """There is no want of it any more."""
        self._own.pop(key, None)

    async def close(self) -> None:
        """Say nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _tell(self) -> None:
        said, until = frozenset[Key](), 0.0
        try:
            while self._stands():
                now, keys = self._clock(), frozenset(self._own)
                if keys != said or now >= until:
                    said, until = keys, now + STANDS
                    await self._post(keys)
                await asyncio.sleep(AGAIN)
        finally:
            self._task = None

    def _stands(self) -> bool:
        now = self._clock()
        self._own = {key: until for key, until in self._own.items() if until > now}
        return bool(self._own)

    async def _post(self, keys: frozenset[Key]) -> None:
        value = msgspec.json.encode((next(self._numbers), keys))  # others are told of values that are new
        with suppress(StoreUnavailable):  # then nobody can give anything back either
            await self._board.post(KIND, self._holder, value, 2 * STANDS)

    def _hear(self, holder: str, value: bytes | None) -> None:
        if holder == self._holder:
            return
        self._others.pop(holder, None)
        if value is None:
            return
        try:
            _, keys = msgspec.json.decode(value, type=tuple[int, frozenset[Key]])
        except (msgspec.DecodeError, UnicodeDecodeError):
            log.warning("what the replica %.80r wants cannot be read", holder)
            return
        self._others[holder] = keys, self._clock() + 2 * STANDS
        self._told(keys)
