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
    if outcome.unsent:
        return 0
    unit, usage = claim.settings.unit, outcome.found.usage
    if unit == "calls":
        return min(claim.amount, MOST)
    spent = _usd(outcome) if unit == "usd" else _tokens(outcome)
    if spent is None:
        # Errors of providers cost nothing; an answer that never came, or broke off unread, may have cost anything.
        spent = 0 if usage is None and outcome.upstream >= 400 else claim.amount
    elif usage is not None and usage.estimated and spent < claim.amount:
        spent = claim.amount
    return min(spent, MOST)


def _usd(outcome: Outcome) -> int | None:
    # What a float lacks to a whole micro-dollar (0.1 + 0.2) is no reason to charge another one.
    return None if outcome.cost_usd is None else ceil(round(outcome.cost_usd * MICRO, 6))


def _tokens(outcome: Outcome) -> int | None:
    usage = outcome.found.usage
    return None if usage is None else usage.input_tokens + usage.output_tokens
