"""Who waits on this loop for something to change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Watched:
    """What can be watched, by so many at once."""

    def __init__(self, most: int, crowded: Callable[[int], Exception]) -> None:
        """``crowded`` makes the error for who comes when ``most`` watch already."""
        self.most, self._crowded = most, crowded
        self._watching: set[asyncio.Event] = set()
        self.closed = False

    @property
    def watched(self) -> int:
        """How many watch now."""
        return len(self._watching)

    def wake(self) -> None:
        """Something has changed."""
        for event in self._watching:
            event.set()

    @contextmanager
    def watching(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever something has changed, or no more will come (``closed``).

        Raises:
            Exception: what ``crowded`` makes; too many watch already.
        """
        if len(self._watching) >= self.most:
            raise self._crowded(self.most)
        event = asyncio.Event()
        self._watching.add(event)
        try:
            yield event
        finally:
            self._watching.discard(event)

    def close(self) -> None:
        """Let all who watch end."""
        self.closed = True
        self.wake()


__all__ = ["Watched"]
