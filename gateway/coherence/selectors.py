"""Expressions of a memory: CEL over a call and its answer, of which most only name a member and need no engine."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from gateway.coherence.answers import MISSING, Said, headers
from gateway.model import UNREAD, Answered, Call
from gateway.policy.engine import BOOL, DYN, INT, STRING_MAP, CelEngine, CelError, CelType, EvaluationError, Program
from gateway.policy.variables import TYPES, VARIABLES

NO_PATH: Mapping[str, str] = {}
_MEMBER = re.compile(r"(args|path|result|entry)((?:\.[A-Za-z_][A-Za-z0-9_]*)*)")
ASKED: Mapping[str, CelType] = {**TYPES, "path": STRING_MAP}
"""Variables of the call: those of rules, and the values of the {names} in the operation."""
TOLD: Mapping[str, CelType] = {
    "result": DYN,
    "response.status": INT,
    "response.isError": BOOL,
    "response.headers": STRING_MAP,
}
"""Variables of its answer."""


class About(Struct, frozen=True):
    """What an expression is evaluated on."""

    call: Call
    path: Mapping[str, str] = NO_PATH
    answered: Answered | None = None
    said: Said = Said()
    entry: Any = MISSING


def _args(about: About) -> Any:
    args = {} if about.call.args is UNREAD else about.call.args
    return {**args, **about.path} if about.path else args


_READERS: Mapping[str, Callable[[About], Any]] = {
    "args": _args,
    "path": lambda about: about.path,
    "result": lambda about: about.said.value,
    "entry": lambda about: about.entry,
    "response.status": lambda about: MISSING if about.answered is None else about.answered.status,
    "response.isError": lambda about: about.said.failed,
    "response.headers": lambda about: MISSING if about.answered is None else headers(about.answered),
}


class Selector:
    """One expression, compiled."""

    def __init__(self, source: str, engine: CelEngine, variables: Mapping[str, CelType]) -> None:
        """``variables`` are those that may be read here. Raises CelError: it cannot be used."""
        self.source = source.strip()
        program = engine.compile(source, variables)
        self.type, self.references = program.type, program.references
        found = _MEMBER.fullmatch(self.source)
        self.member: tuple[str, ...] = () if found is None else (found[1], *found[2].split(".")[1:])
        """The variable and the members below it, where that is all that the expression is."""
        self._program: Program = program
        self._engine = engine

    def of(self, about: About) -> Any:
        """Its value as plain Python; MISSING where it has none."""
        member = self.member
        if member:
            if len(member) == 2 and member[0] == "args" and member[1] in about.path:
                return about.path[member[1]]
            return self._followed(_READERS[member[0]](about))
        bindings = {}
        for name in self.references:
            reader = _READERS.get(name)
            value = VARIABLES[name].read(about.call) if reader is None else reader(about)
            if value is not MISSING:
                bindings[name] = value
        try:
            return self._program.evaluate(self._engine.activation(bindings))
        except EvaluationError:
            return MISSING

    def _followed(self, value: Any) -> Any:
        for name in self.member[1:]:
            if not isinstance(value, Mapping) or name not in value:
                return MISSING
            value = value[name]
        return value

    def needs_args(self, named: frozenset[str]) -> bool:
        """Whether the call's arguments must be read for it; not for one that is ``named`` in the path anyway."""
        if "args" not in self.references:
            return False
        return len(self.member) < 2 or self.member[1] not in named

    @property
    def of_answer(self) -> bool:
        """Whether only the answer tells its value."""
        return not self.references.isdisjoint(("result", "entry", "response.status", "response.headers"))


def condition(source: str, engine: CelEngine, variables: Mapping[str, CelType]) -> Selector:
    """An expression that is true or false.

    Raises:
        CelError: it is neither, or cannot be used.
    """
    selector = Selector(source, engine, variables)
    if selector.type not in (BOOL, DYN):
        raise CelError(f"it must be true or false, not {selector.type}")
    return selector
