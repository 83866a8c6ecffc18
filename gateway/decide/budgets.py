"""Budgets: what a call can cost at most is reserved before it is made, and settled by what it came to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import structs

from gateway.cost.bounds import MICRO, affordable, dearest, read_at_most
from gateway.cost.pricer import Pricer, asks_nothing
from gateway.decide.budgets_text import cut_text, refusal_of
from gateway.decide.memo import OF_THE_KIND, ClaimMemo, Prepared
from gateway.errors import Refused
from gateway.model import Agent, BudgetClaim, Call, Claim, Extent, Findings, Hold, Reason, Refusal
from gateway.policy.book import PolicyBook
from gateway.policy.governors import CompiledBudget

SHORTEST = 256
"""Tokens below which no answer is shortened to fit what is left of a budget: it would be of no use."""

SHORT = "short"

Shorten = Callable[[Call, int], Call]
Look = Callable[[Sequence[Claim], float], Sequence[Hold]]

UNBOUNDED: Mapping[str, float] = {
    "budget.remaining_usd": 1e12,
    "budget.remaining_tokens": 1 << 53,
    "budget.remaining_calls": 1 << 53,
}
"""What rules read as left where no budget of that unit counts the call."""


class Budgets:
    """Claims the most that a call can cost from every budget that counts it.

    ``pricer`` prices the tool's calls; ``models``: the tool is the API of models. ``shorten`` gives a call the answer
    to which is bounded to so many tokens (see ``LlmReader.shorten``); without it, a claim is all or nothing.
    """

    def __init__(
        self, book: PolicyBook, pricer: Pricer | None = None, *, models: bool = False, shorten: Shorten | None = None
    ) -> None:
        self._book, self._pricer, self._models, self._shorten = book, pricer, models, shorten
        self._memo = ClaimMemo(self._of_the_kind)
        self._cutting = False
        """Whether a budget that has counted calls cuts answers."""

    def claims(self, call: Call) -> tuple[Claim, ...]:
        """One claim for each budget and unit.

        Raises:
            Refused: 403 UNPRICED, nobody can say what the call costs, and a hard budget counts it.
        """
        return self._own(self._counting(call), call)

    def of_the_kind(self, call: Call) -> Prepared:
        """What adds to the claims of the kind what a call can cost; see ``claims``."""
        kinds = self._memo.of_the_kind(call)
        if not isinstance(kinds, tuple):
            return None
        return partial(self._own, _budgets_in(kinds)) if kinds else ()

    def _own(self, kinds: Sequence[BudgetClaim], call: Call) -> tuple[Claim, ...]:
        found: list[Claim] = []
        amounts: dict[str, tuple[int | None, int]] = {}
        for kind in kinds:
            settings = kind.settings
            unit = settings.unit
            if unit not in amounts:
                amounts[unit] = self._amount(call, unit)
            amount, least = amounts[unit]
            if amount is None and settings.hard:
                raise unbounded(call, kind.guard, unit)
            if amount:
                found.append(BudgetClaim(kind.guard, kind.key, call.id, amount, settings, least))
        return tuple(found)

    def _amount(self, call: Call, unit: str) -> tuple[int | None, int]:
        """What the call can cost at most, and where its answer is made as short as is of use; None where nobody can
        say."""
        if unit == "calls":
            return 1, 0
        if unit == "tokens":
            most = self._tokens(call)
        elif self._pricer is not None:
            most = self._pricer.bound(call)
        else:
            most = 0
        if most is None or call.extent is None or self._shorten is None:
            return most, 0
        return most, self._least(call, call.extent, unit, most)

    def _tokens(self, call: Call) -> int | None:
        if call.extent is not None:
            rates = self._pricer.rates(call) if self._pricer is not None else ()
            return read_at_most(call.extent, rates) + call.extent.output
        return None if self._models and not asks_nothing(call.request) else 0

    def _least(self, call: Call, extent: Extent, unit: str, most: int) -> int:
        shortest = (SHORTEST + extent.besides) * extent.answers
        if extent.output <= shortest:
            return 0
        less = structs.replace(extent, output=shortest)
        if unit == "tokens":
            return most - extent.output + less.output
        rates = self._pricer.rates(call) if self._pricer is not None else ()
        return most - dearest(extent, rates) + dearest(less, rates)

    def _usd(self, call: Call, extent: Extent) -> int:
        return dearest(extent, self._pricer.rates(call)) if self._pricer is not None else 0

    def fit(self, call: Call, holds: Sequence[Hold]) -> Call:
        """The call with its answer bounded to what was granted, where that is less than was asked for.

        Raises:
            Refused: the request cannot be brought under that bound.
        """
        extent = call.extent
        if extent is None or self._shorten is None:
            return call
        short = [hold.claim for hold in holds if hold.state == SHORT and isinstance(hold.claim, BudgetClaim)]
        if not short:
            return call
        afforded = min(self._afforded(call, extent, claim) for claim in short)
        return self._shorten(call, afforded // extent.answers - extent.besides)

    def _afforded(self, call: Call, extent: Extent, claim: BudgetClaim) -> int:
        if claim.settings.unit == "tokens":
            return claim.amount - (self._tokens(call) or 0) + extent.output
        if self._pricer is None:
            return extent.output
        besides = (self._pricer.bound(call) or 0) - self._usd(call, extent)
        return affordable(extent, self._pricer.rates(call), claim.amount - besides)

    def cuts(self, holds: Sequence[Hold]) -> bool:
        """Whether an answer is cut where it comes to cost more than these holds have set aside."""
        return self._cutting and any(isinstance(hold.claim, BudgetClaim) and hold.claim.settings.cut for hold in holds)

    def beyond(self, call: Call, holds: Sequence[Hold], found: Findings) -> Refusal | None:
        """A refusal where an answer has come to cost more than was reserved of a budget that cuts it."""
        usage = found.usage
        if usage is None:
            return None
        for hold in holds:
            claim = hold.claim
            if isinstance(claim, BudgetClaim) and claim.settings.cut:
                tokens = usage.input_tokens + usage.output_tokens
                usd = self._pricer.tokens(call, usage).usd if self._pricer is not None else None
                spent = tokens if claim.settings.unit == "tokens" else (usd or 0.0) * MICRO
                if spent > claim.amount and claim.settings.unit != "calls":
                    return cut_text(claim)
        return None

    def remaining(self, call: Call, look: Look, now: float) -> Call:
        """The call, and each of its parts, with what is left of the budgets that count it, as rules read it."""
        if call.parts:
            return structs.replace(call, parts=tuple([self.remaining(part, look, now) for part in call.parts]))
        claims = [BudgetClaim(kind.guard, kind.key, call.id, 0, kind.settings) for kind in self._counting(call)]
        facts: dict[str, Any] = {**call.facts, **UNBOUNDED}
        for hold in look(claims, now) if claims else ():
            if isinstance(hold.claim, BudgetClaim):
                unit, left = hold.claim.settings.unit, max(0, int(hold.left))
                name = f"budget.remaining_{unit}"
                facts[name] = min(facts[name], left / MICRO if unit == "usd" else left)
        return structs.replace(call, facts=facts)

    def _counting(self, call: Call) -> list[BudgetClaim]:
        """A claim without call and amount for each budget that counts the call, once for each unit."""
        return _budgets_in(self._memo.of(call))

    def _of_the_kind(self, call: Call) -> tuple[tuple[Claim, ...], bool]:
        """The same for all calls of one kind."""
        budgets = [
            budget
            for budget in self._book.governors(CompiledBudget, call.tool.name, call.operation, implied=call.implied)
            if budget.counts(call)
        ]
        claims: list[Claim] = []
        for budget in budgets:
            name, *parts = budget.key(call)
            claims += [BudgetClaim(budget.name, (name, each.unit, *parts), "", 0, each) for each in budget.settings]
            self._cutting = self._cutting or any(each.cut for each in budget.settings)
        return tuple(claims), all(budget.references <= OF_THE_KIND for budget in budgets)

    def refusal(self, hold: Hold) -> Refusal:
        """Worded in ``budgets_text.py``."""
        return refusal_of(hold)


def _budgets_in(claims: Sequence[Claim]) -> list[BudgetClaim]:
    return [claim for claim in claims if isinstance(claim, BudgetClaim)]


def unbounded(call: Call, budget: str, unit: str) -> Refused:
    """The refusal of a call of which nobody can say what it costs at most."""
    model = call.facts.get("llm.model", "")
    what = (
        f"no price is known for model {str(model)[:200]!r}" if call.extent is not None else "what it asks is not known"
    )
    return Refused(
        Reason.UNPRICED,
        403,
        f"budget {budget!r} counts {unit}, and nobody can say what this call costs: {what}",
        "ask for a model that has a price, by an endpoint that is known, or have the platform's operators add a price",
        rule=f"budget/{budget}",
    )


def default_bound(book: PolicyBook, agent: Agent, tool: str, operation: str) -> int:
    """The tokens to which an answer without a bound is held: the least that a budget of dollars or tokens says which
    counts the agent's calls; 0 where there is none."""
    bounds = [
        budget.max_tokens
        for budget in book.governors(CompiledBudget, tool, operation)
        if budget.names(agent) and any(settings.unit != "calls" for settings in budget.settings)
    ]
    return min(bounds, default=0)
