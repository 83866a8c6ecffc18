"""A bounded table that agents share: one who fills it pushes out what is their own, not what is others'."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Shares(Generic[K, V]):
    """Values by key, each kept for an agent. Beyond ``capacity`` the least recently used goes: of the agent who adds,
    if it has its share of the table already, else of the agent who has most."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._values: OrderedDict[K, tuple[str, V]] = OrderedDict()
        self._keys: dict[str, OrderedDict[K, None]] = {}
        self._by_size: dict[int, OrderedDict[str, None]] | None = None
        """Agents by how many keys they have: to find who has most must not cost more the more agents there are. None
        until that is asked for the first time, so that no call pays for it before."""
        self._most = 0

    def get(self, key: K) -> V | None:
        """What is kept; this is no use of it."""
        kept = self._values.get(key)
        return None if kept is None else kept[1]

    def use(self, key: K) -> V | None:
        """What is kept, as used just now."""
        kept = self._values.get(key)
        if kept is None:
            return None
        self._values.move_to_end(key)
        self._keys[kept[0]].move_to_end(key)
        return kept[1]

    def put(self, agent: str, key: K, value: V) -> K | None:
        """Keep a value for this agent, as used just now. A key is always of one agent. The key that had to go."""
        values, own = self._values, self._keys.get(agent)
        if own is None:
            own = self._keys[agent] = OrderedDict()
        elif key in own:
            values[key] = (agent, value)
            values.move_to_end(key)
            own.move_to_end(key)
            return None
        having = len(own) + 1
        full = len(values) >= self._capacity
        if full and having > 1 and having * len(self._keys) > self._capacity:
            gone = own.popitem(last=False)[0]
            del values[gone]
            values[key], own[key] = (agent, value), None
            return gone
        values[key], own[key] = (agent, value), None
        self._resized(agent, having - 1, having)
        if not full:
            return None
        gone = next(iter(self._keys[self._who_has_most()]))  # somebody else has more than a share
        self.pop(gone)
        return gone

    def pop(self, key: K) -> V | None:
        """Forget it; what it was."""
        kept = self._values.pop(key, None)
        if kept is None:
            return None
        agent, value = kept
        own = self._keys[agent]
        del own[key]
        self._resized(agent, len(own) + 1, len(own))
        if not own:
            del self._keys[agent]
        return value

    def owner(self, key: K) -> str | None:
        """The agent for whom this key is kept."""
        kept = self._values.get(key)
        return None if kept is None else kept[0]

    def oldest(self) -> tuple[K, V] | None:
        """The key that was used least recently, and what is kept for it."""
        key = next(iter(self._values), None)
        return None if key is None else (key, self._values[key][1])

    def oldest_of(self, agent: str) -> K | None:
        """The key of this agent that was used least recently."""
        own = self._keys.get(agent)
        return None if own is None else next(iter(own))

    def _who_has_most(self) -> str:
        if self._by_size is None:
            self._by_size = {}
            for agent, own in self._keys.items():
                self._resized(agent, 0, len(own))
        return next(iter(self._by_size[self._most]))

    def _resized(self, agent: str, before: int, after: int) -> None:
        """The agent has one key more, or one less."""
        by_size = self._by_size
        if by_size is None:
            return
        if before:
            same = by_size[before]
            del same[agent]
            if not same:
                del by_size[before]
        if after:
            others = by_size.get(after)
            if others is None:
                others = by_size[after] = OrderedDict()
            others[agent] = None
        if after > self._most or self._most not in by_size:
            self._most = after

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return iter([(key, value) for key, (_, value) in self._values.items()])

    def __len__(self) -> int:
        return len(self._values)
