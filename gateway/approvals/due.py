"""When which approval must be looked at again: those that wait cost nothing until then. Quiet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from itertools import islice

from gateway.model import Approval, ApprovalState

_DUE = frozenset({ApprovalState.WAITING, ApprovalState.APPROVED})


def is_due(approval: Approval, now: float) -> bool:
    """Whether its time is over: nobody decided, or nobody called."""
    return approval.state in _DUE and now >= approval.expires


class Due:
    """Times and ids, the next first."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []

    def expect(self, before: Approval | None, after: Approval, standing: Iterable[Approval], count: int) -> None:
        """It has come to stand so. ``standing`` are all approvals, ``count`` how many."""
        if after.state not in _DUE or (before is not None and _when(before) == _when(after)):
            return
        heappush(self._heap, (after.expires, after.id))
        if len(self._heap) > 64 + 2 * count:
            self._heap = [(each.expires, each.id) for each in standing if each.state in _DUE]
            heapify(self._heap)

    def over(self, now: float, most: int) -> Iterator[str]:
        """Ids of those whose time is over, ``most`` at most. One is forgotten when the next is asked for."""
        for _ in range(most):
            if not self._heap or self._heap[0][0] > now:
                return
            first = self._heap[0]
            yield first[1]
            if self._heap and self._heap[0] == first:
                heappop(self._heap)


class Repeats:
    """How often calls that wait have been made again, until it is written down."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, ident: str) -> None:
        """Once more."""
        self._counts[ident] = self._counts.get(ident, 0) + 1

    def first(self, most: int) -> list[tuple[str, int]]:
        """Some of them, with how often."""
        return list(islice(self._counts.items(), most))

    def written(self, ident: str, count: int) -> None:
        """So many have been written down."""
        left = self._counts.pop(ident) - count
        if left:
            self._counts[ident] = left


def _when(approval: Approval) -> tuple[str, bool, float]:
    return approval.id, approval.state in _DUE, approval.expires
