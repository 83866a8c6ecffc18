"""What each run has done, cost and been marked with so far, for rules that look at it and for operators."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from gateway.policy.guards import short
from gateway.stores.shares import Shares

CAPACITY = 10_000
"""Runs that are remembered; beyond, those of the agent with the most are forgotten, the least recently used first."""


MOST_LABELS = 64
"""Labels of one run; more are not kept. They come from policies, but reloads bring new ones."""

Tree = tuple[str, str]
"""Agent and run at the root of a tree of runs."""


class RunLine(Struct, frozen=True):
    """How a run stands, with all the runs that it led to. Times are seconds before now."""

    agent: str
    run: str
    steps: int
    errors_in_row: int
    cost_usd: float
    labels: tuple[str, ...]
    age: float
    """Since its first call."""
    idle: float
    """Since its last call was permitted or ended."""


class _Tally:
    __slots__ = ("began", "errors", "last", "steps")

    def __init__(self, began: float) -> None:
        self.began = self.last = began
        self.steps = self.errors = 0


class RunBook:
    """Costs, labels and tallies by tree of runs, in memory. Survives reloads, not restarts. Used on one loop, so each
    method is atomic."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._usd: Shares[Tree, float] = Shares(capacity)
        # Apart from the costs, so that runs which only cost something do not push out those that are marked.
        self._labels: Shares[Tree, tuple[str, ...]] = Shares(capacity)
        self._tallies: Shares[Tree, _Tally] = Shares(capacity)

    def cost(self, tree: Tree) -> float:
        """US dollars that the ended calls of the run have cost; 0 for calls without a run, and for unknown runs."""
        return self._usd.use(_kept(tree)) or 0.0

    def add(self, tree: Tree, usd: float) -> None:
        """Add the cost of a call that has ended. Calls without a run, or without a cost, leave no mark."""
        if not tree[1] or usd <= 0:
            return
        key = _kept(tree)
        self._usd.put(tree[0], key, (self._usd.get(key) or 0.0) + usd)

    def labels(self, tree: Tree) -> tuple[str, ...]:
        """What the run has been marked with, in alphabetical order; nothing for calls without a run."""
        return self._labels.use(_kept(tree)) or ()

    def mark(self, tree: Tree, labels: tuple[str, ...]) -> None:
        """Mark the run. Calls without a run leave no mark."""
        if not tree[1] or not labels:
            return
        key = _kept(tree)
        known = self._labels.get(key) or ()
        new = [label for label in dict.fromkeys(labels) if label not in known]
        self._labels.put(tree[0], key, tuple(sorted((*known, *new[: MOST_LABELS - len(known)]))))

    def tally(self, tree: Tree, now: float) -> tuple[int, int, float]:
        """Calls permitted before, calls that failed one after the other up to now, seconds since the first call."""
        tally = self._tallies.get(_kept(tree))
        return (0, 0, 0.0) if tally is None else (tally.steps, tally.errors, max(0.0, now - tally.began))

    def began(self, tree: Tree, now: float) -> None:
        """A call has been permitted. Calls without a run are not counted."""
        if not tree[1]:
            return
        key = _kept(tree)
        tally = self._tallies.use(key)
        if tally is None:
            tally = _Tally(now)
            self._tallies.put(tree[0], key, tally)
        tally.steps += 1
        tally.last = now

    def ended(self, tree: Tree, now: float, *, failed: bool) -> None:
        """A call has ended."""
        tally = self._tallies.get(_kept(tree))
        if tally is not None:
            tally.errors = tally.errors + 1 if failed else 0
            tally.last = max(tally.last, now)

    def listing(self, now: float) -> Iterator[RunLine]:
        """The runs that are remembered, the one with the latest call last."""
        for tree, tally in self._tallies:
            agent, run = tree
            usd, labels = self._usd.get(tree) or 0.0, self._labels.get(tree) or ()
            age, idle = max(0.0, now - tally.began), max(0.0, now - tally.last)
            yield RunLine(agent, run, tally.steps, tally.errors, usd, labels, age, idle)


def _kept(tree: Tree) -> Tree:
    agent, run = tree
    return tree if len(run) <= 128 else (agent, short(run))
