"""A shelf in memory: nothing outlives the process. The reference for the others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from gateway.errors import Forgotten
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
from gateway.stores.memory_space import Space
from gateway.stores.shelf_rules import Held, check_quota, check_values


class MemoryShelf:
    """ports.Shelf for one process."""

    def __init__(self, wall: Callable[[], float], epochs: Callable[[], str]) -> None:
        """``wall`` gives seconds since the epoch, ``epochs`` a text that nobody has had."""
        self._wall, self._epochs = wall, epochs
        self._spaces: dict[str, Space] = {}

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
        space = self._space(namespace)
        expected = [*((put.key, put.expect) for put in puts if put.expect is not None), *compares]
        other = _other(namespace, space, expected, stale=epoch is not None and epoch != space.epoch)
        if other:
            return Mismatch(space.epoch, space.revision, other)
        puts = [put for put in puts if put.value is not None or space.standing(put.key)]
        if puts:
            self._make_room(namespace)
            before = Held(space.live, space.size, space.owners[by.agent])
            check_quota(before, _after(space, before, puts, by), limits)
            self._spaces[namespace] = space
        items = space.write(puts, by, space.clock) if puts else ()
        space.forget([put.key for put in puts], limits, space.clock)
        return Committed(space.epoch if namespace in self._spaces else "", space.revision, items)

    async def get(self, namespace: str, key: str, at: int | None = None) -> Page:
        """What stands under a key, or stood."""
        space = self._space(namespace)
        item = space.seen(key, self._at(namespace, space, at))
        return self._page(namespace, at, () if item is None else (item,))

    async def scan(
        self, namespace: str, prefix: str = "", after: str = "", limit: int = 100, at: int | None = None
    ) -> Page:
        """What stands under keys that begin so."""
        space, room, found = self._space(namespace), shelf_rules.PAGE_BYTES, list[Item]()
        revision = self._at(namespace, space, at)
        for key in space.keys(prefix, after):
            item = space.seen(key, revision)
            if item is None:
                continue
            if len(found) == limit or room < 0:
                return self._page(namespace, at, tuple(found), more=True)
            found.append(item)
            room -= len(item.value or b"")
        return self._page(namespace, at, tuple(found))

    async def history(self, namespace: str, key: str, limit: int = 100) -> Page:
        """The versions of a key that are kept."""
        room, found = shelf_rules.PAGE_BYTES, list[Item]()
        for item in reversed(self._space(namespace).versions(key)):
            if len(found) == limit or room < 0:
                return self._page(namespace, None, tuple(found), more=True)
            found.append(item)
            room -= len(item.value or b"")
        return self._page(namespace, None, tuple(found))

    async def changes(self, namespace: str, after: int, limit: int = 100) -> Page:
        """What was written since."""
        space, room, found = self._space(namespace), shelf_rules.PAGE_BYTES, list[Item]()
        if after > space.revision or 0 < after < space.floor:
            raise Forgotten(namespace, after, space.revision)
        for item in space.since(after):
            if (len(found) >= limit or room < 0) and item.revision != found[-1].revision:
                return self._page(namespace, None, tuple(found), more=True)
            found.append(item)
            room -= len(item.value or b"")
        return self._page(namespace, None, tuple(found))

    async def usage(self, namespace: str) -> ShelfUsage:
        """How much it holds."""
        space = self._space(namespace)
        page = self._page(namespace, None, ())
        return ShelfUsage(page.epoch, space.revision, space.live, space.size, space.former)

    async def namespaces(self) -> Sequence[str]:
        """Those that exist."""
        return sorted(self._spaces)

    async def load(self, namespace: str, items: AsyncIterator[Item]) -> Committed:
        """Put these in the place of all that it holds."""
        space = Space(namespace, self._epochs())
        async for item in items:
            space.put_in(item)
        self._make_room(namespace)
        space.revision = 1
        self._spaces[namespace] = space
        return Committed(space.epoch, 1)

    async def drop(self, namespace: str) -> bool:
        """Remove it."""
        return self._spaces.pop(namespace, None) is not None

    def _space(self, namespace: str) -> Space:
        """As it is now; a new one, that is not kept yet, where there is none."""
        space = self._spaces.get(namespace)
        if space is None:
            space = Space(namespace, self._epochs())
        space.expire(self._wall())
        return space

    def _make_room(self, namespace: str) -> None:
        if namespace not in self._spaces and len(self._spaces) >= shelf_rules.MOST_NAMESPACES:
            raise shelf_rules.full()

    def _page(self, namespace: str, at: int | None, items: tuple[Item, ...], *, more: bool = False) -> Page:
        space = self._spaces.get(namespace)
        if space is None:
            return Page("", 0)
        return Page(space.epoch, space.revision if at is None else at, items, more)

    def _at(self, namespace: str, space: Space, at: int | None) -> int | None:
        if at is not None and not space.floor <= at <= space.revision:
            raise Forgotten(namespace, at, space.revision)
        return at


def _other(
    namespace: str, space: Space, expected: Sequence[tuple[str, int | None]], *, stale: bool
) -> tuple[Item, ...]:
    """What stands where something else was expected; ``stale``: in another life of the namespace."""
    found: dict[str, Item] = {}
    for key, expect in expected:
        item = space.standing(key)
        if (item.revision if item else 0) != expect or (stale and expect):
            versions = space.versions(key)
            found[key] = versions[-1] if versions else Item(namespace, key, 0, None)
    return tuple(found.values())


def _after(space: Space, before: Held, puts: Sequence[Put], by: Provenance) -> Held:
    """How much it would hold."""
    after = Held(before.items, before.size, before.own)
    for put in puts:
        standing = space.standing(put.key)
        if standing is not None:
            after.items -= 1
            after.size -= size_of(put.key, standing.value, standing.by)
            after.own -= put.value is None and space.owner(put.key) == by.agent
        if put.value is not None:
            after.items += 1
            after.size += size_of(put.key, put.value, by)
            after.own += standing is None
    return after
