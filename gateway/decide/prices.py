"""Models without a price: refused where the operator says so, since nobody could say what they cost."""

from __future__ import annotations

from gateway.cost.pricer import Pricer
from gateway.decide.shapes import NOTHING, Judgement
from gateway.model import Call


class Unpriced:
    """Refuses calls that have no price."""

    def __init__(self, pricer: Pricer) -> None:
        self._pricer = pricer

    def judge(self, call: Call) -> Judgement:
        refusal = self._pricer.admits(call)
        return NOTHING if refusal is None else Judgement(refusal)
