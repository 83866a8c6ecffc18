"""The nouns. Frozen and free of I/O; every other room speaks in these.

They are ``msgspec.Struct`` rather than frozen dataclasses because several are made for every call: a frozen
dataclass of eight fields costs about 0.9 us to make, a frozen Struct about 0.1 us, with the same guarantees.
"""

from gateway.model.accounts import Account, Balance, Draw, Drawn, Entry, Lease, Want
from gateway.model.calls import NO_FACTS, UNREAD, Agent, Call, Decision, Extent, Permit, Request, Route, Run
from gateway.model.claims import (
    BudgetClaim,
    BudgetSettings,
    CircuitClaim,
    CircuitSettings,
    Claim,
    Hold,
    LoopClaim,
    LoopSettings,
    PoolClaim,
    PoolSettings,
    RateClaim,
    RetryClaim,
    RetrySettings,
    RunClaim,
    RunSettings,
    SlotClaim,
)
from gateway.model.outcomes import NOTHING_FOUND, Answered, Findings, Outcome, Proposal, Trace, Usage
from gateway.model.reasons import SAFE_METHODS, Mode, Reason, Verdict
from gateway.model.tools import Caps, Fields, Origin, Timeouts, Tool
from gateway.model.verdicts import Quarantine, Question, Refusal, Spoke

__all__ = [
    "NOTHING_FOUND",
    "NO_FACTS",
    "SAFE_METHODS",
    "UNREAD",
    "Account",
    "Agent",
    "Answered",
    "Balance",
    "BudgetClaim",
    "BudgetSettings",
    "Call",
    "Caps",
    "CircuitClaim",
    "CircuitSettings",
    "Claim",
    "Decision",
    "Draw",
    "Drawn",
    "Entry",
    "Extent",
    "Fields",
    "Findings",
    "Hold",
    "Lease",
    "LoopClaim",
    "LoopSettings",
    "Mode",
    "Origin",
    "Outcome",
    "Permit",
    "PoolClaim",
    "PoolSettings",
    "Proposal",
    "Quarantine",
    "Question",
    "RateClaim",
    "Reason",
    "Refusal",
    "Request",
    "RetryClaim",
    "RetrySettings",
    "Route",
    "Run",
    "RunClaim",
    "RunSettings",
    "SlotClaim",
    "Spoke",
    "Timeouts",
    "Tool",
    "Trace",
    "Usage",
    "Verdict",
    "Want",
]
