"""How a call failed: by the caller's own fault, by the tool's, or so that nobody knows. Quiet."""

from __future__ import annotations

import re
from enum import Enum

from gateway.model import Outcome

PASSING = frozenset({408, 409, 423, 425, 429})
"""Statuses of the 4xx that say nothing against the call: it may succeed later (RFC 9110, 4918, 8470, 6585)."""


_PASSING_WORDS = re.compile(
    r"too many requests|rate[ -]limited|rate[ -]?limit (was |has been |is )?(exceeded|reached|hit)"
    r"|(temporarily|currently|service) (unavailable|overloaded)|server is (busy|overloaded)|overloaded_error"
    r"|bad gateway|gateway time-?out|connection (was |has been )?(reset|aborted|timed out)|econnreset|etimedout"
    r"|(request|connect|read|upstream|gateway|server|socket|network) (has )?timed out|deadline exceeded"
    r"|(try|retry) (again )?(later|shortly|after \d|in \d|in a (moment|minute|while|few))"
    r"|\b(http|status|status code|error|error code)[ :=(]{1,3}(429|502|503|504)\b",
    re.IGNORECASE,
)
"""What tools write of troubles that pass, and hardly of calls that are wrong. "timeout" alone is as often the name of
an argument, and a command that times out does so again."""


class Ended(Enum):
    """How a call that was made has ended."""

    WELL = "well"
    FAULT = "fault"
    """The caller's: the same call will fail again."""
    TROUBLE = "trouble"
    """The tool's: the same call may succeed later."""
    PASSING = "passing"
    """A result that says that it failed, in words of a trouble that passes: the same call may succeed later, if what a
    tool writes is true."""
    UNKNOWN = "unknown"
    """Its agent left before the end, or the gateway cut it, or nothing is known of it."""


def ended(outcome: Outcome, *, by_result: bool) -> Ended:
    """How a call has ended, by status and by who broke it off.

    ``by_result``: a result that says that it failed speaks of the call (MCP ``isError``); otherwise it is the tool that
    broke down while it answered (a model's stream that ends in an error).
    """
    status = outcome.upstream
    if 0 < status < 400 and not outcome.fault and not outcome.found.is_error:
        return Ended.WELL
    if outcome.fault == "tool" or status >= 500 or status in PASSING:
        return Ended.TROUBLE
    if outcome.fault:
        return Ended.UNKNOWN
    if status >= 400:
        return Ended.FAULT
    if not outcome.found.is_error:
        return Ended.UNKNOWN
    if not by_result:
        return Ended.TROUBLE
    return Ended.PASSING if _PASSING_WORDS.search(outcome.found.complaint) else Ended.FAULT


def result_of(outcome: Outcome, how: Ended) -> str:
    """What tells one result from another; empty where that is not known (an answer that nobody has read)."""
    if how is Ended.WELL:
        return outcome.found.digest or ("" if outcome.sent else "nothing")
    return "" if how is Ended.UNKNOWN else f"{outcome.upstream} {outcome.found.digest}"
