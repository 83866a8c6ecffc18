"""What would have to be otherwise for a condition to come out otherwise: the smallest sets of its simple conditions.

Worked out over the tree of a condition (``subexpressions``): what is joined by ``&&``, ``||``, ``!`` and ``?:`` is
known to be so, and each simple condition below can be true or false by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from itertools import product

from msgspec import Struct

from gateway.policy.subexpressions import JOINTS, Part

MOST_SETS = 5
"""Sets that are told."""
_MOST_KEPT = 48
"""Sets that are kept while they are put together: those that need the fewest changes."""
_JOINTS = frozenset({*JOINTS.values(), "variable"})


class Change(Struct, frozen=True):
    """One simple condition, and what it would have to be. Where ``part.error`` is set, it now is neither."""

    part: Part
    wanted: bool


_Demands = dict[str, bool]
"""What simple conditions must be, by their keys, whether or not they are so now."""


def ways(condition: Part, wanted: bool) -> list[tuple[Change, ...]]:
    """The smallest sets of changes that make the condition ``wanted``, fewest first, none containing another.

    Empty where nothing makes it so; one empty set where it is so already.
    """
    search = _Search({leaf.key: leaf for leaf in _leaves(condition)})
    found: dict[frozenset[str], tuple[Change, ...]] = {}
    for demands in search.ways(condition, wanted):
        changed = search.changed(demands)
        if not any(one <= changed for one in found):
            found[changed] = tuple([Change(search.leaves[key], demands[key]) for key in demands if key in changed])
    return list(found.values())[:MOST_SETS]


def _leaves(part: Part) -> Iterator[Part]:
    if part.kind in _JOINTS and part.parts:
        for below in part.parts:
            yield from _leaves(below)
    else:
        yield part


def _is(part: Part, wanted: bool) -> bool:
    return not part.error and part.value is wanted


class _Search:
    """``leaves`` are the simple conditions by their keys."""

    def __init__(self, leaves: Mapping[str, Part]) -> None:
        self.leaves = leaves

    def changed(self, demands: _Demands) -> frozenset[str]:
        """Those that are not as demanded now."""
        return frozenset(key for key, want in demands.items() if not _is(self.leaves[key], want))

    def ways(self, part: Part, wanted: bool) -> list[_Demands]:
        """What makes the part ``wanted``, fewest changes first."""
        if part.kind == "constant":
            return [{}] if _is(part, wanted) else []
        if part.kind not in _JOINTS or not part.parts:
            return [{part.key: wanted}]
        if part.kind in ("not", "variable"):
            return self.ways(part.parts[0], wanted is (part.kind == "variable"))
        if part.kind == "choice":
            condition, then, other = part.parts
            met = self._both(self.ways(condition, True), self.ways(then, wanted))
            return self._fewest([*met, *self._both(self.ways(condition, False), self.ways(other, wanted))])
        below = [self.ways(one, wanted) for one in part.parts]
        if wanted is (part.kind == "and"):
            return reduce(self._both, below)
        return self._fewest(demands for choice in below for demands in choice)

    def _both(self, some: Iterable[_Demands], more: Iterable[_Demands]) -> list[_Demands]:
        """Each of one with each of the other, where they do not contradict each other."""
        return self._fewest(
            {**one, **other}
            for one, other in product(some, more)
            if all(other.get(key, want) is want for key, want in one.items())
        )

    def _fewest(self, found: Iterable[_Demands]) -> list[_Demands]:
        """Without those that demand all that another does, and more; bounded."""
        kept: list[_Demands] = []
        for demands in sorted(found, key=lambda one: (len(self.changed(one)), len(one))):
            if len(kept) < _MOST_KEPT and not any(one.items() <= demands.items() for one in kept):
                kept.append(demands)
        return kept
