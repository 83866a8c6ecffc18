"""What each run has done, cost and been marked with so far, for rules that look at it."""

from __future__ import annotations

from collections import OrderedDict

from gateway.policy.guards import short

CAPACITY = 10_000
"""Runs that are remembered; beyond, the one that was asked for least recently is forgotten."""


MOST_LABELS = 64
"""Labels of one run; more are not kept. They come from policies, but reloads bring new ones."""

Tree = tuple[str, str]
"""Agent and run at the root of a tree of runs."""


class _Tally:
    __slots__ = ("began", "errors", "steps")

    def __init__(self, began: float) -> None:
        self.began = began
        self.steps = self.errors = 0


class RunBook:
    """Costs, labels and tallies by tree of runs, in memory. Survives reloads, not restarts. Used on one loop, so each
    method is atomic."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._usd: OrderedDict[Tree, float] = OrderedDict()
        # Apart from the costs, so that runs which only cost something do not push out those that are marked.
        self._labels: OrderedDict[Tree, tuple[str, ...]] = OrderedDict()
        self._tallies: OrderedDict[Tree, _Tally] = OrderedDict()

    def cost(self, tree: Tree) -> float:
        """US dollars that the ended calls of the run have cost; 0 for calls without a run, and for unknown runs."""
        key = (tree[0], short(tree[1]))
        usd = self._usd.get(key)
        if usd is None:
            return 0.0
        self._usd.move_to_end(key)
        return usd

    def add(self, tree: Tree, usd: float) -> None:
        """Add the cost of a call that has ended. Calls without a run, or without a cost, leave no mark."""
        if not tree[1] or usd <= 0:
            return
        key = (tree[0], short(tree[1]))
        self._usd[key] = self._usd.get(key, 0.0) + usd
        self._usd.move_to_end(key)
        if len(self._usd) > self._capacity:
            self._usd.popitem(last=False)

    def labels(self, tree: Tree) -> tuple[str, ...]:
        """What the run has been marked with, in alphabetical order; nothing for calls without a run."""
        key = (tree[0], short(tree[1]))
        labels = self._labels.get(key)
        if labels is None:
            return ()
        self._labels.move_to_end(key)
        return labels

    def mark(self, tree: Tree, labels: tuple[str, ...]) -> None:
        """Mark the run. Calls without a run leave no mark."""
        if not tree[1] or not labels:
            return
        key = (tree[0], short(tree[1]))
        known = self._labels.get(key, ())
        new = [label for label in dict.fromkeys(labels) if label not in known]
        self._labels[key] = tuple(sorted((*known, *new[: MOST_LABELS - len(known)])))
        self._labels.move_to_end(key)
        if len(self._labels) > self._capacity:
            self._labels.popitem(last=False)

    def tally(self, tree: Tree, now: float) -> tuple[int, int, float]:
        """Calls permitted before, calls that failed one after the other up to now, seconds since the first call."""
        tally = self._tallies.get((tree[0], short(tree[1])))
        return (0, 0, 0.0) if tally is None else (tally.steps, tally.errors, max(0.0, now - tally.began))

    def began(self, tree: Tree, now: float) -> None:
        """A call has been permitted. Calls without a run are not counted."""
        if not tree[1]:
            return
        key = (tree[0], short(tree[1]))
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = _Tally(now)
            if len(self._tallies) > self._capacity:
                self._tallies.popitem(last=False)
        else:
            self._tallies.move_to_end(key)
        tally.steps += 1

    def ended(self, tree: Tree, *, failed: bool) -> None:
        """A call has ended."""
        tally = self._tallies.get((tree[0], short(tree[1])))
        if tally is not None:
            tally.errors = tally.errors + 1 if failed else 0
