"""What a call that was made comes to, in the unit of a budget."""

from __future__ import annotations

from math import ceil

from gateway.model import BudgetClaim, Outcome

MICRO = 1_000_000
"""Micro-dollars in a US dollar."""

MOST = 1 << 48
"""More than any call comes to. A tool that tells absurd counts, or an agent that asks for absurdly much, must not make
an amount which a store cannot write: nothing else would be written then."""


def charge(claim: BudgetClaim, outcome: Outcome) -> int:
    """Micro-dollars (rounded up), tokens or calls. What nobody knows counts as all that was reserved."""
    return min(_came_to(claim, outcome), MOST)


def _came_to(claim: BudgetClaim, outcome: Outcome) -> int:
    if outcome.unsent:
        return 0
    if claim.settings.unit == "calls":
        return claim.amount
    usage = outcome.found.usage
    spent = _usd(outcome) if claim.settings.unit == "usd" else _tokens(outcome)
    if spent is not None and usage is not None and usage.estimated:
        return max(spent, claim.amount)
    if spent is not None:
        return spent
    # Errors of providers cost nothing; an answer that never came, or broke off unread, may have cost anything.
    return 0 if usage is None and outcome.upstream >= 400 else claim.amount


def _usd(outcome: Outcome) -> int | None:
    # What a float lacks to a whole micro-dollar (0.1 + 0.2) is no reason to charge another one.
    return None if outcome.cost_usd is None else ceil(round(outcome.cost_usd * MICRO, 6))


def _tokens(outcome: Outcome) -> int | None:
    usage = outcome.found.usage
    return None if usage is None else usage.input_tokens + usage.output_tokens
