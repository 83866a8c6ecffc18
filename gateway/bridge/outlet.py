"""What is on its way to one HTTP response."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from msgspec import Struct

_ROOM = 32 << 20
"""Bytes that may wait for a client that does not read. One message fits always, however long."""


class Item(Struct, frozen=True):
    """One message for the client. ``code``: of an answer that is an error."""

    data: bytes
    is_answer: bool = False
    code: int | None = None


class Outlet:
    """Messages wait here between the child, which must never be kept waiting, and one client, which may be slow.

    ``streams``: whether the client takes more than the answers, so that other messages may be sent here.
    """

    def __init__(self, *, streams: bool) -> None:
        self._client_streams = streams
        self._items: deque[Item] = deque()
        self._waiting = 0
        self._more = asyncio.Event()
        self.is_open = True
        self.on_overflow: Callable[[], None] = lambda: None
        """Called when the client is cut off."""

    @property
    def streams(self) -> bool:
        """Whether a message that is no answer can be put here now."""
        return self.is_open and self._client_streams

    @property
    def can_stream(self) -> bool:
        """Whether the client takes an event stream."""
        return self._client_streams

    def put(self, item: Item) -> None:
        """Nothing happens if it has ended. A client that lets too much pile up is cut off: the stream ends early."""
        if not self.is_open:
            return
        if self._items and self._waiting + len(item.data) > _ROOM:
            self._items.clear()
            self.end()
            self.on_overflow()
            return
        self._items.append(item)
        self._waiting += len(item.data)
        self._more.set()

    def end(self) -> None:
        """No more comes; what waits is still given out."""
        self.is_open = False
        self._more.set()

    async def next(self, patience: float | None) -> Item | None:
        """The next message, or None at the end.

        Raises:
            TimeoutError: none came for so many seconds.
        """
        while not self._items:
            if not self.is_open:
                return None
            self._more.clear()
            async with asyncio.timeout(patience):
                await self._more.wait()
        item = self._items.popleft()
        self._waiting -= len(item.data)
        return item
