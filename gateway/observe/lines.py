"""The line of the usual call: permitted, nothing to say about it, nothing read in its answer but a digest.

Most of such a line is the same for all calls of one kind, so it is put together from pieces that are kept. Whatever is
not usual is left to ``trace.record_of``, which defines what a record is (a test holds the two to each other).
"""

from __future__ import annotations

from functools import lru_cache

import orjson
from msgspec import structs

from gateway.cost.charges import MICRO, charge
from gateway.model import NOTHING_FOUND, BudgetClaim, Findings, Hold, Outcome, Permit, Trace
from gateway.observe.keeping import NOTHING, Keeping, args_digest, values_of
from gateway.observe.links import Link
from gateway.observe.placing import placed_text
from gateway.observe.recalled import TOOL_CALL, drifted, kind_of, recalled
from gateway.observe.targets import path_of

KEPT = 1024
"""Pieces kept of each sort. Agents choose runs, paths and hosts, so there must be a bound."""

_LONGEST = 256
"""Characters of what agents choose, up to which pieces are kept."""

_LINE = (
    b'{"ts":"%b","call":"%b","run":%b,"traceparent":%b,%b,%b,"proposed_by":%b,"guards":[%b],"approval":null,"quarantines":[],'
    b'"memory":%b,"drift":%b,"shifts":[],'
    b'"reached":%b,"status":%d,"upstream_status":%b,"fault":null,'
    b'"error":null,%b,"cost_usd":%b,'
    b'"bytes_in":%d,"bytes_out":%d,"timings":{"read_ms":%.3f,"queue_ms":%.3f,"asked_ms":0.0,"decide_ms":%.3f,"upstream_first_byte_ms":%b,'
    b'"answer_ms":%b,"total_ms":%.3f},"policy_version":%b,"size":%d,"clock":%.6f,"host":%b,"implied":false,"flaw":null,"args_digest":%b,%b}\n'
)

_NOTHING_KEPT = b'"args":null,"query":null,"headers":{},"parts":[],"masked":[]'
_NOTHING_READ = b'"is_error":null,"withheld":null,"proposed":[],"usage":null,"notes":[],"result":null'
_DIGESTED = (
    b'"is_error":false,"withheld":null,"proposed":[],"usage":null,"notes":[],"result":{"digest":"%b","complaint":null}'
)
_NOTHING_MORE = b'"detail":null,"escalate":false,"budget":null'
"""Of a guard."""


def usual_line(trace: Trace, timestamp: str, settings: Keeping = NOTHING, link: Link | None = None) -> bytes | None:
    """The line of a usual call, line feed included; None where it is not usual. ``timestamp`` is that of the record,
    ``settings`` say what it keeps, ``link`` is the proposal that the call follows."""
    permit, outcome, agent = trace.decision, trace.outcome, trace.agent
    if type(permit) is not Permit or agent is None or permit.spoke or trace.facts or trace.amendments:
        return None
    call, run, request = permit.call, trace.run, trace.request
    if permit.ruling is not None or trace.asked:
        return None
    read = _NOTHING_READ if outcome.found is NOTHING_FOUND else _digested(outcome.found)
    if read is None or outcome.fault or outcome.error:
        return None
    if call.implied or call.parts or call.flaw is not None or run.labels:
        return None
    if trace.shifts:
        return None
    remembers = bool(call.glances or trace.recalled or call.drift is not None)
    step = TOOL_CALL if not remembers else kind_of(trace) or TOOL_CALL
    if len(request.target) + len(trace.operation) + len(agent.id) + len(run.id) + len(call.host) > _LONGEST:
        return None
    for hold in permit.holds:
        if hold.detail or hold.escalate:
            return None
    first_byte, answered = outcome.first_byte, bool(outcome.upstream)
    digest = args_digest(call, settings.salt)
    try:
        return _LINE % (
            timestamp.encode(),
            trace.id.encode(),
            _text(run.id),
            orjson.dumps(run.parent) if run.parent else b"null",
            placed_text(trace),
            _of_the_kind(
                agent.id, agent.roles, trace.tool, trace.operation, request.method, request.target, permit.grant, step
            ),
            b"null" if link is None else orjson.dumps(structs.asdict(link)),
            b",".join(
                [
                    _guard(hold.claim.guard, hold.granted, hold.left, hold.state, hold.retry_after)
                    if type(hold.claim) is not BudgetClaim
                    else _budget(hold, hold.claim, outcome)
                    for hold in permit.holds
                ]
            ),
            orjson.dumps(recalled(trace)) if remembers else b"[]",
            orjson.dumps(drifted(trace)) if remembers else b"null",
            b'"answer"' if answered else b'"execute"',
            outcome.status,
            b"%d" % outcome.upstream if answered else b"null",
            read,
            b"null" if outcome.cost_usd is None else orjson.dumps(outcome.cost_usd),
            outcome.received,
            outcome.sent,
            trace.read * 1e3,
            trace.queued * 1e3,
            (trace.decided - trace.began - trace.queued - trace.read) * 1e3,
            b"%.3f" % (first_byte * 1e3) if first_byte else b"null",
            b"%.3f" % ((trace.ended - trace.opened) * 1e3) if answered else b"null",
            (trace.ended - trace.began) * 1e3,
            _text(trace.policy),
            request.length,
            trace.began,
            _text(call.host) if call.host else b'""',
            b"null" if digest is None else b'"%b"' % digest.encode(),
            orjson.dumps(values_of(call, settings))[1:-1] if settings.keeps else _NOTHING_KEPT,
        )
    except orjson.JSONEncodeError:  # a lone surrogate: the long way knows what to do
        return None


def _digested(found: Findings) -> bytes | None:
    """What was found, where it is no more than a digest."""
    if not found.digest or found.is_error or found.usage is not None or found.refusal is not None or found.complaint:
        return None
    if found.proposed or found.spoke or found.notes:
        return None
    return _DIGESTED % found.digest.encode()


@lru_cache(KEPT)
def _guard(guard: str, granted: bool, left: float, state: str, wait: float) -> bytes:
    """What a guard answered: mostly what it has answered before, since most are far from their bounds."""
    return b'{"guard":%b,"granted":%b,"left":%.3f,"state":%b,"retry_after":%.3f,%b}' % (
        _text(guard),
        b"true" if granted else b"false",
        left,
        _text(state),
        wait,
        _NOTHING_MORE,
    )


def _budget(hold: Hold, claim: BudgetClaim, outcome: Outcome) -> bytes:
    """The same of a budget, with what was set aside and spent; see ``guards.guard_of``."""
    settings = claim.settings
    left: float
    reserved: float
    spent: float
    reserved, spent = (claim.amount, charge(claim, outcome)) if hold.granted else (0, 0)
    if settings.unit == "usd":
        left, reserved, spent = round(hold.left / MICRO, 6), reserved / MICRO, spent / MICRO
    else:
        left = round(hold.left, 3)
    before, between, after = _of_the_budget(claim.guard, hold.granted, hold.state, settings.unit, settings.limit)
    return f'{before}{left!r}{between}{hold.retry_after:.3f}{after}{reserved!r},"spent":{spent!r}}}}}'.encode()


@lru_cache(KEPT)
def _of_the_budget(guard: str, granted: bool, state: str, unit: str, limit: int) -> tuple[str, str, str]:
    """What stands before, between and after the numbers."""
    shown = {"unit": unit, "limit": limit / MICRO if unit == "usd" else limit}
    return (
        f'{{"guard":{_text(guard).decode()},"granted":{str(granted).lower()},"left":',
        f',"state":{_text(state).decode()},"retry_after":',
        f',"detail":null,"escalate":false,"budget":{orjson.dumps(shown).decode()[:-1]},"reserved":',
    )


@lru_cache(KEPT)
def _text(text: str) -> bytes:
    """A text in JSON; null for none."""
    return orjson.dumps(text) if text else b"null"


@lru_cache(KEPT)
def _of_the_kind(
    agent: str, roles: tuple[str, ...], tool: str, operation: str, method: str, target: str, grant: str, step: str
) -> bytes:
    shown: dict[str, object] = {
        "agent": agent,
        "roles": roles,
        "tool": tool or None,
        "operation": operation or None,
        "method": method,
        "path": path_of(target),
        "decision": "allow",
        "reason": None,
        "rule": None,
        "detail": None,
        "grant": grant or None,
        "facts": {},
        "amendments": [],
        "why": None,
        "step": step,
        "labels": [],
        "rules": [],
    }
    return orjson.dumps(shown)[1:-1]
