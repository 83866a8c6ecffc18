"""The compiled policies: what a call is held against. Immutable, but for bounded caches of what it was asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from msgspec import Struct

from gateway.model import Agent, Caps, Mode, Verdict
from gateway.policy.engine import CelEngine
from gateway.policy.globs import OperationIndex, matches_any, sees_path
from gateway.policy.governors import Governor
from gateway.policy.guards import CompiledBreaker, CompiledCap, CompiledGrant, CompiledLimit
from gateway.policy.rules import CompiledRule, RuleSet
from gateway.policy.variables import LISTED, PATH_VARIABLES, PHASES

MEMO_CAP = 4096
"""Entries of one cache; then it starts over. Operations without a template are paths, as many as an agent likes."""
MEMO_KEY_CAP = 256
"""Longer operations and agent ids are looked up each time, so that a cache cannot be filled with 64 KiB keys."""

T = TypeVar("T")
G = TypeVar("G", bound=Governor)


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
    caps: OperationIndex[CompiledCap]
    governors: Mapping[type[Governor], OperationIndex[Governor]]
    """Those that can match, by kind."""
    reads: frozenset[str]
    """Every variable that something here reads."""
    looks_at_path: bool
    phases: frozenset[str]
    """The phases for which there are rules."""
    asks: bool
    """Some rule asks a person."""


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
    among them has no grants, so nothing may be called on it. ``implied`` operations (see ``Call.implied``) are matched
    only by patterns that name them, not by ``*``.
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
        caps: Entries[CompiledCap] = (),
        governors: Entries[Governor] = (),
    ) -> None:
        self.digest = digest
        self.grants = tuple(grants)
        self.engine = engine
        self._rules = {phase: [_of(phase, policy.item) for policy in policies] for phase in PHASES}
        scoped_grants = [Scoped(grant.tools, grant.operations, grant) for grant in grants]
        numbered = [Scoped(policy.tools, policy.operations, number) for number, policy in enumerate(policies)]
        every = [policy.item for policy in policies]
        self._shelves = {
            tool: _shelf(tool, scoped_grants, numbered, every, limits, breakers, caps, governors) for tool in tools
        }
        self._empty = RuleSet((), engine)
        self._grant_memo = Bounded()
        self._any_grant_memo = Bounded()
        self._rules_memo = {phase: Bounded() for phase in PHASES}
        self._request_memo = self._rules_memo["request"]
        self._limits_memo = Bounded()
        self._breakers_memo = Bounded()
        self._governors_memo = Bounded()
        self._rule_sets = Bounded()
        self._governors = tuple([scoped.item for scoped in governors])
        self.breaker_names = frozenset(scoped.item.name for scoped in breakers)

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

    def any_grant(self, agent: Agent, tool: str) -> str | None:
        """Name of the first grant that lets the agent call anything of the tool, or None."""
        key = (agent.id, agent.roles, tool)
        if key in self._any_grant_memo:
            return self._any_grant_memo[key]  # type: ignore[no-any-return]
        granted = (grant for grant in self.grants if matches_any(grant.tools, tool) and grant.names(agent))
        name = next((grant.name for grant in granted), None)
        return name if len(agent.id) > MEMO_KEY_CAP else self._any_grant_memo.remember(key, name)

    def rules(self, tool: str, operation: str, *, implied: bool = False) -> RuleSet:
        """The rules of the request phase that can match the operation."""
        found = self._request_memo.get((tool, operation))
        return found if found is not None else self._phase("request", tool, operation, implied=implied)

    def results(self, tool: str, operation: str, *, implied: bool = False) -> RuleSet:
        """The rules of the response phase that can match the operation."""
        return self._phase("response", tool, operation, implied=implied)

    def proposals(self, tool: str, operation: str) -> RuleSet:
        """The rules of the proposal phase that can match the operation."""
        return self._phase("proposal", tool, operation)

    def listing(self, tool: str, operation: str) -> RuleSet:
        """The rules that keep the operation out of lists: those of the list phase, and those that refuse every call
        of it, since they read nothing that only a call has."""
        return self._phase("list", tool, operation)

    def _phase(self, phase: str, tool: str, operation: str, *, implied: bool = False) -> RuleSet:
        shelf = self._shelves.get(tool)
        if shelf is None or phase not in shelf.phases:
            return self._empty
        memo = self._rules_memo[phase]
        found = memo.get((tool, operation))
        if found is not None:
            return found  # type: ignore[no-any-return]
        numbers = shelf.policies.lookup(operation, named=implied)
        rules = self._rule_set(phase, numbers) if numbers else self._empty
        return rules if len(operation) > MEMO_KEY_CAP else memo.remember((tool, operation), rules)

    def _rule_set(self, phase: str, numbers: tuple[int, ...]) -> RuleSet:
        """One rule set for each group of policies, however many operations lead to it: compiling costs milliseconds."""
        found = self._rule_sets.get((phase, numbers))
        if found is not None:
            return found  # type: ignore[no-any-return]
        rules = [rule for number in numbers for rule in self._rules[phase][number]]
        return self._rule_sets.remember((phase, numbers), RuleSet(rules, self.engine))

    def limits(self, tool: str, operation: str, *, implied: bool = False) -> tuple[CompiledLimit, ...]:
        """The limits that count calls of the operation."""
        found = self._limits_memo.get((tool, operation))
        if found is not None:
            return found  # type: ignore[no-any-return]
        shelf = self._shelves.get(tool)
        limits = shelf.limits.lookup(operation, named=implied) if shelf is not None else ()
        return limits if len(operation) > MEMO_KEY_CAP else self._limits_memo.remember((tool, operation), limits)

    def breakers(self, tool: str, operation: str, *, implied: bool = False) -> tuple[CompiledBreaker, ...]:
        """The breakers that guard the operation."""
        found = self._breakers_memo.get((tool, operation))
        if found is not None:
            return found  # type: ignore[no-any-return]
        shelf = self._shelves.get(tool)
        breakers = shelf.breakers.lookup(operation, named=implied) if shelf is not None else ()
        return breakers if len(operation) > MEMO_KEY_CAP else self._breakers_memo.remember((tool, operation), breakers)

    def governors(self, kind: type[G], tool: str, operation: str, *, implied: bool = False) -> tuple[G, ...]:
        """The governors of this kind (``CompiledBudget`` and its like) that count calls of the operation."""
        key = (kind, tool, operation)
        found = self._governors_memo.get(key)
        if found is not None:
            return found  # type: ignore[no-any-return]
        shelf = self._shelves.get(tool)
        index = shelf.governors.get(kind) if shelf is not None else None  # type: ignore[arg-type]
        governors: tuple[Any, ...] = index.lookup(operation, named=implied) if index is not None else ()
        return governors if len(operation) > MEMO_KEY_CAP else self._governors_memo.remember(key, governors)

    def governs(self, kind: type[Governor], tool: str) -> bool:
        """Whether some governor of this kind can match the tool."""
        shelf = self._shelves.get(tool)
        return shelf is not None and kind in shelf.governors

    def every(self, kind: type[G]) -> tuple[G, ...]:
        """All governors of this kind, whatever they match, in the order of the files."""
        return tuple([governor for governor in self._governors if isinstance(governor, kind)])

    def caps(self, agent: Agent, tool: str, operation: str) -> tuple[Caps, ...]:
        """What requests of this agent to a model are held to, in the order of the files."""
        shelf = self._shelves.get(tool)
        if shelf is None:
            return ()
        return tuple([cap.caps for cap in shelf.caps.lookup(operation) if cap.names(agent)])

    def reads(self, tool: str) -> frozenset[str]:
        """Every variable that something which can match the tool reads: ``args`` means reading bodies ahead."""
        shelf = self._shelves.get(tool)
        return shelf.reads if shelf is not None else frozenset()

    def reads_args(self, tool: str) -> bool:
        """Whether anything that can match the tool reads ``args``, so that the body must be read ahead."""
        return "args" in self.reads(tool)

    def phases(self, tool: str) -> frozenset[str]:
        """The phases in which some rule can match the tool."""
        shelf = self._shelves.get(tool)
        return shelf.phases if shelf is not None else frozenset()

    def asks(self, tool: str) -> bool:
        """Whether some rule that can match the tool asks a person."""
        shelf = self._shelves.get(tool)
        return shelf is not None and shelf.asks

    def looks_at_path(self, tool: str) -> bool:
        """Whether anything that can match the tool tells its paths apart, so that a path must read one way only."""
        shelf = self._shelves.get(tool)
        return shelf is not None and shelf.looks_at_path


def _shelf(
    tool: str,
    grants: Entries[CompiledGrant],
    policies: Entries[int],
    rules: Sequence[tuple[CompiledRule, ...]],
    limits: Entries[CompiledLimit],
    breakers: Entries[CompiledBreaker],
    caps: Entries[CompiledCap],
    governors: Entries[Governor],
) -> _Shelf:
    grants, policies = _for_tool(grants, tool), _for_tool(policies, tool)
    limits, breakers, caps = _for_tool(limits, tool), _for_tool(breakers, tool), _for_tool(caps, tool)
    governors = _for_tool(governors, tool)
    here = [rule for policy in policies for rule in rules[policy.item]]
    read = frozenset[str]().union(*(rule.references for rule in here), *(limit.item.references for limit in limits))
    read = read.union(*(governor.item.references for governor in governors))
    kinds: dict[type[Governor], list[Scoped[Governor]]] = {}
    for governor in governors:
        kinds.setdefault(type(governor.item), []).append(governor)
    scopes: list[Scoped[Any]] = [*grants, *policies, *limits, *breakers, *governors]
    return _Shelf(
        _index(grants),
        _index(policies),
        _index(limits),
        _index(breakers),
        _index(caps),
        {kind: _index(entries) for kind, entries in kinds.items()},
        reads=read,
        looks_at_path=bool(read & PATH_VARIABLES)
        or any(breaker.item.per_operation for breaker in breakers)
        or any(sees_path(pattern) for scope in scopes for pattern in scope.operations),
        phases=frozenset(phase for phase in PHASES if _of(phase, here)),
        asks=any(rule.verdict is Verdict.APPROVE for rule in here),
    )


def _of(phase: str, rules: Iterable[CompiledRule]) -> tuple[CompiledRule, ...]:
    """The rules that speak in this phase. A rule that refuses calls by what a list tells also keeps out of lists."""
    if phase != "list":
        return tuple(rule for rule in rules if rule.phase == phase)
    return tuple(rule for rule in rules if rule.phase == "list" or (_hides(rule) and rule.references <= LISTED))


def _hides(rule: CompiledRule) -> bool:
    return rule.phase == "request" and rule.verdict is Verdict.DENY and rule.mode is Mode.ENFORCE


def _for_tool(entries: Entries[T], tool: str) -> list[Scoped[T]]:
    return [entry for entry in entries if matches_any(entry.tools, tool)]


def _index(entries: Entries[T]) -> OperationIndex[T]:
    return OperationIndex([(entry.operations, entry.item) for entry in entries])
