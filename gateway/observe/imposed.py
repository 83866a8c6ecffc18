"""What a call has put under quarantine, by a rule that spoke or by the guard that refused it, for its record."""

from __future__ import annotations

from typing import Any

from gateway.model import Decision, Findings, Refusal

NONE: list[dict[str, Any]] = []


def imposed(decision: Decision | None, found: Findings) -> list[dict[str, Any]]:
    """``{scope, by, seconds}`` of each; 0 seconds are until it is lifted."""
    if decision is None:
        return NONE
    told = {}
    if isinstance(decision, Refusal) and decision.quarantine:
        told[decision.quarantine, decision.rule or decision.reason.value] = decision.seconds
    if decision.spoke or found.spoke:
        for said in (*decision.spoke, *found.spoke):
            if said.imposes:
                told.setdefault((said.quarantine, f"{said.policy}/{said.rule}"), said.seconds)
    return [{"scope": scope, "by": by, "seconds": seconds} for (scope, by), seconds in told.items()] if told else NONE
