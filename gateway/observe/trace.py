"""The record of a call: one JSON object a line, in keys that stay.

Every key is always there; what does not apply is null (or an empty list). ``docs/trace.md`` explains each to users.

==============  ====================================================================================================
ts              arrival, RFC 3339 in UTC with milliseconds
call            the call's id, also on the answer as ``X-Toolgate-Call``
run             the agent's run, or null
traceparent     the caller's W3C trace context, or null
trace_id        of W3C Trace Context; null where neither the agent nor the gateway named one
span_id         of this call, as its tool was told; null where it was told nothing
parent_span_id  of the span that the call lies in, by ``traceparent`` or else by the token that its tool passed on
root            ``{agent, run}`` at the root of the tree of runs, null where the run is the root itself
led_by          ``{agent, run, span_id}`` of the call (or, without a span, the run) that led to this run, or null
depth           calls that it lies within
lineage         how that is known: ``token``, ``span``, ``declared``; ``rejected``: by a token that is none; or null
agent, roles    who asked; agent is null where nobody was recognised
tool            name of the tool, or null where the request named none that is known
operation       ``METHOD /template`` or ``METHOD /path``, or null where the request was not read so far
method, path    as the agent sent them; never the query, never a field value
decision        ``allow``, ``refuse``, or null where the agent left before there was one
reason          of a refusal (model.Reason), else null
rule            ``policy/rule`` or ``guard kind/name`` that refused, else null
detail          of a refusal, in words
grant           name of the grant that allows the call
facts           what the protocol tells of the call: ``mcp.method``, ``mcp.name``, ``llm.model`` and their like
amendments      what the gateway changed in the request, in words
why             what the agent says of it: ``{step, parent, reason, goal, kind}``, or null
labels          what the run was marked with before the call, where some rule of the tool reads that
rules           every rule that spoke, of the call and of its answer: ``{policy, rule, verdict, mode, message, error,
                label, fields, annotations, outside_rollout, quarantine, values}``; the last is what it read, by path
proposed_by     the model's proposal that the call follows: ``{call, id, name, loosely}``, or null
guards          what each guard answered: ``{guard, granted, left, state, retry_after, detail, escalate, budget}``; the
                last is ``{unit, limit, reserved, spent}`` of a budget, else null
approval        what people said: ``{id, verb, by, waited_ms, edited, why}``, or null where nobody was asked; the last
                is what ruled in their place (an exemption)
quarantines     what the call has put under quarantine: ``{scope, by, seconds}``
memory          keys of memories that it touched: ``{memory, key, does, found, seen_s, changed_by, came_of, version}``
drift           ``memory/key`` of what its run had seen and had changed before it, where a rule asks for that
shifts          what was otherwise at the run's call before: ``{what, before, now}``
reached         how far it came: identify, understand, decide, execute (sent, or about to be), answer
status          what the agent got (499: it had gone)
upstream_status what the tool answered
fault, error    who broke the call (tool, agent, gateway) and how
is_error        whether the answer says of itself that it failed (MCP ``isError``)
withheld        an answer that a rule kept from the agent: ``{reason, rule, detail}``, else null
proposed        tool calls that the model proposed: ``{name, refused, id}``; ``refused`` is the rule that took it out,
                or null, ``id`` what the model called it, or null
usage           tokens: ``{model, input, output, cache_read, cache_write, reasoning, estimated}``, or null
cost_usd        what the call cost in US dollars, or null where that is not known
notes           what else to know of the answer (``usage estimated: the stream was cut``)
result          ``{digest, complaint}`` where a guard compares results, else null; the latter, which is the beginning of
                what a tool said of a call that failed, only where ``trace.args`` is on
bytes_in, _out  body bytes from and to the agent
timings         milliseconds: ``{read_ms, queue_ms, asked_ms, decide_ms, upstream_first_byte_ms, answer_ms, total_ms}``
policy_version  digest of the configuration and policies that decided
size            announced bytes of the body, -1 where unknown
clock           arrival by the gateway's steady clock, in seconds: comparable within one process
host, implied   the authority that was asked for; whether the call only keeps a session going
flaw            what schema, pins or a cap say against the call: ``{reason, status, rule, detail}``, or null
args_digest     of the arguments, the same for the same ones within one process; null where they were not read
args, query     as they came, secrets masked, where ``trace.args`` is on and they were read, else null
headers         values of the fields that ``trace.headers`` names, null for those that were not there
parts           calls of a batch: ``{operation, implied, flaw, facts, args, masked}``
masked          variables whose values are not as they came: ``args.password``, ``request.query``
==============  ====================================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson
from msgspec import structs

from gateway.model import NOTHING_FOUND, Findings, Permit, Refusal, Spoke, Trace
from gateway.observe.asked import asked
from gateway.observe.guards import guard_of
from gateway.observe.imposed import imposed
from gateway.observe.keeping import NOTHING, Keeping, kept
from gateway.observe.lines import usual_line
from gateway.observe.links import Link
from gateway.observe.placing import placed
from gateway.observe.readings import read_by
from gateway.observe.recalled import LOOKUP, TOOL_CALL, WRITE, drifted, kind_of, recalled
from gateway.observe.targets import path_of

LONGEST = 2048
"""Characters kept of a text that an agent has a say in: one request must not be able to fill the disk."""


def record_of(trace: Trace, settings: Keeping = NOTHING, link: Link | None = None) -> dict[str, Any]:
    """The record of a call as a dict that orjson can encode. Quiet: the same trace gives the same record. ``link``:
    the proposal that the call follows."""
    decision = trace.decision
    refusal = decision if isinstance(decision, Refusal) else None
    agent, outcome, request = trace.agent, trace.outcome, trace.request
    found = outcome.found
    spoke = () if decision is None else (*decision.spoke, *found.spoke)
    return {
        "ts": timestamp(trace.wall),
        "call": trace.id,
        "run": trace.run.id or None,
        "traceparent": trace.run.parent or None,
        **placed(trace),
        "agent": None if agent is None else agent.id[:LONGEST],
        "roles": [] if agent is None else agent.roles,
        "tool": trace.tool or None,
        "operation": trace.operation[:LONGEST] or None,
        "method": request.method,
        "path": path_of(request.target)[:LONGEST],
        "decision": None if decision is None else "allow" if refusal is None else "refuse",
        "reason": None if refusal is None else refusal.reason,
        "rule": (refusal.rule or None) if refusal is not None else None,
        "detail": None if refusal is None else refusal.detail[:LONGEST],
        "grant": (decision.grant or None) if isinstance(decision, Permit) else None,
        "facts": {name: _short(trace.facts[name]) for name in _FACTS if name in trace.facts} if trace.facts else {},
        "amendments": trace.amendments,
        "why": why_of(trace.facts),
        "step": step_of(trace),
        "labels": trace.run.labels,
        "rules": [_rule(one, spoke, settings) for one in spoke],
        "proposed_by": None if link is None else structs.asdict(link),
        "guards": [] if decision is None else [guard_of(hold, trace) for hold in decision.holds],
        "approval": asked(decision, outcome.found),
        "quarantines": imposed(decision, found),
        "memory": recalled(trace),
        "drift": drifted(trace),
        "shifts": [structs.asdict(one) for one in trace.shifts],
        "reached": reached(trace),
        "status": outcome.status,
        "upstream_status": outcome.upstream or None,
        "fault": outcome.fault or None,
        "error": outcome.error[:LONGEST] or None,
        **(NOTHING_READ if found is NOTHING_FOUND else _read(found, settings)),
        "cost_usd": outcome.cost_usd,
        "bytes_in": outcome.received,
        "bytes_out": outcome.sent,
        "timings": _timings(trace),
        "policy_version": trace.policy or None,
        **kept(trace, settings),
    }


def step_of(trace: Trace) -> str | None:
    """What kind of step of its run the call is: a memory's where its tool is one, else as the agent says, where it says
    a known one, else as the protocol tells; None for what only keeps a session going."""
    if (of_memory := kind_of(trace)) is not None:
        return of_memory
    declared = trace.facts.get("why.kind")
    if declared in STEPS:
        return str(declared)
    if trace.call is not None and trace.call.implied:
        return None
    return MODEL_TURN if "llm.model" in trace.facts else TOOL_CALL


def reached(trace: Trace) -> str:
    """How far the call came, in the words of ``docs/architecture.md``."""
    if trace.outcome.upstream:
        return "answer"
    if isinstance(trace.decision, Permit):
        return "execute"
    if trace.call is not None:
        return "decide"
    return "identify" if trace.agent is None else "understand"


def _timings(trace: Trace) -> dict[str, float | None]:
    outcome = trace.outcome
    decided = trace.ended if trace.decision is None else trace.decided
    return {
        "read_ms": round(trace.read * 1e3, 3),
        "queue_ms": round(trace.queued * 1e3, 3),
        "asked_ms": round(trace.asked * 1e3, 3),
        "decide_ms": round((decided - trace.began - trace.queued - trace.asked - trace.read) * 1e3, 3),
        "upstream_first_byte_ms": round(outcome.first_byte * 1e3, 3) if outcome.first_byte else None,
        "answer_ms": round((trace.ended - trace.opened) * 1e3, 3) if outcome.upstream else None,
        "total_ms": round((trace.ended - trace.began) * 1e3, 3),
    }


def why_of(facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the agent says of a call; None where it says nothing."""
    told = {member: facts.get(f"why.{member}") for member in WHY}
    return told if any(told.values()) else None


def line_of(trace: Trace, settings: Keeping = NOTHING, link: Link | None = None) -> bytes:
    """The record as one line of JSON in UTF-8, line feed included; text that is not Unicode gets ``?`` in its place."""
    if (line := usual_line(trace, timestamp(trace.wall), settings, link)) is not None:
        return line
    record = record_of(trace, settings, link)
    try:
        return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:  # a lone surrogate, from a name or a message that a policy made
        return orjson.dumps(_unicode(record), option=orjson.OPT_APPEND_NEWLINE)


_FACTS = (
    "mcp.method",
    "mcp.name",
    "mcp.uri",
    "mcp.version",
    "mcp.session",
    "tool.pin",
    "tool.readOnly",
    "tool.destructive",
    "tool.idempotent",
    "tool.openWorld",
    "llm.model",
    "llm.stream",
    "llm.max_tokens",
    "guardrail",
    "run.task",
)
"""Facts that are recorded. Never prompts and messages: a record is read by more people than a conversation."""

WHY = ("step", "parent", "reason", "goal", "kind")
"""What an agent may say of a call; see ``understand/why.py``."""

STEPS = frozenset(("plan", TOOL_CALL, LOOKUP, WRITE, "model_turn", "state_transition", "human"))
"""Kinds of steps; an agent may declare one (``why.kind``)."""
MODEL_TURN = "model_turn"

NOTHING_READ: dict[str, Any] = {
    "is_error": None,
    "withheld": None,
    "proposed": [],
    "usage": None,
    "notes": [],
    "result": None,
}


def _read(found: Findings, settings: Keeping) -> dict[str, Any]:
    """What was read in an answer."""
    refusal, usage = found.refusal, found.usage
    return {
        "is_error": found.is_error,
        "withheld": None
        if refusal is None
        else {"reason": refusal.reason, "rule": refusal.rule or None, "detail": refusal.detail[:LONGEST]},
        "proposed": [
            {"name": one.name[:LONGEST], "refused": one.refused or None, "id": one.id[:LONGEST] or None}
            for one in found.proposed
        ],
        "usage": None
        if usage is None
        else {
            "model": usage.model[:LONGEST],
            "input": usage.input_tokens,
            "output": usage.output_tokens,
            "cache_read": usage.cache_read_tokens,
            "cache_write": usage.cache_write_tokens,
            "reasoning": usage.reasoning_tokens,
            "estimated": usage.estimated,
        },
        "notes": [note[:LONGEST] for note in found.notes],
        "result": None
        if not found.digest and not found.complaint
        else {
            "digest": found.digest or None,
            "complaint": (found.complaint[:LONGEST] or None) if settings.args else None,
        },
    }


def _short(value: Any) -> Any:
    return value[:LONGEST] if isinstance(value, str) else value


def _rule(spoke: Spoke, all_spoke: Sequence[Spoke], settings: Keeping) -> dict[str, Any]:
    return {
        "policy": spoke.policy,
        "rule": spoke.rule,
        "verdict": spoke.verdict,
        "mode": spoke.mode,
        "message": spoke.message[:LONGEST] or None,
        "error": spoke.error[:LONGEST] or None,
        "label": spoke.label or None,
        "fields": spoke.fields or tuple([one.path for one in spoke.treats]),
        "annotations": dict(spoke.annotations),
        "outside_rollout": spoke.outside,
        "quarantine": spoke.quarantine or None,
        "values": read_by(spoke, all_spoke, settings),
    }


def timestamp(wall: float) -> str:
    """RFC 3339 in UTC with milliseconds; ``wall`` is in seconds since the epoch."""
    second, fraction = divmod(wall, 1.0)
    return f"{_to_the_second(int(second))}.{int(fraction * 1e3):03d}Z"


@lru_cache(maxsize=8)
def _to_the_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()[:-6]


def _unicode(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {key: _unicode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_unicode(item) for item in value]
    return value
