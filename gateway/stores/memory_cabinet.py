"""A cabinet in memory: nothing outlives the process. The reference for the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush

from gateway.errors import StoreUnavailable
from gateway.ports import Paper

MOST = 50_000
"""Documents of one kind; a cabinet that is full takes no new keys."""
GONE = 3600.0
"""Seconds for which it is known of a document that it is gone, for those who follow."""


class _Drawer:
    """Documents of one kind, those that changed last at the end. One that is gone has no value until that is
    forgotten, too."""

    def __init__(self) -> None:
        self.revision = self.live = 0
        self._kept: dict[str, tuple[int, bytes | None, float]] = {}
        self._ends: list[tuple[float, int, str]] = []

    def find(self, key: str) -> tuple[int, bytes] | None:
        version, value, _ = self._kept.get(key, (0, None, 0.0))
        return None if value is None else (version, value)

    def put(self, key: str, value: bytes | None, until: float) -> int:
        """``until`` is when it ends, or when it is forgotten that it is gone; 0 is never. Gives the version."""
        self.revision += 1
        _, before, _ = self._kept.pop(key, (0, None, 0.0))
        self.live += (value is not None) - (before is not None)
        self._kept[key] = (self.revision, value, until)
        if until:
            heappush(self._ends, (until, self.revision, key))
            if len(self._ends) > 64 + 2 * len(self._kept):
                self._ends = [(until, version, key) for key, (version, _, until) in self._kept.items() if until]
                heapify(self._ends)
        return self.revision

    def changes(self, after: int) -> list[Paper]:
        """In the order of the changes."""
        found: list[Paper] = []
        for key in reversed(self._kept):
            version, value, _ = self._kept[key]
            if version <= after:
                break
            if value is not None or after:
                found.append(Paper(key, version, value))
        return found[::-1]

    def expire(self, now: float) -> None:
        """Let go of what has ended."""
        while self._ends and self._ends[0][0] <= now:
            _, version, key = heappop(self._ends)
            kept = self._kept.get(key)
            if kept is None or kept[0] != version:
                continue  # it has changed since
            if kept[1] is None:
                del self._kept[key]
            else:
                self.put(key, None, now + GONE)


class MemoryCabinet:
    """ports.Cabinet for one process."""

    def __init__(self, wall: Callable[[], float]) -> None:
        """``wall`` gives seconds since the epoch."""
        self._wall = wall
        self._drawers: dict[str, _Drawer] = {}

    async def swap(self, kind: str, key: str, seen: int, value: bytes | None, seconds: float = 0.0) -> int:
        """Write it where nobody else has; see Cabinet."""
        drawer, now = self._drawer(kind), self._wall()
        standing = drawer.find(key)
        if (0 if standing is None else standing[0]) != seen:
            return 0
        if value is None:
            return drawer.put(key, None, now + GONE)
        if standing is None and drawer.live >= MOST:
            raise StoreUnavailable(f"the cabinet is full of {kind}")
        return drawer.put(key, value, now + seconds if seconds else 0.0)

    async def read(self, kind: str, key: str) -> Paper | None:
        """What stands."""
        found = self._drawer(kind).find(key)
        return None if found is None else Paper(key, *found)

    async def changes(self, kind: str, after: int) -> tuple[int, Sequence[Paper]]:
        """What has changed since, in the order of the changes."""
        drawer = self._drawer(kind)
        return drawer.revision, drawer.changes(after if after <= drawer.revision else 0)

    def _drawer(self, kind: str) -> _Drawer:
        drawer = self._drawers.setdefault(kind, _Drawer())
        drawer.expire(self._wall())
        return drawer
