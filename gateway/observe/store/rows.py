"""What of a record is indexed: one row a call, made from its trace on the calls' side, or from the record itself.

The row says nothing that the record does not say (a test holds the two to each other), so a store can always be built
again from the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from gateway.model import NOTHING_FOUND, Permit, Refusal, Spoke, Trace
from gateway.observe.placing import placed
from gateway.observe.targets import path_of
from gateway.observe.trace import LONGEST

COLUMNS = (
    *("ms", "call", "agent", "run", "tree_agent", "tree_run", "tool", "operation", "decision", "reason", "rule"),
    *("status", "upstream_status", "fault", "is_error", "cost_usd", "total_ms", "trace_id", "implied"),
)
"""``ms`` is arrival in milliseconds since the epoch; ``tree_*`` is the run at the root of the tree, or the run itself;
the others are as in the record."""

Said = tuple[str, str, str, str]
"""Policy, rule, verdict and mode of a rule that spoke."""


class Stored(Struct, frozen=True):
    """One record to be stored: its line, the values of ``COLUMNS``, the rules that spoke, and the text that is searched
    (None: what ``writing.FOUND_TEXT`` finds in the line)."""

    line: bytes
    values: tuple[Any, ...]
    said: tuple[Said, ...] = ()
    text: str | None = None


def stored(trace: Trace, line: bytes, *, usual: bool = False) -> Stored:
    """What is stored of a trace; ``line`` is its record, as it was encoded for the log, ``usual`` whether it is a
    ``lines.usual_line`` that keeps nothing: then there is nothing in it to search but what was called."""
    decision, outcome, run = trace.decision, trace.outcome, trace.run
    refusal = decision if type(decision) is Refusal else None
    found = outcome.found
    agent = None if trace.agent is None else trace.agent.id[:LONGEST] or None
    run_id = run.id or None
    tree_agent, tree_run = (run.root[0], run.root[1] or None) if run.root else (agent, run_id)
    second, fraction = divmod(trace.wall, 1.0)
    call = decision.call if type(decision) is Permit else trace.call
    spoke = () if decision is None else decision.spoke + found.spoke
    values = (
        int(second) * 1000 + int(fraction * 1e3),
        trace.id,
        agent,
        run_id,
        tree_agent,
        tree_run,
        trace.tool or None,
        trace.operation[:LONGEST] or None,
        None if decision is None else "allow" if refusal is None else "refuse",
        None if refusal is None else refusal.reason.value,
        None if refusal is None else refusal.rule or None,
        outcome.status,
        outcome.upstream or None,
        outcome.fault or None,
        None if found is NOTHING_FOUND else found.is_error,
        outcome.cost_usd,
        round((trace.ended - trace.began) * 1e3, 3),
        placed(trace)["trace_id"],
        call is not None and call.implied,
    )
    text = f"{trace.operation} {path_of(trace.request.target)}" if usual else None
    return Stored(line, values, tuple([_said(one) for one in spoke]) if spoke else (), text)


def stored_record(record: Mapping[str, Any], line: bytes) -> Stored:
    """The same of a record that was read from a log.

    Raises:
        ValueError: it is no record of a call.
    """
    try:
        instant = datetime.fromisoformat(record["ts"])
        agent, run = record.get("agent") or None, record.get("run") or None
        root = record.get("root") or {"agent": agent, "run": run}
        values = (
            int(instant.timestamp()) * 1000 + instant.microsecond // 1000,
            record["call"],
            agent,
            run,
            root["agent"],
            root["run"],
            record.get("tool") or None,
            record.get("operation") or None,
            record.get("decision"),
            record.get("reason") or None,
            record.get("rule") or None,
            record.get("status", 0),
            record.get("upstream_status"),
            record.get("fault") or None,
            record.get("is_error"),
            record.get("cost_usd"),
            (record.get("timings") or {}).get("total_ms", 0.0),
            record.get("trace_id"),
            bool(record.get("implied")),
        )
        said = [(one["policy"], one["rule"], one["verdict"], one["mode"]) for one in record.get("rules") or ()]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no record of a call: {error!r}") from None
    return Stored(line, values, tuple(said))


def _said(spoke: Spoke) -> Said:
    return spoke.policy, spoke.rule, spoke.verdict.value, spoke.mode.value
