"""Budgets, loops, retries, pools and bounds of runs, in the form that a call is held against."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

from gateway.model import (
    Agent,
    Attention,
    BudgetSettings,
    Call,
    Escalation,
    LoopSettings,
    PoolSettings,
    RetrySettings,
    RunSettings,
)
from gateway.policy.engine import Program
from gateway.policy.guards import Part, short
from gateway.policy.tasks import CompiledAllowance, CompiledTask

Globs = tuple[re.Pattern[str], ...]


class CompiledBudget(Struct, frozen=True):
    """Budgets by key: one for each unit that is bounded. ``agents`` are the compiled globs over agent ids."""

    name: str
    agents: Globs
    parts: tuple[Part, ...]
    settings: tuple[BudgetSettings, ...]
    references: frozenset[str] = frozenset()
    max_tokens: int = 4096
    """The bound of a model's answer that is set where a request has none."""
    task: str = ""
    """It counts only calls of runs in this task; empty: whatever their task."""

    def names(self, agent: Agent) -> bool:
        """Whether the budget is for this agent."""
        return any(pattern.fullmatch(agent.id) for pattern in self.agents)

    def counts(self, call: Call) -> bool:
        """Whether it counts this call, which it matches."""
        return self.names(call.agent) and self.task in ("", call.run.task)

    def key(self, call: Call) -> tuple[str, ...]:
        """The budget's name and what it counts this call by. Raises EvaluationError (a 403) where a part fails."""
        return (self.name, *[short(value) for part in self.parts for value in part(call)])


class CompiledLoop(Struct, frozen=True):
    """What counts as a loop. ``polls`` are the compiled globs over operations; ``ignore`` paths of arguments."""

    name: str
    settings: LoopSettings
    polls: Globs = ()
    ignore: tuple[str, ...] = ()
    references: frozenset[str] = frozenset()

    def is_poll(self, operation: str) -> bool:
        """Whether the operation is one that is asked again and again."""
        return any(pattern.fullmatch(operation) for pattern in self.polls)


class CompiledRetry(Struct, frozen=True):
    """How often what failed may be tried again."""

    name: str
    settings: RetrySettings
    references: frozenset[str] = frozenset()


class CompiledShare(Struct, frozen=True):
    """What some agents get of a pool."""

    agents: Globs
    weight: float
    priority: int


class CompiledPool(Struct, frozen=True):
    """Places in a tool."""

    name: str
    settings: PoolSettings
    shares: tuple[CompiledShare, ...] = ()
    references: frozenset[str] = frozenset()

    def share(self, agent: Agent) -> tuple[float, int]:
        """Weight and priority of the agent: those of the first share that names it."""
        for share in self.shares:
            if any(pattern.fullmatch(agent.id) for pattern in share.agents):
                return share.weight, share.priority
        return 1.0, 0


class CompiledRun(Struct, frozen=True):
    """Bounds of a run."""

    name: str
    settings: RunSettings
    references: frozenset[str] = frozenset()


class CompiledApproval(Struct, frozen=True):
    """Terms for calls that wait for a person. ``rules`` are compiled globs over POLICY/RULE; None is not said."""

    name: str
    agents: Globs
    rules: Globs
    who: str = ""
    hold: float | None = None
    expires: float | None = None
    valid: float | None = None
    approvers: int | None = None
    timeout: str | None = None
    impact: Program | None = None
    notify: tuple[str, ...] = ()
    escalate: tuple[Escalation, ...] = ()
    attention: Attention | None = None
    canary: float = 0.0
    references: frozenset[str] = frozenset()

    def names(self, agent: Agent, rules: Iterable[str]) -> bool:
        """Whether it is for calls of this agent that one of these rules holds."""
        if not any(pattern.fullmatch(agent.id) for pattern in self.agents):
            return False
        return any(pattern.fullmatch(rule) for pattern in self.rules for rule in rules)


Governor = (
    CompiledAllowance
    | CompiledApproval
    | CompiledBudget
    | CompiledLoop
    | CompiledRetry
    | CompiledPool
    | CompiledRun
    | CompiledTask
)
