"""Documents of one kind in the cabinet, as this replica knows them: its own changes at once, those of others soon."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

from gateway.errors import StoreUnavailable
from gateway.ports import Cabinet, Paper
from gateway.stores.ticking import Ticker

TICK = 0.25
"""Seconds between two looks at what others have changed."""
TRIES = 16
"""Attempts at a change while others change the same document."""

log = logging.getLogger("toolgate.approvals")

T = TypeVar("T", bound=Struct)


class Followed(Generic[T]):
    """The documents by key. ``changed`` is told of each change: the key, and what stands there now."""

    def __init__(
        self, cabinet: Cabinet, kind: str, of: type[T], changed: Callable[[str, T | None], None] | None = None
    ) -> None:
        self._cabinet, self._kind, self._of, self._changed = cabinet, kind, of, changed
        self._known: dict[str, tuple[int, T]] = {}
        self._gone: dict[str, int] = {}
        """Versions in which documents went while changes were asked for, which may still tell of earlier ones."""
        self._revision = 0
        self._following = asyncio.Lock()
        self._ticker = Ticker(TICK, self._tick)

    async def start(self) -> None:
        """Learn what stands, and follow it from now on. The state must have been started."""
        await self.follow()
        self._ticker.start()

    async def close(self) -> None:
        """Follow it no more."""
        await self._ticker.stop()

    def __iter__(self) -> Iterator[T]:
        return iter([document for _, document in self._known.values()])

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: str) -> T | None:
        """The document, as far as is known here."""
        found = self._known.get(key)
        return None if found is None else found[1]

    async def change(self, key: str, step: Callable[[T | None], T | None], seconds: float) -> T | None:
        """Put what ``step`` makes of what stands in its place, for so long, and return it; None removes it. Where that
        is the same object, nothing is written. ``step`` may raise, and is called again where others were faster.

        Raises:
            StoreUnavailable: it cannot be stored.
        """
        for _ in range(TRIES):
            paper = await self._cabinet.read(self._kind, key)
            standing = self._read(paper)
            after = step(standing)
            if after is standing:
                return after
            value = None if after is None else msgspec.json.encode(after)
            version = await self._cabinet.swap(self._kind, key, 0 if paper is None else paper.version, value, seconds)
            if version:
                self._take(key, version, after)
                return after
        raise StoreUnavailable(f"the {self._kind} is changed by others all the time")

    async def follow(self) -> None:
        """Learn what others have changed since.

        Raises:
            StoreUnavailable: the cabinet cannot be reached.
        """
        async with self._following:
            self._gone.clear()
            revision, papers = await self._cabinet.changes(self._kind, self._revision)
            if revision < self._revision:  # the store has lost what it had: what it does not know does not stand
                left = {paper.key for paper in papers}
                for key in [key for key in self._known if key not in left]:
                    self._take(key, self._known[key][0] + 1, None)
                self._known = {key: (0, known[1]) for key, known in self._known.items()}
                self._gone.clear()
            for paper in papers:
                self._take(paper.key, paper.version, self._read(paper))
            self._revision = revision

    def _take(self, key: str, version: int, document: T | None) -> None:
        """Know it, unless something newer is known already."""
        known = self._known.get(key)
        if max(self._gone.get(key, 0), 0 if known is None else known[0]) >= version:
            return
        if document is None:
            self._gone[key] = version
            self._known.pop(key, None)
        else:
            self._known[key] = (version, document)
        if self._changed is not None and (None if known is None else known[1]) != document:
            self._changed(key, document)

    def _read(self, paper: Paper | None) -> T | None:
        """What stands there; None where it cannot be read: then it lets nothing pass."""
        if paper is None or paper.value is None:
            return None
        try:
            return msgspec.json.decode(paper.value, type=self._of)
        except (msgspec.DecodeError, ValueError):
            log.warning("a document of kind %s in the state cannot be read: %.100r", self._kind, paper.key)
            return None

    async def _tick(self) -> None:
        try:
            await self.follow()
        except StoreUnavailable as error:
            log.debug("%s cannot be followed: %s", self._kind, error)
