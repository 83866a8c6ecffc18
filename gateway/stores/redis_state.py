"""State in Redis or Valkey, shared by all replicas."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from gateway.errors import StoreUnavailable
from gateway.model.state_url import StateUrl
from gateway.ports import Board, Cabinet, Coherence, Shelf, Vault
from gateway.stores.holders import DEAD_AFTER, new_holder
from gateway.stores.redis_board import RedisBoard, revisions_of
from gateway.stores.redis_cabinet import RedisCabinet
from gateway.stores.redis_coherence import RedisCoherence
from gateway.stores.redis_link import RedisLink
from gateway.stores.redis_scripts import TICK
from gateway.stores.redis_shelf import RedisShelf
from gateway.stores.redis_vault import RedisVault
from gateway.stores.ticking import Ticker

TICK_SECONDS = 0.25
"""Seconds between two signs of life, which also tell what is new."""
GRACE = 5.0
"""Seconds after Redis was away, in which the others may not have found it again yet: none of them is taken for dead."""
TIDY = 60.0
"""Seconds between two looks for what has ended."""

log = logging.getLogger("toolgate.state")


class RedisState:
    """ports.State over Redis. It need not be there at the start."""

    shared = True

    def __init__(self, url: StateUrl, wall: Callable[[], float]) -> None:
        """``wall`` gives seconds since the epoch."""
        self._url, self._wall = url, wall
        self._link = RedisLink(url)
        self._vault = RedisVault(self._link, url.prefix)
        self._board = RedisBoard(self._link, url.prefix, wall)
        self.vault: Vault | None = self._vault
        self.board: Board = self._board
        self.cabinet: Cabinet = RedisCabinet(self._link, url.prefix, wall)
        self._memory = RedisLink(url)  # of its own: however much agents write, leases do not wait for it
        self.shelf: Shelf = RedisShelf(self._memory, url.prefix, wall)
        self._coherence = RedisCoherence(self._link, url.prefix, wall)
        self.coherence: Coherence = self._coherence
        self.holder = new_holder()
        self.replicas = 1
        self._holders = f"{url.prefix}{{state}}:holders"
        self._judges_at = 0.0
        self._tidy_at = time.monotonic() + TIDY
        self._ticker = Ticker(TICK_SECONDS, self._tick)

    async def start(self) -> None:
        """Read what stands, if Redis is there."""
        self._link.open()
        self._memory.open()
        await self._tick()
        self._ticker.start()

    async def close(self) -> None:
        """Let go. What is still leased is forfeited by another replica, or by the next to start."""
        await self._ticker.stop()
        await self._coherence.close()
        await self._link.close()

    def status(self) -> Mapping[str, object]:
        """Available unless the last thing that was asked went wrong."""
        told: dict[str, object] = {"url": str(self._url), "available": not self._link.error}
        return {**told, "error": self._link.error} if self._link.error else {**told, "replicas": self.replicas}

    async def _tick(self) -> None:
        self._board.expire()
        was_away = bool(self._link.error)
        try:
            keys = (self._holders, self._board.revisions_key)
            living, dead, revisions = await self._link.run(TICK, keys, (self.holder, DEAD_AFTER))
            self.replicas = max(1, int(living))
            if was_away:
                self._vault.forget()
                self._judges_at = time.monotonic() + GRACE
            await self._board.follow(revisions_of(revisions))
            for holder in dead if time.monotonic() >= self._judges_at else ():
                await self._bury(holder.decode())
            if time.monotonic() >= self._tidy_at:
                self._tidy_at = time.monotonic() + TIDY
                await self._vault.tidy(self._wall())
                await self._board.sweep()
        except StoreUnavailable:
            return  # the link has told of it, and so does ``status``

    async def _bury(self, holder: str) -> None:
        """One replica does it; should it die meanwhile, another begins again."""
        if await self._board.seize(f"bury {holder}", DEAD_AFTER):
            await self._vault.forfeit(holder, self._wall())
            await self._link.ask(lambda client: client.zrem(self._holders, holder))
            log.info("state: what the replica %s had leased is forfeited", holder)
