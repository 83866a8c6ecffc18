"""What each run of each agent has cost so far, for rules that stop one which has become too dear."""

from __future__ import annotations

from collections import OrderedDict

from gateway.policy.guards import short

CAPACITY = 10_000
"""Runs that are remembered; beyond, the one that was asked for least recently is forgotten."""


class RunBook:
    """Costs by agent and run, in memory. Survives reloads, not restarts. Used on one loop, so each method is atomic."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._usd: OrderedDict[tuple[str, str], float] = OrderedDict()

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
