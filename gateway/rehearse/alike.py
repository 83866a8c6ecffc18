"""What the checks make of calls that are alike to them: agents make the same few kinds of call many times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.decide.shapes import NOTHING, Check, Judgement
from gateway.model import Call
from gateway.rehearse.needs import PATH, Needs

_MOST = 65_536


class Alike:
    """Asks the checks of a tool once for each agent and operation, or path: a Check, for calls whose ``Need.alike`` is
    not 0, without facts and flaw."""

    def __init__(self, checks: Sequence[Check], needs: Needs) -> None:
        self._checks, self._needs = checks, needs
        self._kept: dict[tuple[Any, ...], Judgement] = {}

    def judge(self, call: Call) -> Judgement:
        agent = call.agent
        path = call.path if self._needs.of(call).alike == PATH else ""
        key = (agent.id, agent.roles, call.operation, call.implied, call.request.method, path)
        kept = self._kept.get(key)
        if kept is None:
            if len(self._kept) >= _MOST:
                self._kept.clear()
            kept = self._kept[key] = self._ask(call)
        return kept

    def _ask(self, call: Call) -> Judgement:
        whole = NOTHING
        for check in self._checks:
            judged = check.judge(call)
            grant, questions = judged.grant or whole.grant, whole.questions + judged.questions
            fields = whole.fields + judged.fields
            whole = Judgement(judged.refusal, questions, whole.spoke + judged.spoke, grant, fields)
            if whole.refusal is not None:
                break
        return whole
