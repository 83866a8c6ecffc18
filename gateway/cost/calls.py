"""The price that an operator gives to a tool's calls: a number, or a CEL expression over the call and its answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from gateway.model import Call, Outcome, Usage
from gateway.policy.engine import (
    BOOL,
    DOUBLE,
    DYN,
    DYN_MAP,
    INT,
    UINT,
    CelEngine,
    CelError,
    CelType,
    EvaluationError,
    Program,
)
from gateway.policy.variables import TYPES, Binder, bind, binder


class Priced(Struct, frozen=True):
    """US dollars, or None where nothing has a price; and what a reader of the record should know of it."""

    usd: float | None = None
    notes: tuple[str, ...] = ()


_UNREAD = object()


def _result(outcome: Outcome) -> Any:
    return _UNREAD if outcome.found.result is None else outcome.found.result


def _tokens(read: Callable[[Usage], int]) -> Callable[[Outcome], Any]:
    return lambda outcome: _UNREAD if outcome.found.usage is None else read(outcome.found.usage)


ANSWER: Mapping[str, tuple[CelType, Callable[[Outcome], Any]]] = {
    "result": (DYN_MAP, _result),
    "response.status": (INT, lambda outcome: outcome.upstream),
    "response.isError": (BOOL, lambda outcome: outcome.found.is_error),
    "usage.input_tokens": (INT, _tokens(lambda usage: usage.input_tokens)),
    "usage.output_tokens": (INT, _tokens(lambda usage: usage.output_tokens)),
}
"""Variables of the answer that a price may read, beside those of the request. What was not read is left unbound, so
that a price which needs it fails instead of charging for nothing."""

_ANSWER_TYPES = {name: kind for name, (kind, _) in ANSWER.items()}


class CallPrice:
    """US dollars for one call of a tool.

    ``references`` are the variables that the price reads: ``args`` means that the body must be read, ``result`` that
    the answer must be kept.
    """

    def __init__(self, fixed: float, program: Program | None = None, engine: CelEngine | None = None) -> None:
        self._fixed = Priced(fixed)
        self._program, self._engine = program, engine
        self.references = program.references if program is not None else frozenset[str]()
        self._asked: Binder = binder(self.references - ANSWER.keys())
        self._answered = [(name, ANSWER[name][1]) for name in sorted(self.references & ANSWER.keys())]

    def price(self, call: Call, outcome: Outcome) -> Priced:
        """What one call costs. Never raises: where the expression gives no price, there is none, and a note why."""
        if self._program is None or self._engine is None:
            return self._fixed
        bindings = bind(self._asked, call)
        for name, read in self._answered:
            if (value := read(outcome)) is not _UNREAD:
                bindings[name] = value
        try:
            value = self._program.evaluate(self._engine.activation(bindings))
        except EvaluationError as error:
            return Priced(None, (f"no cost: the expression failed: {error.message}{_hint(error.message)}",))
        return _checked(value)


def compile_price(cost: float | str, engine: CelEngine) -> CallPrice:
    """The price from the configuration: US dollars for each call, or CEL that gives them.

    Raises:
        CelError: the expression cannot be used; its place is inside the expression.
        ValueError: the number is no price.
    """
    if not isinstance(cost, str):
        if not (math.isfinite(cost) and cost >= 0):
            raise ValueError(f"a cost is a number of US dollars from 0 upwards, not {cost}")
        return CallPrice(float(cost))
    program = engine.compile(cost, {**TYPES, **_ANSWER_TYPES})
    if program.type not in (INT, UINT, DOUBLE, DYN):
        raise CelError(
            f"a cost is a number of US dollars, but this gives {program.type}",
            hint="give a number, such as 0.002 * double(size(args.documents))",
        )
    return CallPrice(0.0, program, engine)


def _checked(value: Any) -> Priced:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Priced(None, (f"no cost: the expression gave {type(value).__name__}, not a number",))
    usd = float(value)  # CEL's integers have 64 bits, so this cannot overflow
    if not math.isfinite(usd) or usd < 0:
        return Priced(None, (f"no cost: the expression gave {usd}, which is no price",))
    return Priced(usd)


def _hint(message: str) -> str:
    """CEL does not multiply a whole number by a fraction, and JSON's numbers may be either."""
    return "; numbers of different kinds? write double(x)" if "overload" in message else ""
