"""What agents may do with the shared memory, whichever way they speak to it: rights, conditions, conflicts."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec import Struct

from gateway.coherence.differences import difference
from gateway.errors import Forgotten, OverQuota, StoreUnavailable
from gateway.memory.caller import Caller
from gateway.memory.namespaces import Namespaces, Place
from gateway.memory.seen import Expect, Seen, one_version
from gateway.memory.wrong import Wrong
from gateway.model.shelf import (
    Committed,
    Item,
    Kind,
    Mismatch,
    Page,
    Provenance,
    Put,
    check_key,
    read_version,
    version_of,
)
from gateway.policy.guards import short
from gateway.ports import Shelf

MOST_TRIES = 5
"""Times that a change of what stands, whatever that is, is tried: each time somebody else was faster."""
LONGEST_TTL = 10 * 366 * 86_400.0
_NEVER = -1
"""A revision that never stands."""

MOST_MADE = 1_000
"""Namespaces that are known to exist; beyond, all are looked for again."""


class Want(Struct, frozen=True):
    """What is to stand under a key: ``value``, or None for nothing; for ``ttl`` seconds, 0 for ever, None as its
    namespace has it."""

    key: str
    value: bytes | None
    kind: Kind = "json"
    ttl: float | None = None
    expect: Expect = Seen.BLIND


Change = Callable[[Item], tuple[bytes, Kind]]
"""From what stands (``value`` None: nothing) to what is to stand."""


class Book:
    """The memory. ``wrote`` is told the namespace of each change. Methods raise Wrong, and what the store raises."""

    def __init__(self, shelf: Shelf, wrote: Callable[[str], None] = lambda _: None) -> None:
        self.shelf, self._wrote = shelf, wrote
        self.namespaces = Namespaces({})
        self._made: set[str] = set()
        self.conflicts: Counter[str] = Counter()
        """Writes that were refused since something else stood, by namespace as it is configured."""
        self.writes: Counter[str] = Counter()

    # -- reading ------------------------------------------------------------------------------------------------

    async def read(self, caller: Caller, namespace: str, key: str, at: str = "") -> Page:
        """What stands under a key, or stood at this revision. 404 where nothing does."""
        self.namespaces.readable(namespace, caller)
        check_key(key)
        page = await self._as_of(namespace, at, lambda revision: self.shelf.get(namespace, key, revision))
        if page.item is None:
            raise Wrong(404, "no_value", f"nothing stands under {short(key)} in {namespace}", "list what there is")
        return page

    async def scan(
        self, caller: Caller, namespace: str, prefix: str = "", after: str = "", limit: int = 100, at: str = ""
    ) -> Page:
        """What stands under keys that begin so and come after ``after``."""
        self.namespaces.readable(namespace, caller)
        return await self._as_of(
            namespace, at, lambda revision: self.shelf.scan(namespace, prefix, after, limit, revision)
        )

    async def history(self, caller: Caller, namespace: str, key: str, limit: int = 20) -> Page:
        """The versions of a key that are kept, the newest first."""
        self.namespaces.readable(namespace, caller)
        check_key(key)
        return await self.shelf.history(namespace, key, limit)

    async def _as_of(self, namespace: str, at: str, read: Callable[[int | None], Awaitable[Page]]) -> Page:
        if not at:
            return await read(None)
        version = read_version(at)
        if version is None and not at.isdecimal():
            raise Wrong(400, "unusable", f"{short(at)} is no revision", "give the version that a list or a read has")
        epoch, revision = version or ("", int(at[:15]))
        page = await read(revision)
        if epoch and page.epoch != epoch:
            raise Forgotten(namespace, revision, page.revision)
        return page

    # -- writing ------------------------------------------------------------------------------------------------

    async def remove(self, caller: Caller, namespace: str, key: str, expect: Expect) -> Committed:
        """Let nothing stand under a key. 404 where nothing does, unless a version was expected to."""
        self.namespaces.writable(namespace, caller)
        if isinstance(expect, Seen):
            await self.read(caller, namespace, key)
        return await self.commit(caller, namespace, [Want(key, None, expect=expect)])

    async def change(
        self, caller: Caller, namespace: str, key: str, change: Change, expect: Expect, ttl: float | None = None
    ) -> Committed:
        """Let something stand that is made of what does, with the labels of both."""
        place = self.namespaces.writable(namespace, caller)
        for _ in range(MOST_TRIES):
            page = await self.shelf.get(namespace, key)
            item = page.item or Item(namespace, key, 0, None)
            if not _holds(expect, page, place):
                self.conflicts[place.pattern] += 1
                raise await self._conflict(Mismatch(page.epoch, page.revision, (item,)), {key: expect}, namespace)
            value, kind = change(item)
            put = Put(key, value, kind, _seconds(place, ttl), item.revision if page.items else 0)
            by = caller.wrote(*item.by.labels)
            done = await self._commit(place, namespace, [put], by, page.epoch if page.items else None)
            if isinstance(done, Committed):
                return done
        detail = f"{short(key)} is being written by many at once; this change has met another one {MOST_TRIES} times"
        raise Wrong(503, "busy", detail, "try it again in a moment")

    async def commit(
        self, caller: Caller, namespace: str, wants: Sequence[Want], compares: Sequence[tuple[str, Expect]] = ()
    ) -> Committed:
        """All of it or nothing. 412 where something else stands than is expected, 428 where nothing is said of that."""
        place = self.namespaces.writable(namespace, caller)
        expects: dict[str, Expect] = dict(compares)
        if len(expects) < len(compares) or not expects.keys().isdisjoint([want.key for want in wants]):
            raise ValueError("a key that is written or compared is compared a second time")
        expects |= {want.key: want.expect for want in wants}
        found = {key: await self._expected(place, namespace, key, expect) for key, expect in expects.items()}
        epoch = next((epoch for epoch, _ in found.values() if epoch), None)
        wanted = {key: revision if own in ("", epoch) else _NEVER for key, (own, revision) in found.items()}
        puts = [Put(want.key, want.value, want.kind, _seconds(place, want.ttl), wanted[want.key]) for want in wants]
        pairs = [(key, revision) for key, _ in compares if (revision := wanted[key]) is not None]
        done = await self._commit(place, namespace, puts, caller.wrote(), epoch, pairs)
        if isinstance(done, Committed):
            return done
        raise await self._conflict(done, expects, namespace)

    async def _expected(self, place: Place, namespace: str, key: str, expect: Expect) -> tuple[str, int | None]:
        """Epoch ("" for whichever) and revision (None for whichever) that must stand."""
        if expect is Seen.ABSENT:
            return "", 0
        if expect is Seen.BLIND:
            return "", None if place.settings.blind_writes == "allow" else 0
        one = one_version(expect)
        if one is not None:
            return one
        page = await self.shelf.get(namespace, key)
        if page.item is None or not _holds(expect, page, place):
            return "", _NEVER
        return page.epoch, page.item.revision

    async def _commit(
        self,
        place: Place,
        namespace: str,
        puts: Sequence[Put],
        by: Provenance,
        epoch: str | None,
        compares: Sequence[tuple[str, int]] = (),
    ) -> Committed | Mismatch:
        if place.is_glob:
            await self._make_room(place, namespace)
        done = await self.shelf.commit(namespace, puts, by, place.limits, epoch=epoch, compares=compares)
        if isinstance(done, Committed):
            self.writes[place.pattern] += 1
            self._wrote(namespace)
            if len(self._made) >= MOST_MADE:
                self._made.clear()
            self._made.add(namespace)
        else:
            self.conflicts[place.pattern] += 1
        return done

    async def _make_room(self, place: Place, namespace: str) -> None:
        """Agents make namespaces by a glob, and not without end."""
        if namespace in self._made:
            return
        there = [name for name in await self.shelf.namespaces() if self.namespaces.of(name) is place]
        if namespace not in there and len(there) >= place.settings.most:
            detail = f"there are {len(there)} namespaces by {place.pattern} already"
            raise OverQuota("namespaces", place.settings.most, detail)

    # -- what stands in the way ----------------------------------------------------------------------------------

    async def _conflict(self, found: Mismatch, expects: Mapping[str, Expect], namespace: str) -> Wrong:
        seen = [expects[item.key] for item in found.items]
        blind = all(expect is Seen.BLIND for expect in seen)
        keys = ", ".join(short(item.key) for item in found.items[:3]) + (", ..." if len(found.items) > 3 else "")
        if blind:
            detail = f"{keys} has a value already, and the write does not say which version it has seen"
        else:
            detail = f"{keys} is not as it was seen: {_changed(found.items[0])}"
        diff = ""
        if len(found.items) == 1 and (one := one_version(seen[0])) is not None and one[0] == found.epoch:
            diff = await self._since(namespace, found.items[0], one[1])
        status, reason = (428, "unseen") if blind else (412, "conflict")
        return Wrong(status, reason, detail, epoch=found.epoch, standing=found.items, diff=diff)

    async def _since(self, namespace: str, item: Item, revision: int) -> str:
        """What has changed since a version; empty where that is not kept."""
        with contextlib.suppress(Forgotten, StoreUnavailable):
            before = (await self.shelf.get(namespace, item.key, revision)).item
            if before is not None and before.revision == revision and before.value and item.value:
                return difference(before.value.decode(), item.value.decode())
        return ""


def _holds(expect: Expect, page: Page, place: Place) -> bool:
    """Whether what a writer says it has seen stands."""
    if page.item is None:
        return expect in (Seen.ABSENT, Seen.BLIND)
    if expect is Seen.BLIND:
        return place.settings.blind_writes == "allow"
    if isinstance(expect, Seen):
        return expect is Seen.ANY
    return version_of(page.epoch, page.item.revision) in expect


def _seconds(place: Place, ttl: float | None) -> float:
    if ttl is not None and ttl > LONGEST_TTL:
        raise ValueError(f"a ttl of {ttl:g} s is too long; leave it out for a value that does not end")
    return place.settings.ttl if ttl is None else ttl


def _changed(item: Item) -> str:
    if item.value is None:
        if not item.revision:
            return "nothing stands there"
        return f"it was removed by {short(item.by.agent)}" if item.by.agent else "it has expired"
    return f"{short(item.by.agent)} has written it"
