"""What the audit says of a call: who, what, and what was decided; and a commitment to all the rest.

What may be personal (arguments, what the agent says, texts of rules) is not in it. It stands in the call's record of
the trace, masked as that is, and the audit holds a hash of that record with a salt of its own: whoever has the record
and the salt can prove it, and once the salt is gone the hash says nothing of anybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from gateway.model import Permit, Refusal, Trace
from gateway.observe.trace import LONGEST, timestamp

KEYS = (
    *("ts", "call", "agent", "run", "tool", "operation", "decision", "reason", "rule", "grant", "status"),
    *("upstream_status", "fault", "policy_version"),
)
"""Of the call's record, as they stand there."""


def entry_of(trace: Trace) -> dict[str, Any]:
    """The members ``KEYS`` of the record of a call, from its trace."""
    decision, outcome = trace.decision, trace.outcome
    refusal = decision if type(decision) is Refusal else None
    return {
        "ts": timestamp(trace.wall),
        "call": trace.id,
        "agent": None if trace.agent is None else trace.agent.id[:LONGEST],
        "run": trace.run.id or None,
        "tool": trace.tool or None,
        "operation": trace.operation[:LONGEST] or None,
        "decision": None if decision is None else "allow" if refusal is None else "refuse",
        "reason": None if refusal is None else refusal.reason.value,
        "rule": None if refusal is None else refusal.rule or None,
        "grant": (decision.grant or None) if type(decision) is Permit else None,
        "status": outcome.status,
        "upstream_status": outcome.upstream or None,
        "fault": outcome.fault or None,
        "policy_version": trace.policy or None,
    }


def entry_of_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """The same from the record itself."""
    return {key: record.get(key) for key in KEYS}


def commitment(salt: bytes, line: bytes) -> str:
    """What stands for a call's record of the trace: SHA-256 of the salt (16 random bytes) and the record's line, which
    is ``line`` with or without its line feed."""
    return sha256(salt + line.rstrip(b"\n")).hexdigest()
