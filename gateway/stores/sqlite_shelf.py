"""A shelf in a SQLite file. Each commit is one transaction, on disk when it is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from sqlite3 import Connection
from typing import TypeVar

from gateway.errors import Forgotten, OverQuota
from gateway.model.shelf import (
    Committed,
    Item,
    Mismatch,
    Page,
    Provenance,
    Put,
    ShelfLimits,
    ShelfUsage,
    check_puts,
    size_of,
)
from gateway.stores import shelf_rules
from gateway.stores import sqlite_shelf_rows as rows
from gateway.stores.shelf_rules import Held, batches, check_quota, check_values, new_epoch
from gateway.stores.sqlite_file import SqliteFile
from gateway.stores.sqlite_shelf_past import forget
from gateway.stores.sqlite_shelf_rows import Space

T = TypeVar("T")

_AT_ONCE = 500
"""Keys that expire, or are loaded, in one transaction at most: others must not wait long."""


class SqliteShelf:
    """ports.Shelf over a file."""

    def __init__(self, file: SqliteFile, wall: Callable[[], float]) -> None:
        """``wall`` gives seconds since the epoch."""
        self._file, self._wall = file, wall

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
        """All of it or nothing; see Shelf."""
        check_puts(puts, compares)
        check_values({put.key: put.value for put in puts}, limits)
        expected = [*((put.key, put.expect) for put in puts if put.expect is not None), *compares]

        def work(connection: Connection, space: Space) -> Committed | Mismatch:
            other = _other(connection, space, expected, stale=epoch is not None and epoch != space.epoch)
            if other:
                return Mismatch(space.epoch, space.revision, other)
            return _write(connection, space, puts, by, limits)

        return await self._run(namespace, work)

    async def get(self, namespace: str, key: str, at: int | None = None) -> Page:
        """What stands under a key, or stood."""

        def work(connection: Connection, space: Space) -> Page:
            found = rows.seen(connection, space, key, _at(space, at))
            return _page(space, at, () if found is None else (found,))

        return await self._run(namespace, work)

    async def scan(
        self, namespace: str, prefix: str = "", after: str = "", limit: int = 100, at: int | None = None
    ) -> Page:
        """What stands under keys that begin so."""

        def work(connection: Connection, space: Space) -> Page:
            found, room = list[Item](), shelf_rules.PAGE_BYTES
            for item in rows.scan(connection, space, prefix, after, _at(space, at)):
                if len(found) == limit or room < 0:
                    return _page(space, at, tuple(found), more=True)
                found.append(item)
                room -= len(item.value or b"")
            return _page(space, at, tuple(found))

        return await self._run(namespace, work)

    async def history(self, namespace: str, key: str, limit: int = 100) -> Page:
        """The versions of a key that are kept."""

        def work(connection: Connection, space: Space) -> Page:
            found, room = list[Item](), shelf_rules.PAGE_BYTES
            for item in rows.versions(connection, space, key):
                if len(found) == limit or room < 0:
                    return _page(space, None, tuple(found), more=True)
                found.append(item)
                room -= len(item.value or b"")
            return _page(space, None, tuple(found))

        return await self._run(namespace, work)

    async def changes(self, namespace: str, after: int, limit: int = 100) -> Page:
        """What was written since."""

        def work(connection: Connection, space: Space) -> Page:
            if after > space.revision or 0 < after < space.floor:
                raise Forgotten(space.namespace, after, space.revision)
            found, room = list[Item](), shelf_rules.PAGE_BYTES
            for item in rows.since(connection, space, after):
                if (len(found) >= limit or room < 0) and item.revision != found[-1].revision:
                    return _page(space, None, tuple(found), more=True)
                found.append(item)
                room -= len(item.value or b"")
            return _page(space, None, tuple(found))

        return await self._run(namespace, work)

    async def usage(self, namespace: str) -> ShelfUsage:
        """How much it holds."""
        return await self._run(
            namespace,
            lambda _, space: ShelfUsage(space.epoch, space.revision, space.live, space.size, space.former),
        )

    async def namespaces(self) -> Sequence[str]:
        """Those that exist."""
        return await self._file.run(rows.namespaces)

    async def load(self, namespace: str, items: AsyncIterator[Item]) -> Committed:
        """Put these in the place of all that it holds. Until all are there, they are on nobody's shelf; what a process
        leaves there that dies meanwhile is removed when the file is next opened."""
        epoch = new_epoch()
        number = await self._file.run(lambda connection: rows.create(connection, None, epoch).id)
        try:
            await self._load(number, ())
            async for some in batches(items, _AT_ONCE):
                await self._load(number, some)
            await self._file.run(lambda connection: rows.rename(connection, number, namespace))
        except BaseException:
            await self._file.run(lambda connection: rows.drop(connection, number))
            raise
        return Committed(epoch, 1)

    async def _load(self, number: int, some: Sequence[Item]) -> None:
        await self._file.run(lambda connection: rows.put_in(connection, number, some))

    async def drop(self, namespace: str) -> bool:
        """Remove it."""

        def work(connection: Connection) -> bool:
            space = rows.space_of(connection, namespace)
            rows.drop(connection, space.id)
            return bool(space.id)

        return await self._file.run(work)

    async def start(self, *, whole: bool) -> None:
        """Remove what loading has left. Unless the file is known to be ``whole``, as it was when it was last closed,
        every namespace begins another life."""
        await self._file.run(lambda connection: rows.tidy(connection, None if whole else new_epoch))

    async def _run(self, namespace: str, work: Callable[[Connection, Space], T]) -> T:
        """What ``work`` gives, when all that has ended by now is gone. It raises before it writes anything, if at all:
        what is caught here does not undo what others have asked for at the same time."""

        def attempt(connection: Connection) -> tuple[T | None, OverQuota | Forgotten | None]:
            space = rows.space_of(connection, namespace)
            if rows.expire(connection, space, self._wall(), _AT_ONCE):
                return None, None
            try:
                return work(connection, space), None
            except (OverQuota, Forgotten) as error:
                return None, error

        while True:
            found, error = await self._file.run(attempt)
            if error is not None:
                raise error
            if found is not None:
                return found


def _page(space: Space, at: int | None, items: tuple[Item, ...], *, more: bool = False) -> Page:
    return Page(space.epoch, space.revision if at is None or not space.id else at, items, more)


def _at(space: Space, at: int | None) -> int | None:
    if at is not None and not space.floor <= at <= space.revision:
        raise Forgotten(space.namespace, at, space.revision)
    return at


def _other(
    connection: Connection, space: Space, expected: Sequence[tuple[str, int | None]], *, stale: bool
) -> tuple[Item, ...]:
    """What stands where something else was expected; ``stale``: in another life of the namespace."""
    found: dict[str, Item] = {}
    for key, expect in expected:
        item = rows.newest(connection, space, key)
        if (item.revision if item and item.value is not None else 0) != expect or (stale and expect):
            found[key] = item or Item(space.namespace, key, 0, None)
    return tuple(found.values())


def _write(connection: Connection, space: Space, puts: Sequence[Put], by: Provenance, limits: ShelfLimits) -> Committed:
    standing = {put.key: rows.standing(connection, space, put.key) for put in puts}
    puts = [put for put in puts if put.value is not None or standing[put.key] is not None]
    if puts:
        before = Held(space.live, space.size, rows.owned(connection, space, by.agent))
        after = Held(before.items, before.size, before.own)
        for put in puts:
            was = standing[put.key]
            if was is not None:
                after.items -= 1
                after.size -= was.size
                after.own -= put.value is None and was.owner == by.agent
            if put.value is not None:
                after.items += 1
                after.size += size_of(put.key, put.value, by)
                after.own += was is None
        check_quota(before, after, limits)
        if not space.id:
            now, space = space.clock, rows.create(connection, space.namespace, new_epoch())
            space.clock = now
    items = rows.write(connection, space, puts, by) if puts else ()
    forget(connection, space, [put.key for put in puts], limits)
    return Committed(space.epoch, space.revision, items)
