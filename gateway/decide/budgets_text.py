"""What agents are told of budgets: refusals, what is left, warnings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from gateway.model import BudgetClaim, BudgetSettings, Hold, Reason, Refusal

SOON = 60.0
"""Seconds that an agent is asked to wait at most; SDKs that are told to wait repeat the call by themselves."""

_AWAY = 5.0
"""Seconds after which a store that is away may be back."""


def refusal_of(hold: Hold) -> Refusal:
    """Why a budget does not let a call through, and what helps."""
    claim = hold.claim
    if not isinstance(claim, BudgetClaim):
        raise TypeError(f"not a claim on a budget: {claim!r}")
    rule = f"budget/{claim.guard}"
    if hold.state == "unavailable":
        what = f"budget {claim.guard!r} cannot be asked now: the store that keeps it is away"
        return Refusal(Reason.STATE_UNAVAILABLE, 503, what, rule, _AWAY, True, f"call again in {_AWAY:g} s")
    settings = claim.settings
    left, limit = (amount_text(amount, settings.unit) for amount in (max(0, int(hold.left)), settings.limit))
    most = amount_text(claim.amount, settings.unit)
    detail = f"budget {claim.guard!r} has {left} left of {limit} {_per(settings)}; this call can cost up to {most}"
    soon = 0 < hold.retry_after <= SOON
    return Refusal(
        Reason.BUDGET_EXHAUSTED,
        429 if soon else 402,
        detail,
        rule,
        hold.retry_after if soon else 0.0,
        soon,
        _advice(claim, hold, soon=soon),
    )


def cut_text(claim: BudgetClaim) -> Refusal:
    """Why an answer ends before its end."""
    most = amount_text(claim.amount, claim.settings.unit)
    return Refusal(
        Reason.BUDGET_EXHAUSTED,
        402,
        f"the answer has come to cost more than the {most} that budget {claim.guard!r} had set aside for it",
        f"budget/{claim.guard}",
        advice="use what you have of the answer; ask for less at a time",
    )


def _advice(claim: BudgetClaim, hold: Hold, *, soon: bool) -> str:
    settings = claim.settings
    if claim.amount > settings.limit:
        return "no budget ever covers this call: make one that costs less; of a model ask for less, with a lower bound"
    cheaper = settings.unit != "calls" and hold.left > 0
    if soon:
        return f"wait {hold.retry_after:.0f} s, then call again{', or make a call that costs less' if cheaper else ''}"
    ends = f"; {'something of it comes back' if settings.window == 'rolling' else 'it is renewed'} at {hold.detail}"
    instead = "make one that costs less, or finish with what you have" if cheaper else "finish with what you have"
    return f"do not repeat this call; {instead}{ends if hold.detail else ''}"


def amount_text(amount: int, unit: str) -> str:
    """An amount as people read it: ``0.25 USD``, ``4096 tokens``, ``1 call``."""
    if unit == "usd":
        return f"{usd(amount)} USD"
    return f"{amount} {unit[:-1] if amount == 1 else unit}"


def usd(amount: int) -> str:
    """Micro-dollars as dollars: ``12.34``, ``0.000001``."""
    whole, rest = divmod(abs(amount), 1_000_000)
    digits = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if amount < 0 else ''}{whole}.{digits}"


def _per(settings: BudgetSettings) -> str:
    if settings.window == "rolling":
        return f"in {settings.seconds:g} s"
    return "in total" if settings.window == "total" else f"for the {settings.window}"


@lru_cache(1024)
def _around(budget: str, unit: str, limit: int) -> tuple[str, str]:
    """What stands before and after what is left."""
    shown = usd(limit) if unit == "usd" else str(limit)
    return f'X-Toolgate-Budget: "{budget}";unit={unit};left=', f";limit={shown}\r\n"


def told(holds: Sequence[Hold]) -> bytes:
    """Field lines of an answer: what is left of each budget that counted the call, and warnings of those that are
    nearly spent."""
    lines = ""
    for hold in holds:
        claim = hold.claim
        if type(claim) is not BudgetClaim:
            continue
        settings, left = claim.settings, int(hold.left)
        if left < 0:
            left = 0
        before, after = _around(claim.guard, settings.unit, settings.limit)
        lines += f"{before}{usd(left) if settings.unit == 'usd' else left}{after}"
        if hold.state:
            lines += f"X-Toolgate-Warning: {_warning(claim, hold)}\r\n"
    return lines.encode()


def _warning(claim: BudgetClaim, hold: Hold) -> str:
    settings = claim.settings
    left, limit = amount_text(max(0, int(hold.left)), settings.unit), amount_text(settings.limit, settings.unit)
    said = f"budget {claim.guard}: {left} of {limit} is left {_per(settings)}"
    return f"{said}; the answer was made shorter to fit" if hold.state == "short" else said
