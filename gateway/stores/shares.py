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
        self._by_size: dict[int, OrderedDict[str, None]] = {}
        """Agents by how many keys they have: to find who has most must not cost more the more agents there are."""
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

    def put(self, agent: str, key: K, value: V) -> None:
        """Keep a value for this agent, as used just now. A key is always of one agent."""
        known = key in self._values
        self._values[key] = (agent, value)
        own = self._keys.get(agent)
        if own is None:
            own = self._keys[agent] = OrderedDict()
        own[key] = None
        if known:
            self._values.move_to_end(key)
            own.move_to_end(key)
            return
        self._resized(agent, len(own) - 1, len(own))
        if len(self._values) > self._capacity:
            self._push_out(own)

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

    def oldest(self) -> tuple[K, V] | None:
        """The key that was used least recently, and what is kept for it."""
        key = next(iter(self._values), None)
        return None if key is None else (key, self._values[key][1])

    def _push_out(self, own: OrderedDict[K, None]) -> None:
        if len(own) == 1 or len(own) * len(self._keys) <= self._capacity:  # then somebody else has more than a share
            own = self._keys[next(iter(self._by_size[self._most]))]
        self.pop(next(iter(own)))

    def _resized(self, agent: str, before: int, after: int) -> None:
        """The agent has one key more, or one less."""
        if before:
            same = self._by_size[before]
            del same[agent]
            if not same:
                del self._by_size[before]
        if after:
            others = self._by_size.get(after)
            if others is None:
                others = self._by_size[after] = OrderedDict()
            others[agent] = None
        if after > self._most or self._most not in self._by_size:
            self._most = after

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return iter([(key, value) for key, (_, value) in self._values.items()])

    def __len__(self) -> int:
        return len(self._values)
