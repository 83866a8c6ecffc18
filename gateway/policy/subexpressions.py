"""What each part of a condition came to for one call: the condition as a tree, with what each part gives.

Engines tell one value for a whole expression. Here it is taken apart where people take it apart: at ``&&``, ``||``,
``!`` and ``?:``, at comparisons, at what calls are made with, and at the variables of the policy; and each part is
evaluated for itself. For explanations only: it compiles every part.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from gateway.policy.engine import EXPANDED_CAP, CelEngine, CelError, CelType, EvaluationError
from gateway.policy.syntax import Expr, parse
from gateway.policy.tokens import LOOPS, Token, expand, tokenize

MOST_PARTS = 400
"""Parts of one condition; what comes after that is not taken apart."""

JOINTS = {"&&": "and", "||": "or", "!x": "not", "?:": "choice"}
"""Operators between conditions, by their kind of part."""
_UNSPLIT = frozenset({"has", "default"})
"""Macros, whose arguments mean nothing alone: a field may be missing there."""


class Part(Struct, frozen=True):
    """A sub-expression. ``kind`` is and, or, not, choice, variable (``variables.x`` alone, with its expression as the
    one part), constant, or value: all else. ``value`` is plain Python; it counts only where ``error`` is empty.

    ``parts`` are its own sub-expressions as they stand, without constants except between conditions. ``key`` is the
    text with its variables written out: the same for parts that mean the same.
    """

    kind: str
    text: str
    key: str
    value: Any = None
    error: str = ""
    parts: tuple[Part, ...] = ()


class Dissection:
    """Takes the conditions of one policy apart, for one call.

    ``known`` are the variables of the rule's phase, ``variables`` the policy's own by name, as they are written and in
    their order, and ``activation`` what the engine made of the call. ``lacking`` says of an expression (variables
    written out) what it would need that is not there, as an error for it: ``the record lacks args``; empty where there
    is nothing. Conditions that are joined to such a one may still be known: ``false && unknown`` is false.
    """

    def __init__(
        self,
        engine: CelEngine,
        known: Mapping[str, CelType],
        variables: Mapping[str, str],
        activation: Any,
        lacking: Callable[[str], str] = lambda _: "",
    ) -> None:
        self._engine, self._known, self._activation, self._lacking = engine, known, activation, lacking
        self._variables = variables
        self._texts: dict[str, str] = {}
        for name, text in variables.items():
            self._texts[name] = expand(text, self._texts)
        self._values: dict[str, tuple[Any, str] | None] = {}
        self._left = 0

    def of(self, source: str) -> Part:
        """The condition and its parts. One that cannot be read, or not be evaluated by itself, has none."""
        self._left = MOST_PARTS
        return self._whole(source) or Part("value", source, source, error="cannot be evaluated by itself")

    def _whole(self, source: str) -> Part | None:
        expr, tokens = parse(source), tokenize(source)
        if expr is None:
            return self._part("value", source.strip(), ())
        return self._of(expr, source, tokens)

    def _of(self, expr: Expr, source: str, tokens: list[Token]) -> Part | None:
        """The part that a node is; None where it is none by itself."""
        self._left -= 1
        text = _text(expr, source, tokens)
        if _constant(expr):
            return self._part("constant", text, ())
        own = _own_variable(expr)
        if own in self._variables and self._left > 0:
            definition = self._whole(self._variables[own])
            kind = "variable" if _is_just(expr) else "value"
            return self._part(kind, text, () if definition is None else (definition,))
        kind = JOINTS.get(expr.name, "value") if expr.kind == "op" else "value"
        below = _below(expr) if self._left > 0 else ()
        found = [self._of(one, source, tokens) for one in below if kind != "value" or not _constant(one)]
        parts = tuple([part for part in found if part is not None])
        if len(parts) < len(found) or not parts:
            kind = "value"  # a joint is one only with all that it joins
        return self._part(kind, text, parts)

    def _part(self, kind: str, text: str, parts: tuple[Part, ...]) -> Part | None:
        try:
            key = expand(text, self._texts)
        except CelError:
            return None
        if why := self._lacking(key):
            value = _settled(kind, parts)
            return Part(kind, text, key, value, why if value is None else "", parts)
        if key not in self._values:
            self._values[key] = self._evaluated(key)
        found = self._values[key]
        return None if found is None else Part(kind, text, key, *found, parts)

    def _evaluated(self, key: str) -> tuple[Any, str] | None:
        try:
            program = self._engine.compile(key, self._known, EXPANDED_CAP)
        except CelError:
            return None
        try:
            return program.evaluate(self._activation), ""
        except EvaluationError as error:
            return None, error.message


def _settled(kind: str, parts: tuple[Part, ...]) -> bool | None:
    """What joined conditions come to although not all are known; None where that depends on those."""
    known = [part.value if isinstance(part.value, bool) and not part.error else None for part in parts]
    if kind in ("and", "or"):
        decisive = kind == "or"
        if decisive in known:
            return decisive
        return None if None in known else not decisive
    if kind == "variable":
        return known[0] if known else None
    if kind == "not":
        return None if known[0] is None else not known[0]
    if kind == "choice" and known[0] is not None:
        return known[1] if known[0] else known[2]
    return None


def _below(expr: Expr) -> tuple[Expr, ...]:
    """The nodes that say something by themselves: not what a loop asks of each item, nor the steps to a field."""
    if expr.kind == "call" and expr.name in _UNSPLIT:
        return ()
    if expr.kind == "method" and expr.name in LOOPS:
        return expr.args[:1]
    if expr.kind in ("select", "index"):
        operand, *keys = expr.args
        behind = _below(operand) if operand.kind in ("select", "index", "name") else (operand,)
        return (*behind, *keys)
    return expr.args


def _constant(expr: Expr) -> bool:
    """Whether it is written out: a literal, or a list or map of such."""
    if expr.kind in ("list", "map") or (expr.kind == "op" and expr.name == "-x"):
        return all(_constant(one) for one in expr.args)
    return expr.kind == "literal"


def _own_variable(expr: Expr) -> str:
    """``x`` of ``variables.x``, and of what is selected from that; empty for anything else."""
    while expr.kind in ("select", "index"):
        if _is_just(expr):
            return expr.name
        if expr.kind == "index" and not _constant(expr.args[1]):
            return ""
        expr = expr.args[0]
    return ""


def _is_just(expr: Expr) -> bool:
    """Whether it is ``variables.x`` and nothing more."""
    return expr.kind == "select" and expr.args[0].kind == "name" and expr.args[0].name == "variables"


def _text(expr: Expr, source: str, tokens: list[Token]) -> str:
    """The node's text. Its span leaves out brackets around its first and last operand; those are brought back."""
    first = bisect_left(tokens, expr.start, key=lambda token: token.start)
    last = bisect_left(tokens, expr.end, key=lambda token: token.start)
    depth = lowest = 0
    for token in tokens[first:last]:
        if token.kind == "mark" and token.text in "([{":
            depth += 1
        elif token.kind == "mark" and token.text in ")]}":
            depth -= 1
            lowest = min(lowest, depth)
    start, end = tokens[first + lowest].start, tokens[last - 1 + depth - lowest].end
    return source[start:end]
