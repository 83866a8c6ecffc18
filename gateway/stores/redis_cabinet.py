"""A cabinet in Redis. Of each kind: a hash of documents, a sorted set of their last changes, one of their ends, and a
head with the number of changes so far.

A version is that number with the *generation* of the data before it: when its first document was written, counted
backwards. So versions of data that were lost are never taken for those of what was written since, and lie above them:
whoever follows finds itself ahead. Each write has a mark of its own, so that one whose answer was lost with the
connection can be asked for again, and is done once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from gateway.errors import StoreUnavailable
from gateway.ports import Paper
from gateway.stores import memory_cabinet
from gateway.stores.memory_cabinet import GONE
from gateway.stores.redis_link import RedisLink
from gateway.stores.redis_scripts import CHANGES, SWAP

_PAGE = 500
"""Documents that are read in one go at most, so that others need not wait long."""
_BITS = 40
"""Of a version, for the number of the change."""


class RedisCabinet:
    """ports.Cabinet over Redis."""

    def __init__(self, link: RedisLink, prefix: str, wall: Callable[[], float]) -> None:
        """``wall`` gives seconds since the epoch; the clocks of all replicas must agree."""
        self._link, self._wall = link, wall
        self._home = f"{prefix}{{state}}:cabinet:"
        self._heard: dict[str, float] = {}

    async def swap(self, kind: str, key: str, seen: int, value: bytes | None, seconds: float = 0.0) -> int:
        """Write it where nobody else has; see Cabinet. Where no answer comes in time it may have been done, or be done
        later: StoreUnavailable."""
        now = self._wall()
        until = now + GONE if value is None else now + seconds if seconds else 0.0
        given = (key, _text_of(seen), os.urandom(8).hex(), int(value is not None), value or b"", f"{until:.3f}")
        end = (f"{now:.3f}", memory_cabinet.MOST, f"{now + GONE:.3f}")
        said = await self._link.run(SWAP, self._keys(kind), (*given, *end))
        if said == b"full":
            raise StoreUnavailable(f"the cabinet is full of {kind}")
        return _version_of(said)

    async def read(self, kind: str, key: str) -> Paper | None:
        """What stands."""
        name = self._keys(kind)[0]
        kept: bytes | None = await self._link.ask(lambda client: client.hget(name, key))
        return None if kept is None else _paper(key, kept, self._wall())

    async def changes(self, kind: str, after: int) -> tuple[int, Sequence[Paper]]:
        """What has changed since, in the order of the changes. Who has not asked for so long that something may have
        been forgotten is answered as if all had been lost."""
        now = self._wall()
        late = bool(after) and now - self._heard.get(kind, now) > GONE / 2
        revision, papers = await self._all(kind, 0 if late else after, now)
        self._heard[kind] = now
        return (min(revision, after - 1) if late else revision), papers

    async def _all(self, kind: str, after: int, now: float) -> tuple[int, list[Paper]]:
        found: dict[str, Paper] = {}
        whole, more = not after, True
        while more:
            given = (*divmod(after, 1 << _BITS), f"{now:.3f}", _PAGE, f"{now + GONE:.3f}")
            lost, more, last, rows = await self._link.run(CHANGES, self._keys(kind), given)
            if lost and after:
                whole, found = True, {}
            after = _version_of(last)
            several = iter(rows)
            for name, version, kept in zip(several, several, several, strict=True):
                key = name.decode()
                found.pop(key, None)
                paper = _paper(key, kept, now) if kept else Paper(key, _version_of(version), None)
                if paper is not None and (kept or not whole):
                    found[key] = paper
        return after, list(found.values())

    def _keys(self, kind: str) -> tuple[str, ...]:
        home = f"{self._home}{kind}"
        return home, f"{home}:changed", f"{home}:ends", f"{home}:head"


def _paper(key: str, kept: bytes, now: float) -> Paper | None:
    """What stands there; None where it has ended, though that is not written down yet."""
    version, until, _, value = kept.split(b" ", 3)
    return None if 0 < float(until) <= now else Paper(key, _version_of(version), value)


def _version_of(text: Any) -> int:
    generation, _, number = bytes(text).partition(b":")
    return (int(generation) << _BITS) + int(number or 0)


def _text_of(version: int) -> str:
    generation, number = divmod(version, 1 << _BITS)
    return f"{generation}:{number}" if version else "0"
