"""One namespace of a shelf in memory: of each key its versions, and what of the past may be forgotten, oldest first."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush

import msgspec

from gateway.errors import Forgotten
from gateway.model.shelf import NOBODY, Item, Provenance, Put, ShelfLimits, size_of
from gateway.stores.shelf_rules import MOST_FORGOTTEN


class _Chain:
    """The versions of a key that are kept, the newest last: without a gap, so that it is known what stood when.
    ``lost``: there were earlier ones. ``owner``: by whom the key came to be."""

    __slots__ = ("lost", "owner", "versions")

    def __init__(self) -> None:
        self.versions: list[Item] = []
        self.lost = False
        self.owner = ""

    def ended(self) -> Item | None:
        """By what the oldest version ceased to stand; None where it stands."""
        first = self.versions[0]
        return self.versions[1] if len(self.versions) > 1 else first if first.value is None else None


class Space:
    """What stands and stood. ``clock`` is the latest time that it has heard of, and time never goes back for it;
    ``floor``: removals before this revision may be forgotten as a whole."""

    def __init__(self, namespace: str, epoch: str) -> None:
        self.namespace, self.epoch = namespace, epoch
        self.revision = self.floor = self.live = self.size = self.former = 0
        self.clock = 0.0
        self.owners = Counter[str]()
        self._kept = 0
        self._chains: dict[str, _Chain] = {}
        self._names: list[str] = []
        self._order: list[tuple[int, str]] = []
        self._past: deque[tuple[int, str]] = deque()
        self._ends: list[tuple[float, str, int]] = []

    # -- reading ------------------------------------------------------------------------------------------------

    def standing(self, key: str) -> Item | None:
        """What stands under it."""
        chain = self._chains.get(key)
        return None if chain is None or chain.versions[-1].value is None else chain.versions[-1]

    def owner(self, key: str) -> str:
        """By whom the key came to be."""
        return self._chains[key].owner

    def versions(self, key: str) -> Sequence[Item]:
        """All that are kept, the newest last."""
        chain = self._chains.get(key)
        return () if chain is None else chain.versions

    def seen(self, key: str, at: int | None) -> Item | None:
        """What stands, or stood at that revision. Raises Forgotten."""
        if at is None:
            return self.standing(key)
        chain = self._chains.get(key)
        if chain is None:
            return None
        number = bisect_right(chain.versions, at, key=_revision_of)
        if not number:
            if chain.lost:
                raise Forgotten(self.namespace, at, self.revision)
            return None
        found = chain.versions[number - 1]
        return None if found.value is None else found

    def keys(self, prefix: str, after: str) -> Iterator[str]:
        """Those that begin so and come later, in order; such as were removed too."""
        start = bisect_right(self._names, after) if after >= prefix else bisect_left(self._names, prefix)
        for number in range(start, len(self._names)):
            if not self._names[number].startswith(prefix):
                return
            yield self._names[number]

    def since(self, after: int) -> Iterator[Item]:
        """Versions later than this revision, in order."""
        for number in range(bisect_right(self._order, after, key=lambda one: one[0]), len(self._order)):
            revision, key = self._order[number]
            versions = self.versions(key)
            place = bisect_left(versions, revision, key=_revision_of)
            if place < len(versions) and versions[place].revision == revision:
                yield versions[place]

    # -- writing ------------------------------------------------------------------------------------------------

    def write(self, puts: Sequence[Put], by: Provenance, now: float) -> tuple[Item, ...]:
        """All as the next revision. ``now`` is not before ``clock``."""
        self.revision += 1
        self.clock = now
        items = []
        for put in puts:
            standing = self.standing(put.key)
            created = now if standing is None else standing.created
            ends = now + put.ttl if put.ttl and put.value is not None else 0.0
            item = Item(self.namespace, put.key, self.revision, put.value, put.kind, created, now, ends, by)
            self._add(item)
            items.append(item)
        self._order[-len(items) :] = sorted(self._order[-len(items) :])
        return tuple(items)

    def put_in(self, item: Item) -> None:
        """What was kept elsewhere, as the first revision; over what was put in before it."""
        chain = self._chains.get(item.key)
        if chain is not None:
            self._end_life(chain)
            self._forget_oldest(item.key)
        if item.value is not None:
            self._add(msgspec.structs.replace(item, namespace=self.namespace, revision=1))

    def expire(self, now: float) -> None:
        """What has ended by now is removed, each by a revision of its own, at its time."""
        now = max(now, self.clock)
        while self._ends and self._ends[0][0] <= now:
            ends, key, revision = heappop(self._ends)
            standing = self.standing(key)
            if standing is None or standing.revision != revision or standing.ends != ends:
                continue  # it was written over
            self.write([Put(key, None, standing.kind)], NOBODY, max(ends, self.clock))
        self.clock = now

    def forget(self, keys: Sequence[str], limits: ShelfLimits, now: float) -> None:
        """What of the past is too much, or too old; former versions of these keys beyond their number."""
        for key in keys:
            for _ in range(len(self.versions(key)) - 1 - limits.versions):
                self._forget_oldest(key)
        for _ in range(MOST_FORGOTTEN):
            if not self._past:
                break
            revision, key = self._past[0]
            chain = self._chains.get(key)
            ended = None if chain is None else chain.ended()
            if ended is not None and ended.revision == revision:
                if self.former <= limits.size and ended.written > now - limits.age:
                    break
                self._forget_oldest(key)
            self._past.popleft()
        self._compact()

    def _add(self, item: Item) -> None:
        chain = self._chains.get(item.key)
        if chain is None:
            chain = self._chains[item.key] = _Chain()
            insort(self._names, item.key)
        else:
            self._past.append((item.revision, item.key))
            self._end_life(chain)
        size = size_of(item.key, item.value, item.by)
        if item.value is None:
            self._past.append((item.revision, item.key))
            self.former += size
        else:
            if not chain.versions or chain.versions[-1].value is None:
                chain.owner = item.by.agent
            self.owners[chain.owner] += 1
            self.live += 1
            self.size += size
        chain.versions.append(item)
        self._kept += 1
        self._order.append((item.revision, item.key))
        if item.ends:
            heappush(self._ends, (item.ends, item.key, item.revision))

    def _end_life(self, chain: _Chain) -> None:
        """Its newest version is about to be a former one."""
        last = chain.versions[-1]
        if last.value is not None:
            size = size_of(last.key, last.value, last.by)
            self.live -= 1
            self.size -= size
            self.former += size
            self.owners[chain.owner] -= 1
            if not self.owners[chain.owner]:
                del self.owners[chain.owner]

    def _forget_oldest(self, key: str) -> None:
        chain = self._chains[key]
        item = chain.versions.pop(0)
        chain.lost = True
        self._kept -= 1
        self.former -= size_of(key, item.value, item.by)
        if not chain.versions:
            self.floor = max(self.floor, item.revision)
            del self._chains[key]
            del self._names[bisect_left(self._names, key)]

    def _compact(self) -> None:
        """Let go of notes about versions that are not kept any more, when there are more of them than others."""
        if max(len(self._order), len(self._past), len(self._ends)) <= 64 + 3 * self._kept:
            return
        kept = [(key, chain) for key, chain in self._chains.items()]
        self._order = sorted((item.revision, key) for key, chain in kept for item in chain.versions)
        past = [(item.revision, key) for key, chain in kept for item in chain.versions[1:]]
        removed = [(chain.versions[-1].revision, key) for key, chain in kept if chain.versions[-1].value is None]
        self._past = deque(sorted(past + removed))
        standing = [item for key, _ in kept if (item := self.standing(key)) is not None and item.ends]
        self._ends = [(item.ends, item.key, item.revision) for item in standing]
        heapify(self._ends)


def _revision_of(item: Item) -> int:
    return item.revision
