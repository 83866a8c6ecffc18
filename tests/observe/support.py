"""Traces to record."""

from __future__ import annotations

import time
from collections.abc import Callable

from gateway.model import (
    Agent,
    Call,
    CircuitClaim,
    CircuitSettings,
    Decision,
    Hold,
    Mode,
    Origin,
    Outcome,
    Permit,
    RateClaim,
    Reason,
    Refusal,
    Request,
    Run,
    Spoke,
    Tool,
    Trace,
    Verdict,
)

TOOL = Tool("bank", Origin("http", "127.0.0.1", 7001))
AGENT = Agent("treasurer", ("finance",), "header")
SPOKE = Spoke("payments", "large", Verdict.DENY, Mode.ENFORCE, "too large")
HOLDS = (
    Hold(RateClaim("per-agent", ("per-agent", "treasurer"), 5, 1), True, 3.99951),
    Hold(CircuitClaim("bank", ("bank", "bank"), CircuitSettings()), True, state="half-open"),
)


def request(target: str = "/bank/transfers?token=s3cret") -> Request:
    secret = (b"Authorization", b"Bearer s3cret")
    return Request("POST", target, "1.1", (secret,), {b"authorization": secret[1]}, 10, "127.0.0.1", True)


def permit() -> Permit:
    call = Call(
        "c1", AGENT, Run("r1"), TOOL, "POST /transfers", {"pin": "s3cret"}, {}, request(), "/transfers", "/transfers",
        "token=s3cret", "localhost",
    )  # fmt: skip
    return Permit(call, "payers", HOLDS, (SPOKE,))


def refusal(reason: Reason = Reason.POLICY_DENIED) -> Refusal:
    return Refusal(reason, 403, "no", "payments/large", spoke=(SPOKE,), holds=HOLDS)


def trace(
    decision: Decision | None = None,
    outcome: Outcome = Outcome(201, 201, received=10, sent=20, first_byte=0.03),
    ident: str = "c1",
    target: str = "/bank/transfers?token=s3cret",
    tool: str = "bank",
) -> Trace:
    return Trace(
        ident, 1_700_000_000.1234, 100.0, 100.5, 100.6, 101.0, request(target), AGENT, Run("r1", "00-ab-cd-01"),
        tool, "POST /transfers", "v1", decision, outcome, 0.25,
    )  # fmt: skip


def until(true: Callable[[], bool]) -> None:
    """Wait for the writer's thread, at most five seconds."""
    end = time.monotonic() + 5
    while not true():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.002)
