"""From policy documents to the book, collecting every mistake on the way instead of stopping at the first."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Sequence
from hashlib import blake2b
from itertools import islice

from msgspec import Struct

from gateway.model import Tool
from gateway.policy.book import PolicyBook, Scoped
from gateway.policy.check_governors import check_budget, check_pool
from gateway.policy.complaints import Complaint, Complaints, Path
from gateway.policy.engine import CelEngine
from gateway.policy.globs import matches_any
from gateway.policy.governors import Governor
from gateway.policy.guards import CompiledBreaker, CompiledCap, CompiledGrant, CompiledLimit
from gateway.policy.hints import nearest
from gateway.policy.lower import breaker_of, cap_of, grant_of, limit_of, rules_of
from gateway.policy.lower_governors import GOVERNORS, governor_of
from gateway.policy.lower_tasks import task_of
from gateway.policy.misnamed import ENDPOINTS, instead
from gateway.policy.rules import CompiledRule
from gateway.policy.schema import AnyDocument, Breaker, Cap, Grant, GrantSpec, Limit, Policy
from gateway.policy.schema_governors import Budget, Loop, Pool
from gateway.policy.schema_parts import Match
from gateway.policy.schema_tasks import Task, TaskAllowance

__all__ = ["Complaint", "SourcedDocument", "compile_policies"]

WARM_CAP = 256
"""Operations prepared at load, over all tools; a large OpenAPI document must not make every reload slow."""


_METHOD_AND_PATH = re.compile(r"[A-Z]+ [/*]")


class SourcedDocument(Struct, frozen=True):
    """A document that fits the schema. ``index`` comes back in complaints; ``source`` is a label for people."""

    index: int
    model: AnyDocument
    source: str = ""


def compile_policies(
    documents: Sequence[SourcedDocument],
    tools: Sequence[Tool],
    engine: CelEngine,
    priced: Collection[str] | None = None,
) -> tuple[PolicyBook, list[Complaint]]:
    """The book, and every mistake found. Never raises for what a user wrote. ``priced`` are names of tools whose calls
    have a cost, where that is known.

    Where a complaint's severity is ``error`` the book lacks what could not be compiled: do not use it.
    """
    complaints = Complaints()
    grants: list[CompiledGrant] = []
    policies: list[Scoped[tuple[CompiledRule, ...]]] = []
    limits: list[Scoped[CompiledLimit]] = []
    breakers: list[Scoped[CompiledBreaker]] = []
    caps: list[Scoped[CompiledCap]] = []
    governors: list[Scoped[Governor]] = []
    _check_names(documents, complaints)
    _check_scopes(documents, tools, priced, complaints)
    for document in documents:
        model = document.model
        if isinstance(model, Grant):
            grants.append(grant_of(model))
        elif isinstance(model, Policy):
            rules = rules_of(document.index, model, engine, complaints)
            policies.append(Scoped(model.spec.match.tools, model.spec.match.operations, rules))
        elif isinstance(model, Limit):
            limit = limit_of(document.index, model, engine, complaints)
            limits.append(Scoped(model.spec.match.tools, model.spec.match.operations, limit))
        elif isinstance(model, Cap):
            caps.append(Scoped(model.spec.match.tools, model.spec.match.operations, cap_of(model)))
        elif isinstance(model, Task):
            governors += task_of(document.index, model, engine, complaints)
        elif isinstance(model, GOVERNORS):
            governor = governor_of(document.index, model, engine, complaints)
            governors.append(Scoped(model.spec.match.tools, model.spec.match.operations, governor))
        else:
            breakers.append(Scoped(model.spec.match.tools, model.spec.match.operations, breaker_of(model)))
    names = [tool.name for tool in tools]
    book = PolicyBook(digest(documents, engine), engine, names, grants, policies, limits, breakers, caps, governors)
    _warm(book, tools)
    return book, complaints.all


def _warm(book: PolicyBook, tools: Sequence[Tool]) -> None:
    """Combine the rules of the first listed operations now: 200 rules take 20 ms, which no call should wait for."""
    listed = ((tool.name, operation) for tool in tools for operation in tool.operations or ("GET /", "POST /"))
    for name, operation in islice(listed, WARM_CAP):
        book.rules(name, operation)


def digest(documents: Sequence[SourcedDocument], engine: CelEngine) -> str:
    """16 hex digits that differ whenever the documents, their order, or the engine do."""
    content = [engine.name, *(document.model.model_dump(mode="json") for document in documents)]
    return blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=8).hexdigest()


def _check_names(documents: Sequence[SourcedDocument], complaints: Complaints) -> None:
    seen: dict[tuple[str, str], SourcedDocument] = {}
    for document in documents:
        key = (document.model.kind, document.model.metadata.name)
        first = seen.setdefault(key, document)
        if first is not document:
            where = f" in {first.source}" if first.source else ""
            complaints.error(
                document.index,
                ("metadata", "name"),
                f"there already is a {key[0]} named {key[1]}{where}",
                "give each its own name",
                "duplicate-name",
            )


def _check_scopes(
    documents: Sequence[SourcedDocument], tools: Sequence[Tool], priced: Collection[str] | None, complaints: Complaints
) -> None:
    """Warn of globs that can match nothing, and of circuits by operation that grow with every path."""
    for document in documents:
        model = document.model
        if isinstance(model, Task):
            for number, allowance in enumerate(model.spec.allow):
                _check_scope(document.index, ("spec", "allow", number), allowance, tools, complaints)
            continue
        scope: GrantSpec | Match = model.spec if isinstance(model, Grant) else model.spec.match
        at: Path = ("spec",) if isinstance(model, Grant) else ("spec", "match")
        _check_scope(document.index, at, scope, tools, complaints)
        matched = [tool for tool in tools if any(matches_any([glob], tool.name) for glob in scope.tools)]
        if isinstance(model, Policy):
            _check_phases(document.index, model, matched, complaints)
        if isinstance(model, Cap) and matched and not any(tool.protocol in ENDPOINTS for tool in matched):
            message = f"the cap is never applied: none of {', '.join(tool.name for tool in matched)} is a model"
            hint = f"it is for tools with protocol: {' or '.join(ENDPOINTS)}"
            complaints.warning(document.index, at, message, hint, "unreached-rule")
        if isinstance(model, Pool):
            check_pool(document.index, model, matched, complaints)
        if isinstance(model, Budget):
            check_budget(document.index, model, matched, priced, complaints)
        for number, pattern in enumerate(model.spec.polls if isinstance(model, Loop) else ()):
            path = ("spec", "polls", number)
            _check_operation(document.index, path, pattern, matched, complaints, complaints.warning)
        if isinstance(model, Breaker) and "operation" in model.spec.per:
            _check_circuits(document.index, scope.tools, tools, complaints)


def _check_scope(
    index: int, at: Path, scope: GrantSpec | Match | TaskAllowance, tools: Sequence[Tool], complaints: Complaints
) -> None:
    """Warn of globs that can match nothing."""
    names = [tool.name for tool in tools]
    for number, pattern in enumerate(scope.tools):
        if not any(matches_any([pattern], name) for name in names):
            near = nearest(pattern, names)
            hint = f"did you mean {near}?" if near else f"configured are {', '.join(names) or 'none'}"
            path = (*at, "tools", number)
            complaints.warning(index, path, f"no configured tool matches {pattern!r}", hint, "unmatched-tool")
    matched = [tool for tool in tools if any(matches_any([glob], tool.name) for glob in scope.tools)]
    for number, pattern in enumerate(scope.operations):
        _check_operation(index, (*at, "operations", number), pattern, matched, complaints)


_SPOKEN = {"list": ("mcp",), "proposal": tuple(ENDPOINTS)}
"""Phases that only some protocols have."""


def _check_phases(index: int, policy: Policy, tools: Sequence[Tool], complaints: Complaints) -> None:
    """Warn of rules that can never speak, and of those that speak and cannot do anything."""
    for number, rule in enumerate(policy.spec.rules):
        path: Path = ("spec", "rules", number)
        spoken = _SPOKEN.get(rule.phase)
        if spoken is not None and tools and not any(tool.protocol in spoken for tool in tools):
            message = f"phase {rule.phase} is never reached: none of {', '.join(tool.name for tool in tools)} has it"
            hint = f"it is for tools with protocol: {' or '.join(spoken)}"
            complaints.warning(index, (*path, "phase"), message, hint, "unreached-rule")
        elif rule.phase == "list" and (rule.then != "deny" or (rule.mode or policy.spec.mode) != "Enforce"):
            message = "in phase list a rule can only keep a tool out, so this one does nothing"
            hint = "write then: deny with mode: Enforce, or remove it"
            complaints.warning(index, (*path, "phase"), message, hint, "unreached-rule")


_UNMATCHED = "unmatched-operation"


def _check_operation(
    index: int,
    path: Path,
    pattern: str,
    tools: Sequence[Tool],
    complaints: Complaints,
    say: Callable[..., None] | None = None,
) -> None:
    """A glob that matches no operation leaves a rule dead, and a dead rule that denies is a hole: say so. ``say`` is
    how, by default as an error where there can be no such operation."""
    say = complaints.error if say is None else say
    if misnamed := instead(pattern, tools):
        complaints.warning(index, path, *misnamed, _UNMATCHED)
        return
    servers = [tool.name for tool in tools if tool.protocol == "mcp"]
    tools = [tool for tool in tools if tool.protocol != "mcp"]
    if servers and not (tools and _METHOD_AND_PATH.match(pattern)):
        if _METHOD_AND_PATH.match(pattern):
            hint = f"{', '.join(servers)} speaks MCP: write the name of a tool, or such as resources/read *"
            complaints.warning(index, path, f"{pattern!r} matches no operation of an MCP server", hint, _UNMATCHED)
        return  # what a server offers is not known here
    method, space, path_glob = pattern.partition(" ")
    if not space and pattern[:1] not in ("*", "?") and pattern != "CONNECT":
        hint = f"write METHOD /path, or * {pattern}" if pattern[:1] == "/" else "write METHOD /path, such as GET /items"
        say(index, path, f"{pattern!r} matches no operation: these are METHOD /path", hint, _UNMATCHED)
    elif space and method.islower():
        hint = f"write {method.upper()} {path_glob}"
        complaints.warning(index, path, f"methods are in upper case, so {pattern!r} never matches", hint, _UNMATCHED)
    elif space and path_glob[:1] not in ("/", "*", "?"):
        hint = f"write {method} /{path_glob}"
        say(index, path, f"{pattern!r} matches no operation: paths begin with /", hint, _UNMATCHED)
    elif tools and all(tool.operations for tool in tools):
        known = [operation for tool in tools for operation in tool.operations]
        if not any(matches_any([pattern], operation) for operation in known):
            near = nearest(pattern, known)
            names = ", ".join(tool.name for tool in tools)
            hint = f"did you mean {near}?" if near else "toolgate check compares with `operations` and `openapi`"
            message = f"{pattern!r} is none of the operations that {names} is configured with"
            complaints.warning(index, path, message, hint, _UNMATCHED)


def _check_circuits(index: int, globs: Sequence[str], tools: Sequence[Tool], complaints: Complaints) -> None:
    for tool in tools:
        if not tool.operations and matches_any(globs, tool.name):
            complaints.warning(
                index,
                ("spec", "per"),
                f"{tool.name} has no operations in the configuration, so each path has a circuit of its own",
                "list the tool's operations, or its openapi document",
            )
