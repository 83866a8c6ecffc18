"""What people said of calls like this one before. Quiet."""

from __future__ import annotations

from typing import Any

from gateway.approvals.tallies import Tallies, Tally
from gateway.model import Approval


def similar(approval: Approval, tallies: Tallies) -> list[dict[str, Any]]:
    """For each rule that holds it: verdicts on calls of the same operation, of all agents and of this one.

    Each has ``rule``, ``verdicts`` (by verb) and ``agent`` (the same, of this agent's).
    """
    what = (approval.tool, approval.operation)
    return [
        {
            "rule": rule,
            "verdicts": _verbs(tallies.of(rule, *what)),
            "agent": _verbs(tallies.of(rule, *what, approval.agent)),
        }
        for rule in dict.fromkeys(approval.rules)
    ]


def _verbs(tally: Tally | None) -> dict[str, int]:
    return {} if tally is None else {verb: count for verb, count in sorted(tally.verbs.items()) if count}
