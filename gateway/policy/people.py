"""Who may decide: CEL over a person and the agent whose call it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.policy.engine import BOOL, STRING, STRINGS, CelEngine, CelError, CelType, EvaluationError, Program

PEOPLE: Mapping[str, CelType] = {
    "approver.id": STRING,
    "approver.roles": STRINGS,
    "agent.id": STRING,
    "agent.roles": STRINGS,
}
"""The variables of such an expression."""


class People:
    """Asks such expressions. They are kept as text with each approval, so they are compiled when they are asked."""

    def __init__(self, engine: CelEngine) -> None:
        self._engine = engine
        self._programs: dict[str, Program | None] = {}

    def may(self, who: str, approver: str, roles: Sequence[str], agent: str, agent_roles: Sequence[str]) -> bool:
        """Whether the expression is true of them. False where it cannot be evaluated: fail closed. An empty one is true
        of everybody."""
        if not who:
            return True
        program = self._compiled(who)
        if program is None:
            return False
        activation = self._engine.activation(
            {
                "approver.id": approver,
                "approver.roles": list(roles),
                "agent.id": agent,
                "agent.roles": list(agent_roles),
            }
        )
        try:
            return program.evaluate(activation) is True
        except EvaluationError:
            return False

    def _compiled(self, who: str) -> Program | None:
        if who not in self._programs:
            if len(self._programs) >= 1024:
                self._programs.clear()
            try:
                program = self._engine.compile(who, PEOPLE)
                self._programs[who] = program if program.type == BOOL else None
            except CelError:
                self._programs[who] = None
        return self._programs[who]
