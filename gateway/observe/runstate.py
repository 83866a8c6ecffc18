"""Runs as state machines: in which state its calls leave a run (with all that it led to), and which of them did.

Quiet: the same calls give the same states. The order of calls is that in which they ended, as in the record; a call
that was under way already when its run was stopped says nothing of what came after, so only one that arrived later
sets the run going again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct

from gateway.model import Reason, Refusal, Trace
from gateway.observe.imposed import imposed


class RunState(StrEnum):
    """What a run is doing, as far as its calls tell."""

    ACTIVE = "active"
    WAITING = "waiting for a human"
    THROTTLED = "throttled"
    LOOPING = "looping"
    OUT_OF_BUDGET = "out of budget"
    QUARANTINED = "quarantined"
    FINISHED = "finished"
    """It has made no calls for ``IDLE``, and nothing stopped it: agents do not say when a run is over."""


IDLE = 300.0
"""Seconds without a call after which an active run counts as finished."""

_STOPPED: Mapping[str, RunState] = {
    Reason.LOOP_DETECTED: RunState.LOOPING,
    Reason.REPEATED_FAILURE: RunState.LOOPING,
    Reason.RATE_LIMITED: RunState.THROTTLED,
    Reason.CONCURRENCY_LIMITED: RunState.THROTTLED,
    Reason.QUEUE_TIMEOUT: RunState.THROTTLED,
    Reason.RETRY_BUDGET_EXHAUSTED: RunState.THROTTLED,
    Reason.BUDGET_EXHAUSTED: RunState.OUT_OF_BUDGET,
    Reason.RUN_LIMITED: RunState.OUT_OF_BUDGET,
    Reason.QUARANTINED: RunState.QUARANTINED,
    Reason.APPROVAL_REQUIRED: RunState.WAITING,
    Reason.APPROVAL_PENDING: RunState.WAITING,
    Reason.RESULT_PENDING: RunState.WAITING,
}
_OF_THE_RUN = frozenset({"run", "agent"})
"""What of a call, where it is quarantined, stops its run."""
_OF_A_TOOL = "this tool is quarantined"
"""How the detail of a refusal begins where it is the tool that may not be called."""


class Ended(Struct, frozen=True):
    """What a call says of its run's state. Times are seconds since the epoch."""

    call: str
    began: float
    ended: float
    decision: str = ""
    """allow, refuse, or empty where the agent left before there was one."""
    reason: str = ""
    rule: str = ""
    """The rule or guard that refused it, or that put its run under quarantine."""
    stops: bool = False
    """It put its run, or its agent, under quarantine."""


class Transition(Struct, frozen=True):
    """From one state to another, and why. ``call`` is empty where it was silence."""

    at: float
    before: str
    """Empty at the first call."""
    after: str
    call: str = ""
    reason: str = ""
    rule: str = ""


class Standing(Struct):
    """Where a run stands: its state, since when, and when its last call ended."""

    state: RunState
    since: float
    last: float


def step(standing: Standing | None, one: Ended) -> tuple[Standing, tuple[Transition, ...]]:
    """Where the run stands after one more call has ended, and the transitions to there."""
    last = one.ended if standing is None else max(standing.last, one.ended)
    idle: tuple[Transition, ...] = ()
    if standing is not None and standing.state is RunState.ACTIVE and one.began > standing.last + IDLE:
        standing, idle = settled(standing, one.began)
    after = _after(standing, one)
    if standing is not None and after is standing.state:
        return Standing(after, standing.since, last), idle
    before = "" if standing is None else standing.state.value
    moved = Transition(one.ended, before, after.value, one.call, one.reason, one.rule)
    return Standing(after, one.ended, last), (*idle, moved)


def settled(standing: Standing, now: float) -> tuple[Standing, tuple[Transition, ...]]:
    """Where the run stands at a time after its last call."""
    over = standing.last + IDLE
    if standing.state is not RunState.ACTIVE or now <= over:
        return standing, ()
    gone = Transition(over, standing.state.value, RunState.FINISHED.value)
    return Standing(RunState.FINISHED, over, standing.last), (gone,)


def history(calls: Iterable[Ended], now: float) -> tuple[RunState, tuple[Transition, ...]]:
    """The state of a run at ``now``, and how it came there; ``calls`` in the order in which they ended."""
    standing: Standing | None = None
    found: list[Transition] = []
    for one in calls:
        standing, moved = step(standing, one)
        found += moved
    if standing is None:
        return RunState.FINISHED, ()
    standing, moved = settled(standing, now)
    return standing.state, (*found, *moved)


def _after(standing: Standing | None, one: Ended) -> RunState:
    stopped = RunState.QUARANTINED if one.stops else _STOPPED.get(one.reason)
    if standing is None:
        return stopped or RunState.ACTIVE
    if standing.state is RunState.FINISHED:
        return stopped or RunState.ACTIVE
    if standing.state is RunState.QUARANTINED and stopped is not RunState.QUARANTINED:
        # Only a call that was let through shows that the quarantine is over.
        over = one.decision == "allow" and one.began > standing.since
        return stopped or RunState.ACTIVE if over else standing.state
    if stopped is not None:
        return stopped
    return RunState.ACTIVE if one.decision and one.began > standing.since else standing.state


def ended_of(trace: Trace) -> Ended:
    """What a trace says."""
    decision = trace.decision
    by = [one["by"] for one in imposed(decision, trace.outcome.found) if one["scope"] in _OF_THE_RUN]
    refusal = decision if isinstance(decision, Refusal) else None
    told = "" if decision is None else "allow" if refusal is None else "refuse"
    reason = "" if refusal is None else _reason(refusal.reason.value, refusal.detail)
    rule = (refusal.rule if refusal is not None else "") or (by[0] if by else "")
    ended = trace.wall + (trace.ended - trace.began)
    return Ended(trace.id, trace.wall, ended, told, reason, rule, bool(by))


def ended_in(record: Mapping[str, Any]) -> Ended:
    """The same of a record."""
    began = datetime.fromisoformat(record["ts"]).timestamp()
    ended = began + ((record.get("timings") or {}).get("total_ms") or 0.0) / 1e3
    by = [one["by"] for one in record.get("quarantines") or () if one["scope"] in _OF_THE_RUN]
    reason = _reason(record.get("reason") or "", record.get("detail") or "")
    rule = record.get("rule") or (by[0] if by else "")
    return Ended(record["call"], began, ended, record.get("decision") or "", reason, rule, bool(by))


def _reason(reason: str, detail: str) -> str:
    """The reason as far as it says something of the run: a tool that is quarantined does not."""
    return "" if reason == Reason.QUARANTINED and detail.startswith(_OF_A_TOOL) else reason
