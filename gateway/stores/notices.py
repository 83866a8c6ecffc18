"""One kind of fact on the board of all replicas: what is said here reaches them, also where the store is away now."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from gateway.errors import StoreUnavailable
from gateway.ports import Board

AGAIN = 0.5
"""Seconds after which a store that was away is tried again."""

PATIENCE = 2.0
"""Seconds for which somebody waits to know that what they said is stored."""

MOST_UNSAID = 10_000
"""Facts that wait for the store; more are only known here."""

log = logging.getLogger("toolgate.state")

Told = Callable[[str, bytes | None], None]


class Notices:
    """What is said here holds here at once, whatever the board says of the same key, until the board has it."""

    def __init__(self, board: Board, kind: str, told: Told) -> None:
        """``told`` is told of what others have said: the key, and the value or None where it is gone."""
        self._board, self._kind, self._told = board, kind, told
        self._unsaid: dict[str, tuple[bytes | None, float]] = {}
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    def start(self) -> None:
        """Learn what stands, and be told of each change from now on. The state must have been started."""
        self._board.watch(self._kind, self._hear)
        for key, value in self._board.entries(self._kind).items():
            self._hear(key, value)

    def say(self, key: str, value: bytes | None, seconds: float = 0.0) -> None:
        """Let it stand for so long (0 is for ever), or be gone (None), for all: as soon as the store takes it."""
        if key not in self._unsaid and len(self._unsaid) >= MOST_UNSAID:
            log.error("the state cannot be reached: one %s more is known to this replica only", self._kind)
            return
        self._unsaid[key] = (value, seconds)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._post())

    async def said(self) -> bool:
        """Wait for the store to have all that was said here, but not for long. Whether it has."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=PATIENCE)
        return not self._unsaid

    @property
    def unsaid(self) -> int:
        """Facts that the other replicas do not know yet."""
        return len(self._unsaid)

    async def close(self) -> None:
        """Try once more to say what is unsaid, and give up."""
        self._closing = True
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._task, 2 * AGAIN)
        if self._unsaid:
            log.error("%d of %s were never told to the other replicas", len(self._unsaid), self._kind)

    def _hear(self, key: str, value: bytes | None) -> None:
        if key not in self._unsaid:
            self._told(key, value)

    async def _post(self) -> None:
        away = False
        while self._unsaid:
            key, (value, seconds) = next(iter(self._unsaid.items()))
            try:
                if value is None:
                    await self._board.remove(self._kind, key)
                else:
                    await self._board.post(self._kind, key, value, seconds)
            except StoreUnavailable as error:
                if not away:
                    log.warning("%s holds on this replica only, until the state can be reached: %s", self._kind, error)
                away = True
                self._unsaid[key] = self._unsaid.pop(key)  # a board that is full still lets others be removed
                if self._closing:
                    break
                await asyncio.sleep(AGAIN)
                continue
            except Exception:
                log.exception("%s could not be told to the other replicas", self._kind)
            if self._unsaid.get(key) == (value, seconds):
                del self._unsaid[key]
        if away and not self._unsaid:
            log.info("%s is known to all replicas again", self._kind)
        self._task = None
