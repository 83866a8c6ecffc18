"""The board in Redis: a hash for each kind, and a revision of each by which replicas see that it has changed.

Replicas ask for the revisions four times a second, together with their sign of life: that needs no second connection,
nothing is missed, and it is the same in a Cluster.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from gateway.errors import StoreUnavailable
from gateway.stores.board_copy import BoardCopy, Told
from gateway.stores.redis_link import DEADLINE, RedisLink
from gateway.stores.redis_scripts import POST, REMOVE, RESTORE, SWEEP


class RedisBoard:
    """ports.Board over Redis."""

    def __init__(self, link: RedisLink, prefix: str, wall: Callable[[], float]) -> None:
        """``wall`` gives seconds since the epoch; the clocks of all replicas must agree."""
        self._link, self._wall = link, wall
        self._home = f"{prefix}{{state}}:"
        self._copy = BoardCopy(wall)
        self._revisions: dict[str, int] = {}
        self._one_at_a_time = asyncio.Lock()
        self.revisions_key = f"{self._home}revisions"

    def entries(self, kind: str) -> Mapping[str, bytes]:
        """What stands now, by key; while Redis is away, what was known last."""
        return self._copy.entries(kind)

    async def post(self, kind: str, key: str, value: bytes, seconds: float = 0.0) -> None:
        """Let it stand for so long; 0 is for ever."""
        if not self._copy.has_room(kind, key):
            raise StoreUnavailable(f"the board is full of {kind}")
        until = self._wall() + seconds if seconds else 0.0
        async with _soon(self._one_at_a_time):
            keys = (self._key(kind), self.revisions_key)
            revision = await self._link.run(POST, keys, (kind, key, _packed(value, until)))
            self._own(kind, int(revision))
            self._copy.put(kind, key, value, until)

    async def remove(self, kind: str, key: str) -> bool:
        """Whether there was one."""
        async with _soon(self._one_at_a_time):
            now = f"{self._wall():.3f}"
            removed = await self._link.run(REMOVE, (self._key(kind), self.revisions_key), (kind, key, now))
            self._copy.drop(kind, key)
            return bool(removed)

    def watch(self, kind: str, told: Told) -> None:
        """Be told of each change from now on."""
        self._copy.watch(kind, told)

    async def seize(self, key: str, seconds: float) -> bool:
        """Whether nobody else has it now."""
        name, life = f"{self._home}seized:{key}", max(1, round(seconds * 1000))
        return bool(await self._link.ask(lambda client: client.set(name, "1", nx=True, px=life), again=False))

    def expire(self) -> None:
        """Let go of what has ended."""
        self._copy.expire()

    async def follow(self, revisions: Mapping[str, int]) -> None:
        """Read the kinds that have changed. One whose revision is behind what was known here has been lost (Redis was
        restarted without its data, or another took its place): what stands here is written to it again."""
        for kind in {*revisions, *self._revisions}:
            known, now = self._revisions.get(kind, 0), revisions.get(kind, 0)
            if known != now:
                async with self._one_at_a_time:
                    if now < self._revisions.get(kind, 0):
                        await self._restore(kind)
                    await self._read(kind)
                    self._revisions[kind] = now

    async def sweep(self) -> None:
        """Delete from Redis what has ended."""
        for kind in list(self._revisions):
            await self._link.run(SWEEP, (self._key(kind),), (f"{self._wall():.3f}",))

    async def _restore(self, kind: str) -> None:
        fields = [part for key, value, until in self._copy.standing(kind) for part in (key, _packed(value, until))]
        await self._link.run(
            RESTORE, (self._key(kind), self.revisions_key), (kind, self._revisions.get(kind, 0), *fields)
        )

    async def _read(self, kind: str) -> None:
        name = self._key(kind)
        kept: dict[bytes, bytes] = await self._link.ask(lambda client: client.hgetall(name))
        now = self._wall()
        self._copy.replace(kind, [entry for entry in map(_unpacked, kept.items()) if not entry[2] or entry[2] > now])

    def _own(self, kind: str, revision: int) -> None:
        """Nobody else has changed anything in between, so there is nothing to read."""
        if revision == self._revisions.get(kind, 0) + 1:
            self._revisions[kind] = revision

    def _key(self, kind: str) -> str:
        return f"{self._home}board:{kind}"


class _soon:  # noqa: N801 - reads as a verb
    """A lock, had within the deadline."""

    def __init__(self, lock: asyncio.Lock) -> None:
        self._lock = lock

    async def __aenter__(self) -> None:
        try:
            async with asyncio.timeout(DEADLINE):
                await self._lock.acquire()
        except TimeoutError:
            raise StoreUnavailable("Redis: busy") from None

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()


def _packed(value: bytes, until: float) -> bytes:
    return f"{until:.3f} ".encode() + value


def _unpacked(item: tuple[bytes, bytes]) -> tuple[str, bytes, float]:
    until, _, value = item[1].partition(b" ")
    return item[0].decode(), value, float(until)


def revisions_of(flat: Iterable[bytes]) -> dict[str, int]:
    """As HGETALL gives them inside a script: names and numbers by turns."""
    several = iter(flat)
    return {name.decode(): int(number) for name, number in zip(several, several, strict=True)}
