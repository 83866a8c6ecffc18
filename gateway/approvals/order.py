"""The order of the inbox: approvals by the value of a look, as this gateway's formula has it and its samples tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf, isfinite

from gateway.approvals.attention import AttentionBudgets
from gateway.approvals.priority import Factors, factors
from gateway.approvals.tallies import Tallies
from gateway.model import Approval
from gateway.policy.engine import CelEngine, EvaluationError, Program
from gateway.policy.priorities import compile_priority

Connected = Callable[[str], bool]
"""Whether an agent is held on the line for the approval with this id."""


class Order:
    """Puts approvals in order. ``adopt`` a formula, or None for the usual one."""

    def __init__(self, tallies: Tallies, attention: AttentionBudgets, connected: Connected) -> None:
        self._tallies, self._attention, self._connected = tallies, attention, connected
        self._engine: CelEngine | None = None
        self._program: Program | None = None

    def adopt(self, formula: str | None, engine: CelEngine) -> None:
        """Order by this formula from now on.

        Raises:
            CelError: it does not compile, or gives no number.
        """
        self._program = None if formula is None else compile_priority(formula, engine)
        self._engine = engine

    def factors(self, approval: Approval, now: float) -> Factors:
        """What the value of a look at it is made of."""
        known = self._tallies.known(approval)
        return factors(approval, now, known, connected=self._connected(approval.id))

    def value(self, approval: Approval, now: float) -> float:
        """The value of a look at it; infinite where the formula fails on it, so that it is looked at first."""
        found = self.factors(approval, now)
        if self._program is None or self._engine is None:
            return found.value
        activation = self._engine.activation({name: getattr(found, name) for name in self._program.references})
        try:
            value = self._program.evaluate(activation)
        except EvaluationError:
            return inf
        return float(value) if isinstance(value, int | float) and isfinite(value) else inf

    def ranked(self, approvals: Iterable[Approval], now: float, approver: str = "") -> list[Approval]:
        """Those first that are worth a look most; last what this person has seen enough of, for an hour."""
        valued = [(self._place(each, now, approver), each.id, each) for each in approvals]
        return [each for _, _, each in sorted(valued, key=lambda one: one[:2])]

    def _place(self, approval: Approval, now: float, approver: str) -> tuple[bool, float]:
        tired = bool(approver) and self._attention.tired(approver, approval.terms.attention, now)
        return tired, -self.value(approval, now)
