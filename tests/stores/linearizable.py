"""Whether a history of concurrent operations is linearizable: each seems to have happened at one instant between its
call and its return.

The algorithm is that of Wing and Gong (1993) as Lowe improved it ("Testing for linearizability", 2017): a search that
remembers which sets of operations led to which state. As in porcupine, what an operation of which nobody heard the end
may have done is a set of states; histories of several keys are checked key by key, which is enough for operations of
one key each (Herlihy and Wing, 1990: locality).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

FOREVER = float("inf")
Step = Callable[[Any, "Operation"], Iterable[Hashable]]
"""The states that an operation may lead to from this state; none where it cannot have answered so there."""


@dataclass(frozen=True)
class Operation:
    """``said`` is None, and ``end`` is FOREVER, where nobody heard what became of it."""

    asked: Any
    start: float
    said: Any = None
    end: float = FOREVER


class _Entry:
    """A call or, without ``returns``, a return, in a list that is linked both ways."""

    __slots__ = ("after", "before", "number", "returns")

    def __init__(self, number: int, returns: _Entry | None) -> None:
        self.number, self.returns = number, returns
        self.before: _Entry | None = None
        self.after: _Entry | None = None


def linearizable(history: Sequence[Operation], start: Hashable, step: Step) -> bool:
    """Whether some order of all operations explains what they said, from the state ``start``."""
    head = _linked(history)
    states: frozenset[Hashable] = frozenset([start])
    done, known = 0, {(0, states)}
    calls: list[tuple[_Entry, frozenset[Hashable]]] = []
    entry = head.after
    while head.after is not None:
        assert entry is not None, "every return comes after its call"
        if entry.returns is not None:
            operation = history[entry.number]
            reached = frozenset(new for state in states for new in step(state, operation))
            tried = (done | 1 << entry.number, reached)
            if reached and tried not in known:
                known.add(tried)
                calls.append((entry, states))
                done, states = tried
                _lift(entry)
                entry = head.after
            else:
                entry = entry.after
        elif not calls:
            return False
        else:
            entry, states = calls.pop()
            done &= ~(1 << entry.number)
            _put_back(entry)
            entry = entry.after
    return True


def _linked(history: Sequence[Operation]) -> _Entry:
    events: list[tuple[float, int, _Entry]] = []
    for number, operation in enumerate(history):
        ending = _Entry(number, None)
        events += [(operation.start, 0, _Entry(number, ending)), (operation.end, 1, ending)]
    head = last = _Entry(-1, None)
    for _, _, entry in sorted(events, key=lambda event: event[:2]):
        last.after, entry.before = entry, last
        last = entry
    return head


def _lift(call: _Entry) -> None:
    for entry in (call, call.returns):
        assert entry is not None
        assert entry.before is not None
        entry.before.after = entry.after
        if entry.after is not None:
            entry.after.before = entry.before


def _put_back(call: _Entry) -> None:
    for entry in (call.returns, call):
        assert entry is not None
        assert entry.before is not None
        entry.before.after = entry
        if entry.after is not None:
            entry.after.before = entry
