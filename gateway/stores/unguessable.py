"""Random bytes for ids, many at a time: asking the kernel for each costs more than the rest of an id."""

from __future__ import annotations

from os import urandom

_AT_ONCE = 4096


class Unguessable:
    """Gives so many bytes, of at most 4096, that nobody can guess, and none of them twice. For one process: a fork of
    it would give the same."""

    def __init__(self) -> None:
        self._left = b""
        self._from = 0

    def __call__(self, size: int) -> bytes:
        until = self._from + size
        if until > len(self._left):
            self._left, until = urandom(_AT_ONCE), size
        found = self._left[until - size : until]
        self._from = until
        return found
