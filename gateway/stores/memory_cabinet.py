"""A cabinet in memory: nothing outlives the process. The reference for the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.errors import StoreUnavailable
from gateway.ports import Paper

MOST = 50_000
"""Documents of one kind; a cabinet that is full takes no new keys."""


class MemoryCabinet:
    """ports.Cabinet for one process."""

    def __init__(self, wall: Callable[[], float]) -> None:
        """``wall`` gives seconds since the epoch."""
        self._wall = wall
        self._kinds: dict[str, dict[str, tuple[int, bytes, float]]] = {}
        self._gone: dict[str, dict[str, int]] = {}
        self._revision = 0

    async def swap(self, kind: str, key: str, seen: int, value: bytes | None, seconds: float = 0.0) -> int:
        """Write it where nobody else has; see Cabinet."""
        kept, gone = self._kinds.setdefault(kind, {}), self._gone.setdefault(kind, {})
        self._expire(kind)
        standing = kept.get(key)
        if (standing[0] if standing is not None else 0) != seen:
            return 0
        if value is not None and standing is None and len(kept) >= MOST:
            raise StoreUnavailable(f"the cabinet is full of {kind}")
        self._revision += 1
        kept.pop(key, None)
        gone.pop(key, None)
        if value is None:
            self._forget(gone, key)
        else:
            kept[key] = (self._revision, value, self._wall() + seconds if seconds else 0.0)
        return self._revision

    async def read(self, kind: str, key: str) -> Paper | None:
        """What stands."""
        self._expire(kind)
        found = self._kinds.get(kind, {}).get(key)
        return None if found is None else Paper(key, found[0], found[1])

    async def changes(self, kind: str, after: int) -> tuple[int, Sequence[Paper]]:
        """What has changed since; in the order of the changes."""
        self._expire(kind)
        kept, gone = self._kinds.get(kind, {}), self._gone.get(kind, {})
        papers = [Paper(key, version, value) for key, (version, value, _) in kept.items() if version > after]
        papers += [Paper(key, version, None) for key, version in gone.items() if version > after > 0]
        return self._revision, sorted(papers, key=lambda paper: paper.version)

    def _expire(self, kind: str) -> None:
        kept, now = self._kinds.get(kind, {}), self._wall()
        for key in [key for key, (_, _, until) in kept.items() if until and until <= now]:
            del kept[key]
            self._revision += 1
            self._forget(self._gone.setdefault(kind, {}), key)

    def _forget(self, gone: dict[str, int], key: str) -> None:
        """Remember that it is gone, for those who follow; not for ever."""
        gone[key] = self._revision
        if len(gone) > MOST:
            del gone[next(iter(gone))]
