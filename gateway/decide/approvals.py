"""On which terms a call waits for a person: those of every document that is for it, the strictest of each."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import structs

from gateway.model import DEFAULT_TERMS, Call, Question, Terms
from gateway.policy.book import PolicyBook
from gateway.policy.engine import EvaluationError
from gateway.policy.governors import CompiledApproval
from gateway.policy.variables import bind, binder

MOST_IMPACT = 1e15


class Asks:
    """Terms of approvals, by one version of the policies."""

    def __init__(self, book: PolicyBook) -> None:
        self._book = book

    def terms(self, call: Call, questions: Sequence[Question]) -> Terms:
        """The terms on which these questions about the call wait. What no document says is as by default; times are
        those of the first that says them."""
        found = self._book.governors(CompiledApproval, call.tool.name, call.operation, implied=call.implied)
        rules = [question.rule for question in questions]
        mine = [document for document in found if document.names(call.agent, rules)]
        return self._merged(call, mine) if mine else DEFAULT_TERMS

    def _merged(self, call: Call, documents: Sequence[CompiledApproval]) -> Terms:
        usual = DEFAULT_TERMS
        attention = next((each.attention for each in documents if each.attention is not None), usual.attention)
        whos = [f"({each.who})" for each in documents if each.who]
        timeouts = {each.timeout for each in documents if each.timeout is not None}
        terms = Terms(
            " ".join([each.name for each in documents]),
            _first([each.hold for each in documents], usual.hold),
            _first([each.expires for each in documents], usual.expires),
            _first([each.valid for each in documents], usual.valid),
            max([each.approvers or 1 for each in documents]),
            " && ".join(whos),
            "allow" if timeouts == {"allow"} else "deny",
            tuple(dict.fromkeys([channel for each in documents for channel in each.notify])),
            tuple(sorted([step for each in documents for step in each.escalate], key=lambda step: step.after)),
            attention,
            max([self._impact(call, each) for each in documents]),
            max([each.canary for each in documents]),
        )
        return structs.replace(terms, hold=min(terms.hold, terms.expires))

    def _impact(self, call: Call, document: CompiledApproval) -> float:
        """What is at stake; as much as can be where that cannot be told, so that it is looked at first."""
        if document.impact is None:
            return DEFAULT_TERMS.impact
        activation = self._book.engine.activation(bind(binder(document.impact.references), call))
        try:
            value = document.impact.evaluate(activation)
        except EvaluationError:
            return MOST_IMPACT
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return MOST_IMPACT
        return min(max(float(value), 0.0), MOST_IMPACT)


def _first(values: Sequence[float | None], usual: float) -> float:
    return next((value for value in values if value is not None), usual)
