"""What the policies make of one call: every grant, rule, limit and breaker that has to do with it, as plain data."""

from __future__ import annotations

import re
import time
from typing import Any

from gateway.config.load import Loaded
from gateway.decide.engine import AskHuman, Look, Reserve, decide
from gateway.errors import Refused
from gateway.model import Agent, Call, Decision, Hold, Refusal
from gateway.policy.globs import matches_any
from gateway.policy.guards import CompiledLimit
from gateway.policy.rules import Explained
from gateway.policy.schema import Grant, Limit, Policy
from gateway.streets import Kept, Streets

NEAREST = 3
"""Grants that are named where none allows the call."""


def explanation_of(call: Call, loaded: Loaded) -> dict[str, Any]:
    """Everything that has to do with the call, and the verdict with counters at rest and circuits closed."""
    book, tool = loaded.book, call.tool
    grant = book.grant(call.agent, tool.name, call.operation)
    if grant is None and call.implied:
        grant = book.any_grant(call.agent, tool.name)
    named = {"implied": call.implied}
    rules = book.rules(tool.name, call.operation, **named)
    return {
        "version": loaded.version,
        "call": {
            "agent": call.agent.id,
            "roles": list(call.agent.roles),
            "run": call.run.id or None,
            "tool": tool.name,
            "operation": call.operation,
            "params": dict(call.params),
            "args": dict(call.args),
            "facts": {name: value for name, value in call.facts.items() if value not in ("", None)},
            "amendments": list(call.amendments),
        },
        "grant": grant,
        "nearest_grants": [] if grant is not None else _nearest(call, loaded),
        "rules": [_rule(said, loaded) for said in rules.explain(call)],
        "limits": [_limit(limit, call, loaded) for limit in book.limits(tool.name, call.operation, **named)],
        "breakers": [
            {"breaker": breaker.name, "key": list(breaker.key(call)[1:])}
            for breaker in book.breakers(tool.name, call.operation, **named)
        ],
        "concurrency": tool.concurrency or None,
        "verdict": verdict_of(_decided(call, loaded)),
    }


def refused_early(refused: Refused, loaded: Loaded) -> dict[str, Any]:
    """The explanation of a request that the gateway would refuse before any policy sees it."""
    refusal = Refusal(refused.reason, refused.status, refused.detail, advice=refused.advice)
    return {"version": loaded.version, "call": None, "verdict": verdict_of(refusal)}


def verdict_of(decision: Decision) -> dict[str, Any]:
    """``allow``, or ``refuse`` with what the agent would be told."""
    if not isinstance(decision, Refusal):
        return {"decision": "allow", "grant": decision.grant}
    return {
        "decision": "refuse",
        "reason": decision.reason.value,
        "status": decision.status,
        "rule": decision.rule or None,
        "detail": decision.detail,
        "advice": decision.advice or None,
    }


def _decided(call: Call, loaded: Loaded) -> Decision:
    street = Streets(loaded, Kept(), time.time).of(call.tool)
    deciding = decide(call, street.checks, street.quotas)
    answer: object = None
    try:
        while True:
            effect = deciding.send(answer)
            if isinstance(effect, Look | Reserve):
                answer = tuple(Hold(claim, True) for claim in effect.claims)
            else:
                answer = None if isinstance(effect, AskHuman) else True
    except StopIteration as done:
        decision: Decision = done.value
        return decision
    except Refused as refused:
        return Refusal(refused.reason, refused.status, refused.detail, advice=refused.advice)


def _nearest(call: Call, loaded: Loaded) -> list[dict[str, Any]]:
    """The grants that miss the call by least, and by what."""
    found = [
        {"grant": document.metadata.name, "misses": _misses(document, call)}
        for document in loaded.documents
        if isinstance(document, Grant)
    ]
    return sorted(found, key=lambda one: len(one["misses"]))[:NEAREST]


def _misses(grant: Grant, call: Call) -> list[str]:
    spec = grant.spec
    misses = []
    if not _names(grant, call.agent):
        wanted = [f"agents {_listed(spec.agents)}"] if spec.agents else []
        wanted += [f"roles {_listed(spec.roles)}"] if spec.roles else []
        roles = f" with roles {_listed(call.agent.roles)}" if call.agent.roles else ""
        misses.append(f"agent {call.agent.id}{roles} is not in {' or '.join(wanted)}")
    if not matches_any(spec.tools, call.tool.name):
        misses.append(f"tool {call.tool.name} is not in tools {_listed(spec.tools)}")
    if not matches_any(spec.operations, call.operation):
        misses.append(f"operation {call.operation!r} is not in operations {_listed(spec.operations)}")
    return misses


def _names(grant: Grant, agent: Agent) -> bool:
    return matches_any(grant.spec.agents, agent.id) or not set(grant.spec.roles).isdisjoint(agent.roles)


def _listed(names: tuple[str, ...]) -> str:
    return f"[{', '.join(names)}]"


def _rule(said: Explained, loaded: Loaded) -> dict[str, Any]:
    return {
        "policy": said.policy,
        "rule": said.rule,
        "then": said.verdict.value,
        "mode": said.mode.value,
        "when": said.when,
        "variables": _variables(said, loaded),
        "result": said.result,
        "message": said.message or None,
        "read": said.read,
    }


def _variables(said: Explained, loaded: Loaded) -> dict[str, str]:
    """The expressions behind the variables that a condition names."""
    policies = (one for one in loaded.documents if isinstance(one, Policy) and one.metadata.name == said.policy)
    return {
        variable.name: variable.expression
        for policy in policies
        for variable in policy.spec.variables
        if re.search(rf"\bvariables\s*\.\s*{variable.name}\b", said.when)
    }


def _limit(limit: CompiledLimit, call: Call, loaded: Loaded) -> dict[str, Any]:
    rates = (one.spec.rate for one in loaded.documents if isinstance(one, Limit) and one.metadata.name == limit.name)
    try:
        key: list[str] | None = list(limit.key(call)[1:])
        error = None
    except Refused as refused:
        key, error = None, refused.detail
    return {
        "limit": limit.name,
        "key": key,
        "error": error,
        "rate": next(rates),
        "burst": limit.capacity,
        "mode": limit.mode,
        "max_wait": limit.max_wait or None,
    }
