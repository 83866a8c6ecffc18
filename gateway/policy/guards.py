"""Grants, limits and breakers in the form that a call is held against."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from gateway.model import Agent, Call, Caps, CircuitSettings
from gateway.policy.engine import CelEngine, EvaluationError, Program
from gateway.policy.variables import bind, binder

Part = Callable[[Call], tuple[str, ...]]
"""One part of a counter's key."""


def _agent(call: Call) -> tuple[str, ...]:
    return (call.agent.id,)


def _run(call: Call) -> tuple[str, ...]:
    # Run ids are the agents' own words: without the agent, one could use up another's counter. The whole tree counts as
    # one: a cap for each run is reset by starting another.
    return call.tree


def _tool(call: Call) -> tuple[str, ...]:
    return (call.tool.name,)


def _operation(call: Call) -> tuple[str, ...]:
    return (call.tool.name, call.operation)


PARTS: dict[str, Part] = {"agent": _agent, "run": _run, "tool": _tool, "operation": _operation}
"""The plain words for ``per``. An operation counts within its tool, a run within its agent."""


def expression_part(program: Program, engine: CelEngine, guard: str) -> Part:
    """A part of a key that an expression gives: a string, an int or a bool."""
    readers = binder(program.references)

    def part(call: Call) -> tuple[str, ...]:
        return (_text(program.evaluate(engine.activation(bind(readers, call))), guard),)

    return part


LONGEST_PART = 128
"""Characters of one part of a key. Longer ones count by their digest: agents choose them, and keys are kept."""


def short(part: str) -> str:
    """A part of a key, or what stands for it where it is long."""
    if len(part) <= LONGEST_PART:
        return part
    return "sha256:" + hashlib.sha256(part.encode("utf-8", "surrogatepass")).hexdigest()


def _text(value: Any, guard: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    raise EvaluationError(f"per of limit {guard} gives neither a string nor an int nor a bool; convert with string(x)")


class CompiledGrant(Struct, frozen=True):
    """Who may call what. ``agents`` and ``roles`` are the compiled globs over agent ids and roles."""

    name: str
    agents: tuple[re.Pattern[str], ...]
    roles: tuple[re.Pattern[str], ...]
    tools: tuple[str, ...]
    operations: tuple[str, ...]

    def names(self, agent: Agent) -> bool:
        """Whether the grant is for this agent: by its id or by one of its roles."""
        if any(pattern.fullmatch(role) for pattern in self.roles for role in agent.roles):
            return True
        return any(pattern.fullmatch(agent.id) for pattern in self.agents)


class CompiledLimit(Struct, frozen=True):
    """A token bucket for each key. ``rate`` is tokens a second; ``max_wait`` is 0 unless ``mode`` is wait."""

    name: str
    capacity: float
    rate: float
    mode: str
    max_wait: float
    parts: tuple[Part, ...]
    references: frozenset[str] = frozenset()

    def key(self, call: Call) -> tuple[str, ...]:
        """The limit's name and what it counts this call by. Raises EvaluationError (a 403) where a part fails."""
        return (self.name, *[short(value) for part in self.parts for value in part(call)])


class CompiledCap(Struct, frozen=True):
    """What requests of some agents to a model are held to."""

    name: str
    agents: tuple[re.Pattern[str], ...]
    caps: Caps

    def names(self, agent: Agent) -> bool:
        """Whether the cap is for this agent."""
        return any(pattern.fullmatch(agent.id) for pattern in self.agents)


class CompiledBreaker(Struct, frozen=True):
    """A circuit for each key."""

    name: str
    settings: CircuitSettings
    per_operation: bool

    def key(self, call: Call) -> tuple[str, ...]:
        """The breaker's name, the tool, and the operation where each has its own circuit."""
        if self.per_operation:
            return (self.name, call.tool.name, short(call.operation))
        return (self.name, call.tool.name)
