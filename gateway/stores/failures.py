"""How a call failed: by the caller's own fault, by the tool's, or so that nobody knows. Quiet."""

from __future__ import annotations

from enum import Enum

from gateway.model import Outcome

PASSING = frozenset({408, 409, 423, 425, 429})
"""Statuses of the 4xx that say nothing against the call: it may succeed as it is, later (RFC 9110, 4918, 8470, 6585)."""


class Ended(Enum):
    """How a call that was made has ended."""

    WELL = "well"
    FAULT = "fault"
    """The caller's: the same call will fail again."""
    TROUBLE = "trouble"
    """The tool's: the same call may succeed later."""
    UNKNOWN = "unknown"
    """Its agent left before the end, or the gateway cut it."""


def ended(outcome: Outcome) -> Ended:
    """How a call has ended, by status, by who broke it off, and by what the result says of itself."""
    status, failed = outcome.upstream, outcome.found.is_error
    if outcome.fault == "tool" or status >= 500 or status in PASSING:
        return Ended.TROUBLE
    if outcome.fault:
        return Ended.UNKNOWN
    return Ended.FAULT if status >= 400 or failed else Ended.WELL


def result_of(outcome: Outcome, how: Ended) -> str:
    """What tells one result from another; empty where that is not known (an answer that nobody has read)."""
    if how is Ended.UNKNOWN:
        return ""
    digest = outcome.found.digest
    if how is Ended.WELL and not digest and outcome.sent:
        return ""
    return f"{how.value} {outcome.upstream} {digest}"
