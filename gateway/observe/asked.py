"""What people said of a call, for its record."""

from __future__ import annotations

from typing import Any

from gateway.model import Decision, Findings


def asked(decision: Decision | None, found: Findings) -> dict[str, Any] | None:
    """``approval`` of the record: of the call, else of its result; None where nobody was asked."""
    ruling = found.ruling if decision is None or decision.ruling is None else decision.ruling
    if ruling is None:
        return None
    return {
        "id": ruling.approval or None,
        "verb": ruling.verb or None,
        "by": list(ruling.by),
        "waited_ms": round(ruling.waited * 1e3, 3),
        "edited": ruling.edited is not None,
        "why": ruling.why or None,
    }
