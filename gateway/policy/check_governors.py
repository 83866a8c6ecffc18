"""Warnings of what documents that govern resources ask for and can never do."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gateway.model import Tool
from gateway.policy.complaints import Complaints
from gateway.policy.misnamed import ENDPOINTS
from gateway.policy.schema_governors import Budget, Pool

_UNREACHED = "unreached-rule"


def check_budget(
    index: int, model: Budget, tools: Sequence[Tool], priced: Collection[str] | None, complaints: Complaints
) -> None:
    """Warn where none of the ``tools`` that the budget matches spends anything of what it bounds. ``priced`` are names
    of tools whose calls have a cost; None: that is not known."""
    names = ", ".join(tool.name for tool in tools)
    if not tools or any(tool.protocol in ENDPOINTS for tool in tools):
        return
    if model.spec.tokens is not None:
        message = f"the budget never counts a token: none of {names} is a model"
        hint = f"bound calls, or match tools with protocol: {' or '.join(ENDPOINTS)}"
        complaints.warning(index, ("spec", "tokens"), message, hint, _UNREACHED)
    if model.spec.usd is not None and priced is not None and not any(tool.name in priced for tool in tools):
        message = f"the budget never counts a dollar: no call of {names} costs anything"
        complaints.warning(index, ("spec", "usd"), message, "give the tools a cost, or bound calls", _UNREACHED)


def check_pool(index: int, model: Pool, tools: Sequence[Tool], complaints: Complaints) -> None:
    """Warn of calls that have nothing to be charged by, and of shares that an earlier one leaves no agents."""
    others = [tool.name for tool in tools if tool.protocol not in ENDPOINTS]
    if model.spec.charge == "tokens" and others:
        message = f"calls of {', '.join(others)} have no tokens to count: each is charged the same"
        hint = "write charge: seconds, or match only models"
        complaints.warning(index, ("spec", "charge"), message, hint, _UNREACHED)
    everybody = next((number for number, share in enumerate(model.spec.shares) if "*" in share.agents), None)
    if everybody is not None and everybody + 1 < len(model.spec.shares):
        message = "the share is nobody's: the first that names an agent counts, and one before it names all"
        hint = "put the share of all agents last"
        complaints.warning(index, ("spec", "shares", everybody + 1), message, hint, _UNREACHED)
