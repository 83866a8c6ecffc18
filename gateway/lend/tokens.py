"""Tokens that were fetched, kept for as long as they are good: given at once, renewed ahead of their end by one fetch
for all who wait, and not asked for again at once where that failed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from msgspec import Struct

from gateway.lend.sources import Unavailable
from gateway.model import Lent
from gateway.stores.shares import Shares

MOST = 4096
"""Tokens that are kept of one endpoint: those of other agents' subjects push nobody out."""
EARLY = 0.75
"""The part of its life after which a token is renewed, while it still serves; up to a tenth less, by chance."""
MARGIN = 10.0
"""Seconds before its end when a token is not given any more, since it has a way to go; at most a tenth of its life."""
UNKNOWN_LIFE = 300.0
"""Seconds for which a token is kept whose end nobody tells."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two fetches that failed: twice as many each time."""
AGAIN = 30.0
"""Seconds in which a token is thrown away once at most because a tool did not take it."""

log = logging.getLogger("toolgate.credentials")


class Granted(Struct, frozen=True):
    """A token that was fetched. ``life`` in seconds, 0 where nobody tells."""

    token: str
    life: float


Fetch = Callable[[], Awaitable[Granted]]
"""Raises Unavailable."""


class _Kept:
    __slots__ = ("again_at", "ends_at", "failures", "fetching", "lent", "renew_at", "thrown_at", "why")

    def __init__(self) -> None:
        self.lent: Lent | None = None
        self.fetching: asyncio.Task[None] | None = None
        self.renew_at = self.ends_at = self.again_at = 0.0
        self.thrown_at = -AGAIN
        self.failures = 0
        self.why: Unavailable = Unavailable("no token yet")


class Tokens:
    """Of one token endpoint, by agent and subject. ``clock`` is monotonic, ``chance`` gives numbers from 0 to 1,
    ``learn`` is told each token before anybody gets it."""

    def __init__(
        self,
        clock: Callable[[], float],
        chance: Callable[[], float],
        learn: Callable[[str], None],
        capacity: int = MOST,
    ) -> None:
        self._clock, self._chance, self._learn = clock, chance, learn
        self._kept: Shares[tuple[str, bytes], _Kept] = Shares(capacity)
        self._under_way: set[asyncio.Task[None]] = set()

    def get(self, agent: str, subject: bytes, fetch: Fetch) -> Lent | Awaitable[Lent]:
        """The token for a subject (its digest) that this agent names; at once where there is one.

        Raises:
            Unavailable: it could not be had a moment ago.
        """
        now, key = self._clock(), (agent, subject)
        kept = self._kept.use(key)
        if kept is None:
            kept = _Kept()
            self._kept.put(agent, key, kept)
        may_ask = kept.fetching is None and now >= kept.again_at
        if kept.lent is not None and now < kept.ends_at:
            if now >= kept.renew_at and may_ask:
                self._start(kept, fetch)
            return kept.lent
        if may_ask:
            self._start(kept, fetch)
        if kept.fetching is None:
            raise Unavailable(str(kept.why), kept.why.status)
        return self._wait(kept, kept.fetching)

    def rejected(self, agent: str, subject: bytes) -> None:
        """A tool did not take the token: the next call has another one, unless that was tried just now."""
        kept, now = self._kept.get((agent, subject)), self._clock()
        if kept is not None and kept.lent is not None and now - kept.thrown_at >= AGAIN:
            kept.lent, kept.thrown_at = None, now

    async def close(self) -> None:
        """Fetch no more."""
        tasks = list(self._under_way)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait(self, kept: _Kept, fetching: asyncio.Task[None]) -> Lent:
        await asyncio.shield(fetching)
        if kept.lent is None or self._clock() >= kept.ends_at:
            raise Unavailable(str(kept.why), kept.why.status)
        return kept.lent

    def _start(self, kept: _Kept, fetch: Fetch) -> None:
        kept.fetching = task = asyncio.get_running_loop().create_task(self._fetch(kept, fetch))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _fetch(self, kept: _Kept, fetch: Fetch) -> None:
        began = self._clock()
        try:
            granted = await fetch()
            self._learn(granted.token)
        except Unavailable as error:
            self._failed(kept, error)
        except Exception as error:  # noqa: BLE001 - whatever it was, it may name what it was about
            self._failed(kept, Unavailable(f"it cannot be fetched ({type(error).__name__})"))
        else:
            life = granted.life or UNKNOWN_LIFE
            kept.renew_at = began + life * (EARLY - 0.1 * self._chance())
            kept.ends_at = began + life - min(MARGIN, life / 10)
            kept.failures, kept.again_at = 0, 0.0
            kept.lent = Lent(((b"Authorization", b"Bearer " + granted.token.encode("ascii")),), (), (granted.token,))
        finally:
            kept.fetching = None

    def _failed(self, kept: _Kept, error: Unavailable) -> None:
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(kept.failures, 10)) * (1 + 0.2 * self._chance())
        kept.failures += 1
        kept.again_at, kept.why = self._clock() + pause, error
        log.warning("a token cannot be had, and is asked for again in %.0f s at the earliest: %s", pause, error)


__all__ = ["Fetch", "Granted", "Tokens"]
