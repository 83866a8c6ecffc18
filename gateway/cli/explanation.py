"""What the policies make of one call: every grant, rule and guard that has to do with it, as plain data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import structs

from gateway.cli.explanation_governors import explained_governors
from gateway.cli.explanation_rules import Lacking, explained_rules, nearest_rules, refuses, undecided
from gateway.config.load import Loaded
from gateway.errors import Refused
from gateway.model import UNREAD, Agent, Call, Decision, Hold, RateClaim, Reason, Refusal
from gateway.observe.recalled import state_of
from gateway.policy.globs import matches_any
from gateway.policy.guards import CompiledBreaker, CompiledLimit
from gateway.policy.schema import Grant, Limit
from gateway.rehearse.stage import Stage

NEAREST = 3
"""Grants that are named where none allows the call."""


def _nothing(_: str) -> str:
    return ""


def explanation_of(call: Call, loaded: Loaded, lacking: Lacking = _nothing) -> dict[str, Any]:
    """Everything that has to do with the call, and the verdict with counters at rest and circuits closed.

    ``lacking`` tells of a recorded call what an expression reads that the record does not have.
    """
    book, tool, named = loaded.book, call.tool, {"implied": call.implied}
    grant = book.grant(call.agent, tool.name, call.operation)
    if grant is None and call.implied:
        grant = book.any_grant(call.agent, tool.name)
    rules = explained_rules(book.rules(tool.name, call.operation, **named), call, loaded, lacking)
    results = book.results(tool.name, call.operation, **named).rules
    proposals = book.proposals(tool.name, call.operation).rules
    decision = Stage(loaded, call.at).decide(call, 0.0)
    limits = [
        _limit(limit, call, loaded, decision.holds, lacking)
        for limit in book.limits(tool.name, call.operation, **named)
    ]
    against = [rule for rule in rules if refuses(rule)]
    verdict = _verdict(decision, rules, limits, sure=grant is None or isinstance(call.flaw, Refusal))
    return {
        "version": loaded.version,
        "call": _call(call),
        "grant": grant,
        "nearest_grants": [] if grant is not None else _nearest(call, loaded),
        "rules": rules,
        "rules_of_the_answer": [
            {"policy": one.policy, "rule": one.name, "phase": one.phase, "when": one.when, "then": one.verdict.value}
            for one in (*results, *proposals)
        ],
        "limits": limits,
        "breakers": [_breaker(breaker, call) for breaker in book.breakers(tool.name, call.operation, **named)],
        "governors": explained_governors(book, call, lacking),
        "concurrency": tool.concurrency or None,
        "verdict": verdict,
        "against": [f"{rule['policy']}/{rule['rule']}" for rule in against],
        "nearest_rules": [f"{rule['policy']}/{rule['rule']}" for rule in ([] if against else nearest_rules(rules))],
    }


def _call(call: Call) -> dict[str, Any]:
    return {
        "agent": call.agent.id,
        "roles": list(call.agent.roles),
        "run": call.run.id or None,
        "tool": call.tool.name,
        "operation": call.operation,
        "params": dict(call.params),
        "args": None if call.args is UNREAD else dict(call.args),
        "facts": {name: value for name, value in call.facts.items() if value not in ("", None)},
        "amendments": list(call.amendments),
        **_remembered(call),
    }


def _remembered(call: Call) -> dict[str, Any]:
    """What it finds in memories, where it touches one, or its run has read what has changed."""
    found = [
        {"memory": one.touch.memory, "key": one.touch.key, "writes": one.touch.writes, "found": state_of(one)}
        for one in call.glances
    ]
    return ({"memory": found} if found else {}) | ({"drift": list(call.drift)} if call.drift else {})


def refused_early(refusal: Refusal, loaded: Loaded) -> dict[str, Any]:
    """The explanation of a request that the gateway would refuse before any policy sees it."""
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


def _verdict(
    decision: Decision, rules: Iterable[dict[str, Any]], limits: Iterable[dict[str, Any]], *, sure: bool
) -> dict[str, Any]:
    """The decision, where it does not hang on something that is not known. ``sure``: it was taken before the rules."""
    open_rules = [f"{rule['policy']}/{rule['rule']}: {rule['result']}" for rule in rules if undecided(rule)]
    open_limits = [f"limit/{one['limit']}: unknown: {one['lacking']}" for one in limits if one["lacking"]]
    if sure or not (open_rules or open_limits):
        return verdict_of(decision)
    denied = next((rule for rule in rules if refuses(rule)), None)
    if denied is None:
        return {"decision": "unknown", "why": [*open_rules, *open_limits]}
    name = f"{denied['policy']}/{denied['rule']}"
    if isinstance(decision, Refusal) and decision.rule == name:
        return verdict_of(decision)
    reason = Reason.APPROVAL_REQUIRED if denied["then"] == "approve" else Reason.POLICY_DENIED
    return verdict_of(Refusal(reason, 403, denied["message"] or f"refused by rule {name}", name))


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


def _limit(limit: CompiledLimit, call: Call, loaded: Loaded, holds: Iterable[Hold], lacking: Lacking) -> dict[str, Any]:
    """The limit with its numbers. ``left`` is what it has left after this call, where it was asked."""
    rates = (one.spec.rate for one in loaded.documents if isinstance(one, Limit) and one.metadata.name == limit.name)
    missing = next((why for name in sorted(limit.references) if (why := lacking(name))), "")
    try:
        key: list[str] | None = None if missing else list(limit.key(call)[1:])
        error = None
    except Refused as refused:
        key, error = None, refused.detail
    mine = (hold for hold in holds if isinstance(hold.claim, RateClaim) and hold.claim.guard == limit.name)
    hold = next((hold for hold in mine if hold.granted and hold.state != "paced"), None)
    return {
        "limit": limit.name,
        "key": key,
        "error": error,
        "lacking": missing or None,
        "rate": next(rates),
        "burst": limit.capacity,
        "mode": limit.mode,
        "max_wait": limit.max_wait or None,
        "left": None if hold is None or missing else hold.left,
        "one_more_after_s": round(1.0 / limit.rate, 3),
        "full_after_s": round(limit.capacity / limit.rate, 3),
    }


def _breaker(breaker: CompiledBreaker, call: Call) -> dict[str, Any]:
    return {
        "breaker": breaker.name,
        "key": list(breaker.key(call)[1:]),
        "settings": structs.asdict(breaker.settings),
    }
