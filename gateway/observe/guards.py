"""What each guard answered, for the record of a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.cost.charges import MICRO, charge
from gateway.model import BudgetClaim, Hold, Permit, Trace

_LONGEST = 2048
"""Characters kept of what was found."""
_LOOPS = ("near", "repeats", "errors", "pending", "cycle", "stalled", "streak")
_CIRCUITS = ("closed", "half-open", "open", "probe", "held open", "held closed")
_NO_AMOUNT = frozenset((*_LOOPS, *_CIRCUITS))
"""Nothing is used up in these states, and ``left`` tells something else, or nothing."""


def counts(guard: Mapping[str, Any]) -> bool:
    """Whether ``left`` of one of the ``guards`` of a record tells what is left."""
    return guard["state"] not in _NO_AMOUNT


def guard_of(hold: Hold, trace: Trace) -> dict[str, Any]:
    """``{guard, granted, left, state, retry_after, detail, escalate, budget}``."""
    claim = hold.claim
    budget = _budget(hold, claim, trace) if isinstance(claim, BudgetClaim) else None
    micro = budget is not None and budget["unit"] == "usd"
    return {
        "guard": claim.guard,
        "granted": hold.granted,
        "left": round(hold.left / MICRO, 6) if micro else round(hold.left, 3),
        "state": hold.state or None,
        "retry_after": round(hold.retry_after, 3),
        "detail": hold.detail[:_LONGEST] or None,
        "escalate": hold.escalate,
        "budget": budget,
    }


def _budget(hold: Hold, claim: BudgetClaim, trace: Trace) -> dict[str, Any]:
    """What was set aside for the call, and what it came to: nothing where it was not made."""
    made = hold.granted and isinstance(trace.decision, Permit)
    unit, spent = claim.settings.unit, charge(claim, trace.outcome) if made else 0
    scale = MICRO if unit == "usd" else 1
    amounts = {"limit": claim.settings.limit, "reserved": claim.amount if hold.granted else 0, "spent": spent}
    return {"unit": unit} | {name: amount / scale if scale > 1 else amount for name, amount in amounts.items()}
