"""A shelf in Redis. How it is kept there is in ``redis_shelf_lua.py``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec

from gateway.errors import Forgotten, StoreUnavailable
from gateway.model.shelf import (
    BESIDE,
    NOBODY,
    Committed,
    Item,
    Kind,
    Mismatch,
    Page,
    Provenance,
    Put,
    ShelfLimits,
    ShelfUsage,
    check_puts,
    size_of,
)
from gateway.stores import redis_shelf_scripts as scripts
from gateway.stores import shelf_rules
from gateway.stores.redis_link import RedisLink
from gateway.stores.redis_scripts import Script
from gateway.stores.redis_shelf_lua import PARTS
from gateway.stores.shelf_rules import batches, check_values, new_epoch

_AT_ONCE = 100
"""Items that are staged in one go at most."""
_TOGETHER = 16
"""Questions under way; others wait for their turn, without being taken for a Redis that does not answer."""
_NOBODY = (msgspec.json.encode(NOBODY), BESIDE)
_by = msgspec.json.Decoder(Provenance)


class RedisShelf:
    """ports.Shelf over Redis."""

    def __init__(self, link: RedisLink, prefix: str, wall: Callable[[], float]) -> None:
        """``wall`` gives seconds since the epoch; the clocks of all replicas must agree."""
        self._link, self._wall = link, wall
        self._prefix = prefix
        self._register = f"{prefix}{{state}}:memory"
        self._turns = asyncio.Semaphore(_TOGETHER)

    async def commit(
        self,
        namespace: str,
        puts: Sequence[Put],
        by: Provenance,
        limits: ShelfLimits,
        *,
        epoch: str | None = None,
        compares: Sequence[tuple[str, int]] = (),
    ) -> Committed | Mismatch:
        """All of it or nothing; see Shelf. Where no answer comes in time it may have been done, or be done later:
        StoreUnavailable."""
        check_puts(puts, compares)
        check_values({put.key: put.value for put in puts}, limits)
        expected = [*((put.key, put.expect) for put in puts if put.expect is not None), *compares]
        first = (new_epoch(), new_epoch(), epoch or "", by.agent, msgspec.json.encode(by))
        most = (limits.items, limits.size, limits.keys_per_agent, limits.versions, repr(limits.age))
        rest: list[Any] = [*most, len(expected), *(part for each in expected for part in each)]
        for put in puts:
            size = size_of(put.key, put.value, by)
            rest += [put.key, int(put.value is not None), put.kind, repr(put.ttl), size, put.value or b""]
        said = await self._run(scripts.COMMIT, namespace, (*first, 0, *rest))
        if said[0] == b"new":
            await self._enter(namespace)
            said = await self._run(scripts.COMMIT, namespace, (*first, 1, *rest))
        if said[0] == b"quota":
            what = said[1].decode()
            raise shelf_rules.over_quota(what, getattr(limits, what))
        if said[0] == b"mismatch":
            return Mismatch(said[1].decode(), int(said[2]), _items(namespace, said[3:]))
        now, names = float(said[3]), iter(said[4:])
        created = {name.decode(): float(at) for name, at in zip(names, names, strict=True)}
        revision = int(said[2])
        items = tuple(
            _written(namespace, put, by, revision, created[put.key], now) for put in puts if put.key in created
        )
        return Committed(said[1].decode(), revision, items)

    async def get(self, namespace: str, key: str, at: int | None = None) -> Page:
        """What stands under a key, or stood."""
        said = await self._run(scripts.GET, namespace, (key, "" if at is None else at))
        return _page(namespace, said, at)

    async def scan(
        self, namespace: str, prefix: str = "", after: str = "", limit: int = 100, at: int | None = None
    ) -> Page:
        """What stands under keys that begin so."""
        room, until = shelf_rules.PAGE_BYTES, b"(" + prefix.encode() + b"\xff" if prefix else b"+"
        while True:
            start = f"({after}" if after and after >= prefix else f"[{prefix}" if prefix else "-"
            given = (start, until, limit, room, "" if at is None else at)
            said = await self._run(scripts.SCAN, namespace, given)
            after = said.pop().decode() if said[0] == b"page" else ""
            page = _page(namespace, said, at)
            if page.items or not page.more:
                return page

    async def history(self, namespace: str, key: str, limit: int = 100) -> Page:
        """The versions of a key that are kept."""
        return _page(namespace, await self._run(scripts.HISTORY, namespace, (key, limit, shelf_rules.PAGE_BYTES)))

    async def changes(self, namespace: str, after: int, limit: int = 100) -> Page:
        """What was written since."""
        said = await self._run(scripts.CHANGES, namespace, (after, limit, shelf_rules.PAGE_BYTES))
        if said[0] == b"forgotten":
            raise Forgotten(namespace, after, int(said[1]))
        return _page(namespace, said)

    async def usage(self, namespace: str) -> ShelfUsage:
        """How much it holds."""
        epoch, *numbers = await self._run(scripts.USAGE, namespace, ())
        return ShelfUsage(epoch.decode(), *map(int, numbers))

    async def namespaces(self) -> Sequence[str]:
        """Those that exist."""
        entered: set[bytes] = await self._link.ask(lambda client: client.smembers(self._register))
        names = sorted(name.decode() for name in entered)
        heads = [self._keys(name)[0] for name in names]
        there = await asyncio.gather(*[self._exists(head) for head in heads])
        return [name for name, exists in zip(names, there, strict=True) if exists]

    async def load(self, namespace: str, items: AsyncIterator[Item]) -> Committed:
        """Put these in the place of all that it holds. Until all are there, they lie beside it, for an hour at most."""
        epoch = new_epoch()
        staged = self._keys(namespace, f"new:{epoch}:")
        await self._stage(staged, epoch, ())
        async for some in batches(items, _AT_ONCE):
            await self._stage(staged, epoch, some)
        await self._enter(namespace)
        done = await self._link.run(scripts.EXCHANGE, (*self._keys(namespace), *staged), (), again=False)
        if not done:
            raise StoreUnavailable("what was loaded is not there any more; load it again")
        return Committed(epoch, 1)

    async def drop(self, namespace: str) -> bool:
        """Remove it."""
        keys = self._keys(namespace)
        await self._link.ask(lambda client: client.srem(self._register, namespace))
        gone: int = await self._link.ask(lambda client: client.unlink(*keys))
        return gone > 0

    async def _run(self, script: Script, namespace: str, args: Sequence[Any]) -> list[Any]:
        """What the script returns when all that has ended by now is gone."""
        while True:
            said: list[Any] = await self._link.run(script, self._keys(namespace), (repr(self._wall()), *_NOBODY, *args))
            if said[0] != b"more":
                return said

    async def _stage(self, keys: Sequence[str], epoch: str, items: Sequence[Item]) -> None:
        args: list[Any] = [0, *_NOBODY, epoch]
        for item in items:
            times = (repr(item.created), repr(item.written), repr(item.ends))
            size = size_of(item.key, item.value, item.by)
            value = item.value or b""
            by = msgspec.json.encode(item.by)
            args += [item.key, int(item.value is not None), *times, size, item.kind, item.by.agent, by, value]
        await self._link.run(scripts.STAGE, keys, args)

    async def _enter(self, namespace: str) -> None:
        """Note that there is one of this name, before there is."""
        if await self._link.ask(lambda client: client.scard(self._register)) >= shelf_rules.MOST_NAMESPACES:
            names = await self.namespaces()
            if namespace not in names and len(names) >= shelf_rules.MOST_NAMESPACES:
                raise shelf_rules.full()
        await self._link.ask(lambda client: client.sadd(self._register, namespace))

    async def _exists(self, key: str) -> bool:
        return bool(await self._link.ask(lambda client: client.exists(key)))

    def _keys(self, namespace: str, stage: str = "") -> tuple[str, ...]:
        home = f"{self._prefix}{{memory:{namespace}}}:{stage}"
        return tuple(home + part for part in PARTS)


def _page(namespace: str, said: Sequence[Any], at: int | None = None) -> Page:
    if said[0] == b"forgotten":
        raise Forgotten(namespace, at or 0, int(said[1]))
    _, epoch, revision, more, *rest = said
    return Page(epoch.decode(), int(revision) if at is None else at, _items(namespace, rest), more == b"1")


def _items(namespace: str, said: Sequence[Any]) -> tuple[Item, ...]:
    """Of names and records by turns."""
    several = iter(said)
    return tuple(_item(namespace, name.decode(), record) for name, record in zip(several, several, strict=True))


def _item(namespace: str, key: str, record: bytes) -> Item:
    """Empty: nothing is known to have been."""
    if not record:
        return Item(namespace, key, 0, None)
    revision, written, created, ends, _, live, kind, owner, by, rest = record.split(b" ", 9)
    start = int(owner)
    value = rest[start + int(by) :] if live == b"1" else None
    times = (float(created), float(written), float(ends))
    shown: Kind = "text" if kind == b"text" else "json"
    return Item(namespace, key, int(revision), value, shown, *times, _by.decode(rest[start : start + int(by)]))


def _written(namespace: str, put: Put, by: Provenance, revision: int, created: float, now: float) -> Item:
    ends = now + put.ttl if put.ttl and put.value is not None else 0.0
    return Item(namespace, put.key, revision, put.value, put.kind, created, now, ends, by)
