"""Grants: who may call what at all. What no grant names is refused."""

from __future__ import annotations

from gateway.decide.shapes import Judgement
from gateway.model import Call, Reason, Refusal
from gateway.policy.book import PolicyBook


class Grants:
    """Refuses every call that no grant allows."""

    def __init__(self, book: PolicyBook) -> None:
        self._book = book
        self._allowed: dict[str, Judgement] = {}

    def judge(self, call: Call) -> Judgement:
        grant = self._book.grant(call.agent, call.tool.name, call.operation)
        if grant is None and call.implied:
            grant = self._book.any_grant(call.agent, call.tool.name)
        if grant is None:
            return Judgement(
                Refusal(
                    Reason.NOT_GRANTED,
                    403,
                    f"no grant lets agent {call.agent.id!r} call {call.operation[:200]!r} on tool {call.tool.name!r}",
                    "grants",
                    advice="do not retry; use a tool and an operation that you were granted",
                )
            )
        allowed = self._allowed.get(grant)
        if allowed is None:
            allowed = self._allowed[grant] = Judgement(grant=grant)
        return allowed
