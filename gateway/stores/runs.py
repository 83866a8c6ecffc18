"""What each run of each agent has cost so far, and what rules have marked it with, for rules that look at either."""

from __future__ import annotations

from collections import OrderedDict

from gateway.policy.guards import short

CAPACITY = 10_000
"""Runs that are remembered; beyond, the one that was asked for least recently is forgotten."""


MOST_LABELS = 64
"""Labels of one run; more are not kept. They come from policies, but reloads bring new ones."""


class RunBook:
    """Costs and labels by agent and run, in memory. Survives reloads, not restarts. Used on one loop, so each method is
    atomic."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._usd: OrderedDict[tuple[str, str], float] = OrderedDict()
        # Apart from the costs, so that runs which only cost something do not push out those that are marked.
        self._labels: OrderedDict[tuple[str, str], tuple[str, ...]] = OrderedDict()

    def cost(self, agent_id: str, run_id: str) -> float:
        """US dollars that the ended calls of the run have cost; 0 for calls without a run, and for unknown runs."""
        key = (agent_id, short(run_id))
        usd = self._usd.get(key)
        if usd is None:
            return 0.0
        self._usd.move_to_end(key)
        return usd

    def add(self, agent_id: str, run_id: str, usd: float) -> None:
        """Add the cost of a call that has ended. Calls without a run, or without a cost, leave no mark."""
        if not run_id or usd <= 0:
            return
        key = (agent_id, short(run_id))
        self._usd[key] = self._usd.get(key, 0.0) + usd
        self._usd.move_to_end(key)
        if len(self._usd) > self._capacity:
            self._usd.popitem(last=False)

    def labels(self, agent_id: str, run_id: str) -> tuple[str, ...]:
        """What the run has been marked with, in alphabetical order; nothing for calls without a run."""
        key = (agent_id, short(run_id))
        labels = self._labels.get(key)
        if labels is None:
            return ()
        self._labels.move_to_end(key)
        return labels

    def mark(self, agent_id: str, run_id: str, labels: tuple[str, ...]) -> None:
        """Mark the run. Calls without a run leave no mark."""
        if not run_id or not labels:
            return
        key = (agent_id, short(run_id))
        known = self._labels.get(key, ())
        new = [label for label in dict.fromkeys(labels) if label not in known]
        self._labels[key] = tuple(sorted((*known, *new[: MOST_LABELS - len(known)])))
        self._labels.move_to_end(key)
        if len(self._labels) > self._capacity:
            self._labels.popitem(last=False)
