"""The nouns. Frozen and free of I/O; every other room speaks in these.

They are ``msgspec.Struct`` rather than frozen dataclasses because several are made for every call: a frozen
dataclass of eight fields costs about 0.9 us to make, a frozen Struct about 0.1 us, with the same guarantees.
"""

from gateway.model.calls import NO_FACTS, UNREAD, Agent, Call, Decision, Permit, Request, Route, Run
from gateway.model.claims import CircuitClaim, CircuitSettings, Claim, Hold, RateClaim, SlotClaim
from gateway.model.outcomes import NOTHING_FOUND, Answered, Findings, Outcome, Proposal, Trace, Usage
from gateway.model.reasons import SAFE_METHODS, Mode, Reason, Verdict
from gateway.model.tools import Caps, Fields, Origin, Timeouts, Tool
from gateway.model.verdicts import Question, Refusal, Spoke

__all__ = [
    "NOTHING_FOUND",
    "NO_FACTS",
    "SAFE_METHODS",
    "UNREAD",
    "Agent",
    "Answered",
    "Call",
    "Caps",
    "CircuitClaim",
    "CircuitSettings",
    "Claim",
    "Decision",
    "Fields",
    "Findings",
    "Hold",
    "Mode",
    "Origin",
    "Outcome",
    "Permit",
    "Proposal",
    "Question",
    "RateClaim",
    "Reason",
    "Refusal",
    "Request",
    "Route",
    "Run",
    "SlotClaim",
    "Spoke",
    "Timeouts",
    "Tool",
    "Trace",
    "Usage",
    "Verdict",
]
