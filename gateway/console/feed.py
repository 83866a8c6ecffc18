"""The newest records as they come, for whoever watches; and all that there is to look at where there is no store."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice

from gateway.console.errors import Busy
from gateway.stores.watched import Watched

KEPT = 2000
"""Records kept for those who watch, at most..."""
MOST_BYTES = 16 << 20
"""... and their bytes."""
MOST_WATCHING = 32
"""Streams at once; each costs a little of the gateway's time."""


class Feed(Watched):
    """A ring of encoded records, numbered from 1 in the order in which calls ended. Used on one loop."""

    def __init__(self, kept: int = KEPT, most_bytes: int = MOST_BYTES) -> None:
        super().__init__(MOST_WATCHING, _crowded)
        self._kept, self._most_bytes = kept, most_bytes
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self.last = 0
        """The number of the newest record; 0 for none."""

    def put(self, lines: Sequence[bytes]) -> None:
        """Take a batch of records."""
        self._lines.extend(lines)
        self._bytes += sum(map(len, lines))
        self.last += len(lines)
        while len(self._lines) > self._kept or (self._bytes > self._most_bytes and len(self._lines) > 1):
            self._bytes -= len(self._lines.popleft())
        self.wake()

    def after(self, number: int) -> tuple[list[bytes], int]:
        """The records that came after the one of this number, oldest first; and how many of them are gone already."""
        first = self.last - len(self._lines) + 1
        gone = max(0, first - number - 1)
        return list(islice(self._lines, max(0, number + 1 - first), None)), gone


def _crowded(most: int) -> Busy:
    return Busy(f"{most} browsers watch the live feed already; close one of them")
