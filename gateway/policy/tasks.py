"""Tasks in the form that a call is held against."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from gateway.model import Agent, Call
from gateway.policy.engine import EvaluationError, Program
from gateway.policy.globs import matches_any
from gateway.policy.variables import LISTED, Binder, bind


class CompiledTask(Struct, frozen=True):
    """A task. ``agents`` and ``roles`` are the compiled globs; ``duration`` is in seconds, 0 for no end."""

    name: str
    agents: tuple[re.Pattern[str], ...]
    roles: tuple[re.Pattern[str], ...]
    duration: float = 0.0
    labels: tuple[str, ...] = ()
    required: bool = False
    platform: bool = False
    """Only the platform puts runs in it."""
    references: frozenset[str] = frozenset()

    def names(self, agent: Agent) -> bool:
        """Whether the task is for this agent: by its id or by one of its roles."""
        if any(pattern.fullmatch(role) for pattern in self.roles for role in agent.roles):
            return True
        return any(pattern.fullmatch(agent.id) for pattern in self.agents)


class CompiledAllowance(Struct, frozen=True):
    """What a task allows, of the calls that match. ``program`` None: all of them."""

    task: str
    tools: tuple[str, ...]
    program: Program | None = None
    readers: Binder = ()
    activate: Callable[[Mapping[str, Any]], Any] = dict
    references: frozenset[str] = frozenset()

    def reaches(self, tool: str) -> bool:
        """Whether it is about this tool."""
        return matches_any(self.tools, tool)

    def allows(self, call: Call) -> bool:
        """Whether it allows a call that matches. Raises EvaluationError."""
        if self.program is None:
            return True
        value = self.program.evaluate(self.activate(bind(self.readers, call)))
        if not isinstance(value, bool):
            raise EvaluationError("when gives neither true nor false")
        return value

    def offers(self, listed: Call) -> bool:
        """Whether an operation that is only listed may be offered: also where that hangs on what is known of a call."""
        if not self.references <= LISTED:
            return True
        try:
            return self.allows(listed)
        except EvaluationError:
            return False
