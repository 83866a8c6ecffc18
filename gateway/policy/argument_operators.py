"""Operators between values of known shapes: what never fits, and what CEL does not compute.

Measured of both engines: numbers of all kinds compare with each other in cel-expr-python, and an int does not compare
with a double in cel-python; in neither do they add up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

from msgspec import Struct

from gateway.policy.argument_facts import Source
from gateway.policy.argument_shapes import NUMBERS, Shape
from gateway.policy.hints import nearest
from gateway.policy.syntax import Expr, text_of

Code = Literal["unknown", "near", "optional", "type", "numbers", "word"]

_WORDS = {"map": "an object", "list": "a list", "string": "text", "int": "a whole number", "uint": "a whole number"}
_WORDS |= {"double": "a number", "number": "a number", "bool": "true or false", "null": "null", "bytes": "bytes"}


class Finding(Struct, frozen=True):
    """One doubt. ``at`` is its offset in the text of ``where``: a variable's name, or empty for the expression itself.
    ``name`` is what it is about; ``known`` are the names that exist instead."""

    code: Code
    where: str
    at: int
    name: str
    message: str = ""
    hint: str = ""
    known: tuple[str, ...] = ()


def _found(source: Source, code: Code, at: int, name: str, message: str, hint: str) -> Finding:
    return Finding(code, source.variable, at, name, message, hint)


def compared(source: Source, expr: Expr, left: Shape, right: Shape, *, strict: bool) -> Iterator[Finding]:
    """What is doubtful about ``==``, ``<`` and the like. ``strict``: an int does not compare with a double."""
    if not left.kinds or not right.kinds:
        return
    if {"null"} in (left.kinds, right.kinds) and expr.name in ("==", "!="):
        return
    if not _meet(left, right):
        outcome = "it fails" if expr.name[0] in "<>" else f"it is always {str(expr.name == '!=').lower()}"
        sides = _sides(source, expr, left, right)
        yield _found(source, "type", expr.at, expr.name, f"{sides}: {outcome}", _convert(source, expr, left, right))
    elif strict and _mixed(left, right):
        yield _mixing(source, expr, left, right, "compare")
    elif left.words and (said := text_of(source.text, expr.args[1])) is not None:
        yield from _word(source, said, left, expr.args[1].at, expr.args[0])
    elif right.words and (said := text_of(source.text, expr.args[0])) is not None:
        yield from _word(source, said, right, expr.args[0].at, expr.args[1])


def _word(source: Source, said: str, shape: Shape, at: int, of: Expr) -> Iterator[Finding]:
    if said not in shape.words:
        what = source.text[of.start : of.end]
        near = nearest(said, shape.words)
        hint = f"did you mean {near}?" if near else f"it is one of {', '.join(sorted(shape.words)[:12])}"
        yield _found(source, "word", at, said, f"{what} is never {said!r}", hint)


def member(source: Source, expr: Expr, left: Shape, right: Shape) -> Iterator[Finding]:
    """What is doubtful about ``in``."""
    if not right.kinds:
        return
    if not right.kinds & {"list", "map"}:
        text = source.text[expr.args[1].start : expr.args[1].end]
        hint = f"write {text}.contains(...)" if right.kinds == {"string"} else "write a list in [ ]"
        yield _found(source, "type", expr.at, "in", f"{text} is {told(right)}: nothing can be in it", hint)
    elif right.kinds == {"list"} and right.items is not None:
        items = right.items.shape
        if left.kinds and items.kinds and not _meet(left, items):
            message = f"{_sides(source, expr, left, items, 'a list of ')}: it is always false"
            yield _found(source, "type", expr.at, "in", message, _convert(source, expr, left, items))
        for item in expr.args[1].args if left.words else ():
            if (said := text_of(source.text, item)) is not None:
                yield from _word(source, said, left, item.at, expr.args[0])


def computed(source: Source, expr: Expr, shapes: Sequence[Shape]) -> Iterator[Finding]:
    """What is doubtful about ``+``, ``*`` and the like."""
    for left, right in pairwise(shapes):
        if not left.kinds or not right.kinds:
            continue
        if not _meet(left, right):
            hint = _convert(source, expr, left, right)
            yield _found(source, "type", expr.at, expr.name, f"{_sides(source, expr, left, right)}: it fails", hint)
            return
        if _mixed(left, right):
            yield _mixing(source, expr, left, right, "compute")


def _mixing(source: Source, expr: Expr, left: Shape, right: Shape, what: str) -> Finding:
    number = expr.args[0] if left.kinds != {"double"} and expr.args[0].kind != "literal" else expr.args[-1]
    text = source.text[number.start : number.end]
    one, other = (left, right) if number is expr.args[0] else (right, left)
    arrives = "as an int or a double, as it is written" if "number" in one.kinds else f"as {_type(one)}"
    message = f"{text} arrives {arrives}, and CEL does not {what} it with {_type(other)}"
    return _found(source, "numbers", expr.at, expr.name, message, f"write double({text}), and numbers beside it as 1.0")


def _sides(source: Source, expr: Expr, left: Shape, right: Shape, before: str = "") -> str:
    first, second = [source.text[arg.start : arg.end][:60] for arg in (expr.args[0], expr.args[-1])]
    if expr.args[-1].kind == "list":
        second = "what stands in the list"
        before = ""
    return f"{first} is {told(left)}, and {second} is {before}{told(right)}"


def _meet(left: Shape, right: Shape) -> bool:
    """Whether some value can be in both; numbers of all kinds are alike."""
    return bool(left.kinds & right.kinds) or bool(left.kinds & NUMBERS and right.kinds & NUMBERS)


def _mixed(left: Shape, right: Shape) -> bool:
    """Whether an int may meet a double. Two fields that are numbers may as well be of one kind: not told."""
    if not (left.kinds <= NUMBERS and right.kinds <= NUMBERS):
        return False
    return left.kinds != right.kinds


def told(shape: Shape) -> str:
    """What a shape is, in words."""
    words = sorted({_WORDS[one] for one in shape.kinds if one != "null"} or {"null"})
    return " or ".join(words) + (f" ({shape.note})" if shape.note else "")


def _type(shape: Shape) -> str:
    return {"int": "an int", "double": "a double", "uint": "a uint"}.get(next(iter(shape.kinds)), "a number")


def _convert(source: Source, expr: Expr, left: Shape, right: Shape) -> str:
    """How to make the two sides alike."""
    for shape, arg, other in ((left, expr.args[0], right), (right, expr.args[-1], left)):
        text = source.text[arg.start : arg.end][:60]
        if arg.kind == "literal" and shape.kinds == {"string"} and other.kinds <= NUMBERS:
            return f"write {text.strip(chr(34) + chr(39))} without quotes"
        if arg.kind == "literal" and shape.kinds <= NUMBERS and other.kinds == {"string"} and not other.note:
            return f'write "{text}" in quotes'
        if shape.kinds == {"string"} and shape.note and other.kinds <= NUMBERS:
            return f"write double({text})"
    return ""
