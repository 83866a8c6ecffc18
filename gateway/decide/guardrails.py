"""Guardrails: which classifiers are asked about a call, and about its result, since rules read what they say."""

from __future__ import annotations

from gateway.model import Call
from gateway.policy.book import PolicyBook


class Guardrails:
    """What rules ask. Each method gives names, and whether a rule that is enforced reads what that one says."""

    def __init__(self, book: PolicyBook) -> None:
        self._book = book

    def of_call(self, call: Call) -> dict[str, bool]:
        """Before the call is decided: for rules of the phases request and proposal."""
        tool, operation = call.tool.name, call.operation
        asked = self._book.rules(tool, operation, implied=call.implied).guardrails(call)
        proposed = self._book.proposals(tool, operation).guardrails(call)
        return {name: asked.get(name, False) or must for name, must in {**asked, **proposed}.items()}

    def of_result(self, call: Call) -> dict[str, bool]:
        """Once the result is here: for rules of the phase response."""
        return self._book.results(call.tool.name, call.operation, implied=call.implied).guardrails(call)
