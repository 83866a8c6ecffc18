"""What rules and guards say of a call."""

from __future__ import annotations

from msgspec import Struct

from gateway.model.claims import Hold
from gateway.model.reasons import Mode, Reason, Verdict
from gateway.model.tools import Fields


class Spoke(Struct, frozen=True):
    """One rule that had something to say of a call."""

    policy: str
    rule: str
    verdict: Verdict
    mode: Mode
    message: str = ""
    error: str = ""
    """Set where the expression could not be evaluated; the verdict then follows the policy's failurePolicy."""
    label: str = ""
    """With the verdict LABEL: what the run is marked with."""
    fields: tuple[str, ...] = ()
    """With the verdict REDACT: paths of what is masked (``args.password``)."""
    annotations: tuple[tuple[str, str], ...] = ()
    outside: bool = False
    """The mode is AUDIT since the call lies outside of the policy's rollout."""


class Refusal(Struct, frozen=True):
    """Why a call does not run, and what the agent should do. ``rule`` is ``policy/rule`` or a guard's name."""

    reason: Reason
    status: int
    detail: str
    rule: str = ""
    retry_after: float = 0.0
    retryable: bool = False
    advice: str = ""
    spoke: tuple[Spoke, ...] = ()
    holds: tuple[Hold, ...] = ()
    fields: Fields = ()
    """Extra response fields (RateLimit, WWW-Authenticate)."""


class Question(Struct, frozen=True):
    """What a human is asked before the call may run."""

    rule: str
    text: str
