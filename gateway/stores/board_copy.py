"""A replica's own copy of the board: what its reads are answered from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

Told = Callable[[str, bytes | None], None]
MOST = 50_000
"""Entries of one kind; a board that is full takes no new keys."""


class BoardCopy:
    """Entries by kind and key, each with its end; tells watchers of each change. Used on one loop."""

    def __init__(self, wall: Callable[[], float]) -> None:
        """``wall`` gives seconds since the epoch."""
        self._wall = wall
        self._kinds: dict[str, dict[str, tuple[bytes, float]]] = {}
        self._told: dict[str, list[Told]] = {}

    def entries(self, kind: str) -> Mapping[str, bytes]:
        """What stands now, by key."""
        kept = self._kinds.get(kind)
        if not kept:
            return {}
        now = self._wall()
        return {key: value for key, (value, until) in kept.items() if not until or until > now}

    def watch(self, kind: str, told: Told) -> None:
        """Be told of each change from now on."""
        self._told.setdefault(kind, []).append(told)

    def has_room(self, kind: str, key: str) -> bool:
        """Whether one more may be posted."""
        kept = self._kinds.get(kind, {})
        return key in kept or len(kept) < MOST

    def put(self, kind: str, key: str, value: bytes, until: float) -> None:
        """``until`` is in seconds since the epoch; 0 is for ever."""
        kept = self._kinds.setdefault(kind, {})
        before = kept.get(key)
        kept[key] = (value, until)
        if before is None or before[0] != value:
            self._tell(kind, key, value)

    def drop(self, kind: str, key: str) -> bool:
        """It is gone. Whether it stood until now."""
        before = self._kinds.get(kind, {}).pop(key, None)
        if before is None:
            return False
        self._tell(kind, key, None)
        return not before[1] or before[1] > self._wall()

    def replace(self, kind: str, entries: Iterable[tuple[str, bytes, float]]) -> None:
        """All that stands of a kind, as the store has it."""
        after = {key: (value, until) for key, value, until in entries}
        for key in [key for key in self._kinds.get(kind, {}) if key not in after]:
            self.drop(kind, key)
        for key, (value, until) in after.items():
            self.put(kind, key, value, until)

    def standing(self, kind: str) -> Iterable[tuple[str, bytes, float]]:
        """Key, value and end of what stands now."""
        kept, now = self._kinds.get(kind, {}), self._wall()
        return [(key, value, until) for key, (value, until) in kept.items() if not until or until > now]

    def kinds(self) -> Iterable[str]:
        """Kinds with entries."""
        return [kind for kind, kept in self._kinds.items() if kept]

    def expire(self) -> None:
        """Let go of what has ended, and say so."""
        now = self._wall()
        for kind, kept in self._kinds.items():
            for key in [key for key, (_, until) in kept.items() if until and until <= now]:
                del kept[key]
                self._tell(kind, key, None)

    def _tell(self, kind: str, key: str, value: bytes | None) -> None:
        for told in self._told.get(kind, ()):
            told(key, value)
