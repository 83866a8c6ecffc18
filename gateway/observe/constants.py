"""What should stay as it is while a run goes on, and did not: policies, who its agent is and how that is known, tools
as they were pinned. Quiet, and off the calls' way.
"""

from __future__ import annotations

from typing import Any, Protocol

from msgspec import Struct, structs

from gateway.model import Shift, Trace
from gateway.policy.guards import short

MOST = 32
"""Agents and tools of one tree of runs that are watched."""


class Trees(Protocol):
    """A bounded table by agent and run at the root of a tree of runs (``stores.shares.Shares``)."""

    def use(self, key: tuple[str, str]) -> Any: ...
    def put(self, agent: str, key: tuple[str, str], value: Any) -> object: ...


class _Known(Struct):
    policy: str
    who: dict[str, str] = {}
    pins: dict[str, str] = {}


class Constants:
    """What was so at the last call of each tree of runs, in a table of its own. For one thread."""

    def __init__(self, trees: Trees) -> None:
        self._trees = trees

    def noted(self, trace: Trace) -> Trace:
        """The trace with what is not as it was at the run's call before."""
        run, agent = trace.run, trace.agent
        if agent is None or not run.id:
            return trace
        root = run.root or (agent.id, run.id)
        tree = root[0], short(root[1])
        known: _Known | None = self._trees.use(tree)
        if known is None:
            known = _Known(trace.policy)
            self._trees.put(root[0], tree, known)
        shifts: list[Shift] = []
        if known.policy != trace.policy:
            shifts.append(Shift("policy", known.policy, trace.policy))
            known.policy = trace.policy
        _watch(known.who, short(agent.id), f"{','.join(sorted(agent.roles))} by {agent.source}", "identity", shifts)
        if pin := trace.facts.get("tool.pin"):
            _watch(known.pins, short(f"{trace.tool}/{trace.operation}"), str(pin), "tool", shifts)
        return structs.replace(trace, shifts=tuple(shifts)) if shifts else trace


def _watch(known: dict[str, str], name: str, now: str, what: str, shifts: list[Shift]) -> None:
    before = known.get(name)
    now = now[:512]
    if before is not None and before != now:
        shifts.append(Shift(what, f"{name}: {before}", f"{name}: {now}"))
    if before is not None or len(known) < MOST:
        known[name] = now
