"""Least privilege: grants that allow what was used and no more, and what present grants allow that nobody used."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec import Struct

from gateway.config.load import Loaded
from gateway.model import Agent, Tool
from gateway.policy.globs import matches_any
from gateway.policy.schema import Grant
from gateway.rehearse.usage import Use

_ID = re.compile(
    r"""
      [0-9]+
    | [0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}
    | (?=[a-fA-F]*[0-9])[0-9a-fA-F]{8,}
    | (?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,}
    | [A-Za-z]{1,8}[-_][0-9]+
    | [^@/]+@[^@/]+\.[^@/]+
    """,
    re.VERBOSE,
)
"""What names one thing among many: numbers, UUIDs, digests, tokens, ``ord-17``, mail addresses."""
_GLOB = str.maketrans("*?[", "???")
"""Characters that a pattern would take for more than themselves: any one character stands for each."""


class Allowed(Struct, frozen=True):
    """One pattern of operations, and what of it was used."""

    pattern: str
    calls: int
    last: str
    variants: int = 1
    template: str = ""
    """The same as a route template, which is narrower: written into the configuration, it names the operation."""


class Wanted(Struct, frozen=True):
    """A grant: agents that use one tool in the same way."""

    agents: tuple[str, ...]
    tool: str
    allowed: tuple[Allowed, ...]


class Unused(Struct, frozen=True):
    """What a present grant allows, and nobody used. ``what`` is a tool or operations, or empty for all of it; ``last``
    is when it was used last, empty for never."""

    grant: str
    what: str = ""
    last: str = ""


def wanted(uses: Sequence[Use], tools: Iterable[Tool], variants: int) -> list[Wanted]:
    """The grants that these uses need. Paths that differ only in ids become one pattern from so many on."""
    templates = {tool.name: frozenset(tool.operations) for tool in tools}
    by_agent: dict[tuple[str, str], list[Use]] = defaultdict(list)
    for use in uses:
        by_agent[use.tool, use.agent].append(use)
    alike: dict[tuple[str, tuple[str, ...]], tuple[list[str], list[Use]]] = {}
    for (tool, agent), own in by_agent.items():
        used = [use for use in own if not use.implied] or own
        patterns = tuple(one.pattern for one in patterns_of(used, templates.get(tool, frozenset()), variants))
        agents, all_uses = alike.setdefault((tool, patterns), ([], []))
        agents.append(agent.translate(_GLOB))
        all_uses += used
    found = [
        Wanted(tuple(sorted(set(agents))), tool, tuple(patterns_of(used, templates.get(tool, frozenset()), variants)))
        for (tool, _), (agents, used) in alike.items()
    ]
    return sorted(found, key=lambda one: (one.agents, one.tool))


def patterns_of(uses: Iterable[Use], templates: frozenset[str], variants: int) -> list[Allowed]:
    """Patterns that match these operations, in alphabetical order."""
    shapes: dict[str, list[Use]] = defaultdict(list)
    for use in uses:
        shapes[use.operation if use.operation in templates else _shape(use.operation)].append(use)
    found: list[Allowed] = []
    for shape, some in shapes.items():
        different = {use.operation for use in some}
        if "{id}" in shape and shape not in templates and len(different) >= variants:
            pattern = "*".join(piece.translate(_GLOB) for piece in shape.split("{id}"))
            found.append(_allowed(pattern, some, len(different), shape))
            continue
        each: dict[str, list[Use]] = defaultdict(list)
        for use in some:
            each[use.operation].append(use)
        found += [_allowed(operation.translate(_GLOB), own, 1) for operation, own in each.items()]
    merged: dict[str, Allowed] = {}
    for one in found:
        other = merged.get(one.pattern)
        merged[one.pattern] = one if other is None else _merged(one, other)
    return sorted(merged.values(), key=lambda one: one.pattern)


def _shape(operation: str) -> str:
    """The operation with ``{id}`` where a segment of its path is an id."""
    method, space, path = operation.partition(" ")
    if not space or "/" not in path:
        return operation
    return f"{method} {'/'.join('{id}' if _ID.fullmatch(part) else part for part in path.split('/'))}"


def _allowed(pattern: str, uses: Sequence[Use], variants: int, template: str = "") -> Allowed:
    return Allowed(pattern, sum(use.calls for use in uses), max(use.last for use in uses), variants, template)


def _merged(one: Allowed, other: Allowed) -> Allowed:
    last = max(one.last, other.last)
    return Allowed(one.pattern, one.calls + other.calls, last, one.variants + other.variants, one.template)


def unused(loaded: Loaded, uses: Sequence[Use], before: str) -> list[Unused]:
    """What present grants allow and nobody has used since ``before`` (a time as records have it)."""
    names, found = [tool.name for tool in loaded.tools], []
    for document in loaded.documents:
        if not isinstance(document, Grant):
            continue
        spec, name = document.spec, document.metadata.name
        own = [use for use in uses if _named(document, use) and _covers(document, use)]
        last = max((use.last for use in own), default="")
        if last < before or not own:
            found.append(Unused(name, "", last))
            continue
        for tool in [tool for tool in names if matches_any(spec.tools, tool)]:
            last = max((use.last for use in own if use.tool == tool), default="")
            if last < before or not last:
                found.append(Unused(name, f"tool {tool}", last))
        for pattern in spec.operations if len(spec.operations) > 1 else ():
            last = max((use.last for use in own if matches_any([pattern], use.operation)), default="")
            if last < before or not last:
                found.append(Unused(name, f"operations {pattern}", last))
    return found


def _named(grant: Grant, use: Use) -> bool:
    agent = Agent(use.agent, use.roles)
    by_role = any(matches_any(grant.spec.roles, role) for role in agent.roles)
    return by_role or matches_any(grant.spec.agents, agent.id)


def _covers(grant: Grant, use: Use) -> bool:
    return matches_any(grant.spec.tools, use.tool) and matches_any(grant.spec.operations, use.operation)
