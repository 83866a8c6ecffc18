"""In which states the runs of this process are now, as its calls left them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from prometheus_client.core import GaugeMetricFamily, Metric

from gateway.model import NOTHING_FOUND, Permit, Trace
from gateway.observe.runstate import IDLE, RunState, Standing, ended_of, settled, step
from gateway.policy.guards import short

MEMORY = 3600.0
"""Seconds after its last call for which a run is counted."""


class Table(Protocol):
    """A bounded table, by agent and run at the root of the tree (``stores.shares.Shares``)."""

    def use(self, key: tuple[str, str]) -> Any: ...
    def put(self, agent: str, key: tuple[str, str], value: Any) -> object: ...
    def pop(self, key: tuple[str, str]) -> Any: ...
    def __iter__(self) -> Iterator[tuple[tuple[str, str], Any]]: ...


class RunsNow:
    """The states of runs, in a table of its own. For one thread; ``wall`` gives seconds since the epoch, ``asked`` the
    runs (agent and run at the root) of which a call waits for a person now."""

    def __init__(
        self,
        table: Table,
        wall: Callable[[], float],
        asked: Callable[[], Iterable[tuple[str, str]]] = tuple,
    ) -> None:
        self._table, self._wall, self._asked = table, wall, asked

    def record(self, trace: Trace) -> None:
        """A call has ended."""
        run, agent = trace.run, trace.agent
        if agent is None or not run.id:
            return
        root_agent, root_run = run.root or (agent.id, run.id)
        tree = root_agent, short(root_run)
        standing: Standing | None = self._table.use(tree)
        decision, ended = trace.decision, trace.wall + (trace.ended - trace.began)
        if standing is not None and standing.state is RunState.ACTIVE and type(decision) is Permit:
            usual = not decision.spoke and (trace.outcome.found is NOTHING_FOUND or not trace.outcome.found.spoke)
            if usual and trace.wall <= standing.last + IDLE:
                standing.last = max(standing.last, ended)
                return
        self._table.put(root_agent, tree, step(standing, ended_of(trace))[0])

    def counts(self) -> dict[str, int]:
        """How many runs there are in each state; those without a call for an hour are forgotten."""
        now, found = self._wall(), Counter(dict.fromkeys((state.value for state in RunState), 0))
        asked = {(agent, short(run)) for agent, run in self._asked() if run}
        for tree, standing in self._table:
            if standing.last + MEMORY < now:
                self._table.pop(tree)
            else:
                state = settled(standing, now)[0].state
                waits = tree in asked and state is not RunState.QUARANTINED
                found[(RunState.WAITING if waits else state).value] += 1
                asked.discard(tree)
        found[RunState.WAITING.value] += len(asked)  # their first calls wait
        return dict(found)


def run_metrics(counts: dict[str, int]) -> Iterator[Metric]:
    """The one family, also where there are no runs."""
    family = GaugeMetricFamily("toolgate_runs", "Runs with a call in the last hour, by state.", labels=("state",))
    for state, count in counts.items():
        family.add_metric((state.replace(" ", "_"),), count)
    yield family
