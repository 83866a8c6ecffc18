"""The compiled policies: what a call is held against. Immutable, but for bounded caches of what it was asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar

from msgspec import Struct

from gateway.model import Agent
from gateway.policy.engine import CelEngine
from gateway.policy.globs import OperationIndex, matches_any, sees_path
from gateway.policy.guards import CompiledBreaker, CompiledGrant, CompiledLimit
from gateway.policy.rules import CompiledRule, RuleSet
from gateway.policy.variables import PATH_VARIABLES

MEMO_CAP = 4096
"""Entries of one cache; then it starts over. Operations without a template are paths, as many as an agent likes."""
MEMO_KEY_CAP = 256
"""Longer operations and agent ids are looked up each time, so that a cache cannot be filled with 64 KiB keys."""

T = TypeVar("T")


class Scoped(Struct, Generic[T], frozen=True):
    """Something compiled, and the globs of the calls it is for."""

    tools: tuple[str, ...]
    operations: tuple[str, ...]
    item: T


Entries = Sequence[Scoped[T]]


class _Shelf(Struct, frozen=True):
    """What can match one tool."""

    grants: OperationIndex[CompiledGrant]
    policies: OperationIndex[int]
    limits: OperationIndex[CompiledLimit]
    breakers: OperationIndex[CompiledBreaker]
    reads_args: bool
    looks_at_path: bool


class Bounded(dict[Any, Any]):
    """A cache that forgets everything when it is full."""

    def remember(self, key: Any, value: T) -> T:
        """Store and return ``value``."""
        if len(self) >= MEMO_CAP:
            self.clear()
        self[key] = value
        return value


class PolicyBook:
    """All documents, indexed by tool and operation.

    Policies are kept as groups of rules with one match; ``tools`` are the configured tools' names. A tool that is not
    among them has no grants, so nothing may be called on it.
    """

    def __init__(
        self,
        digest: str,
        engine: CelEngine,
        tools: Iterable[str],
        grants: Sequence[CompiledGrant] = (),
        policies: Entries[tuple[CompiledRule, ...]] = (),
        limits: Entries[CompiledLimit] = (),
        breakers: Entries[CompiledBreaker] = (),
    ) -> None:
        self.digest = digest
        self.grants = tuple(grants)
        self._engine = engine
        self._rules = tuple(policy.item for policy in policies)
        scoped_grants = [Scoped(grant.tools, grant.operations, grant) for grant in grants]
        numbered = [Scoped(policy.tools, policy.operations, number) for number, policy in enumerate(policies)]
        self._shelves = {tool: self._shelf(tool, scoped_grants, numbered, limits, breakers) for tool in tools}
        self._empty = RuleSet((), engine)
        self._grant_memo = Bounded()
        self._rules_memo = Bounded()
        self._limits_memo = Bounded()
        self._breakers_memo = Bounded()
        self._rule_sets = Bounded()

    def _shelf(
        self,
        tool: str,
        grants: Entries[CompiledGrant],
        policies: Entries[int],
        limits: Entries[CompiledLimit],
        breakers: Entries[CompiledBreaker],
    ) -> _Shelf:
        grants, policies = _for_tool(grants, tool), _for_tool(policies, tool)
        limits, breakers = _for_tool(limits, tool), _for_tool(breakers, tool)
        read = frozenset[str]().union(
            *(rule.references for policy in policies for rule in self._rules[policy.item]),
            *(limit.item.references for limit in limits),
        )
        scopes: list[Scoped[Any]] = [*grants, *policies, *limits, *breakers]
        return _Shelf(
            _index(grants),
            _index(policies),
            _index(limits),
            _index(breakers),
            reads_args="args" in read,
            looks_at_path=bool(read & PATH_VARIABLES)
            or any(breaker.item.per_operation for breaker in breakers)
            or any(sees_path(pattern) for scope in scopes for pattern in scope.operations),
        )

    def grant(self, agent: Agent, tool: str, operation: str) -> str | None:
        """Name of the first grant (in the order of the files) that lets the agent call this, or None."""
        key = (agent.id, agent.roles, tool, operation)
        if key in self._grant_memo:
            return self._grant_memo[key]  # type: ignore[no-any-return]
        shelf = self._shelves.get(tool)
        candidates = shelf.grants.lookup(operation) if shelf is not None else ()
        name = next((grant.name for grant in candidates if grant.names(agent)), None)
        if len(operation) > MEMO_KEY_CAP or len(agent.id) > MEMO_KEY_CAP:
            return name
        return self._grant_memo.remember(key, name)

    def rules(self, tool: str, operation: str) -> RuleSet:
        """The rules that can match the operation."""
        found = self._rules_memo.get((tool, operation))
        if found is not None:
            return found  # type: ignore[no-any-return]
        shelf = self._shelves.get(tool)
        numbers = shelf.policies.lookup(operation) if shelf is not None else ()
        rules = self._rule_set(numbers) if numbers else self._empty
        return rules if len(operation) > MEMO_KEY_CAP else self._rules_memo.remember((tool, operation), rules)

    def _rule_set(self, numbers: tuple[int, ...]) -> RuleSet:
        """One rule set for each group of policies, however many operations lead to it: compiling costs milliseconds."""
        found = self._rule_sets.get(numbers)
        if found is not None:
            return found  # type: ignore[no-any-return]
        rules = [rule for number in numbers for rule in self._rules[number]]
        return self._rule_sets.remember(numbers, RuleSet(rules, self._engine))

    def limits(self, tool: str, operation: str) -> tuple[CompiledLimit, ...]:
        """The limits that count calls of the operation."""
        found = self._limits_memo.get((tool, operation))
        if found is not None:
            return found  # type: ignore[no-any-return]
        shelf = self._shelves.get(tool)
        limits = shelf.limits.lookup(operation) if shelf is not None else ()
        return limits if len(operation) > MEMO_KEY_CAP else self._limits_memo.remember((tool, operation), limits)

    def breakers(self, tool: str, operation: str) -> tuple[CompiledBreaker, ...]:
        """The breakers that guard the operation."""
        found = self._breakers_memo.get((tool, operation))
        if found is not None:
            return found  # type: ignore[no-any-return]
        shelf = self._shelves.get(tool)
        breakers = shelf.breakers.lookup(operation) if shelf is not None else ()
        return breakers if len(operation) > MEMO_KEY_CAP else self._breakers_memo.remember((tool, operation), breakers)

    def reads_args(self, tool: str) -> bool:
        """Whether anything that can match the tool reads ``args``, so that the body must be read ahead."""
        shelf = self._shelves.get(tool)
        return shelf is not None and shelf.reads_args

    def looks_at_path(self, tool: str) -> bool:
        """Whether anything that can match the tool tells its paths apart, so that a path must read one way only."""
        shelf = self._shelves.get(tool)
        return shelf is not None and shelf.looks_at_path


def _for_tool(entries: Entries[T], tool: str) -> list[Scoped[T]]:
    return [entry for entry in entries if matches_any(entry.tools, tool)]


def _index(entries: Entries[T]) -> OperationIndex[T]:
    return OperationIndex([(entry.operations, entry.item) for entry in entries])
