"""What a condition that is true, or false, says of fields: that they are there, and may be read."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from gateway.policy.syntax import Expr, text_of

Path = tuple[str, ...]
Paths = frozenset[Path]
NONE: Paths = frozenset()


class Source(Struct, frozen=True):
    """An expression that was read: its text, its tree, and the variable that it is, or empty."""

    text: str
    tree: Expr
    variable: str = ""


def dotted(expr: Expr) -> Path:
    """The names of ``a.b.c``; empty for a selection from anything but a name."""
    names: list[str] = []
    while expr.kind == "select":
        names.append(expr.name)
        expr = expr.args[0]
    return (expr.name, *reversed(names)) if expr.kind == "name" else ()


def paths_of(expr: Expr) -> Paths:
    """The path of ``a.b.c`` and of all that it goes through."""
    names = dotted(expr)
    return frozenset(names[:length] for length in range(2, len(names) + 1))


def facts(expr: Expr, source: Source, variables: Mapping[str, Source], *, true: bool) -> Paths:
    """The fields that are there where ``expr``, a part of ``source``, is true (or false)."""
    if expr.kind == "op" and expr.name == "!x":
        return facts(expr.args[0], source, variables, true=not true)
    if expr.kind == "op" and expr.name in ("&&", "||"):
        told = [facts(arg, source, variables, true=true) for arg in expr.args]
        every = (expr.name == "&&") == true
        return NONE.union(*told) if every else told[0].intersection(*told[1:])
    if expr.kind == "select" and expr.args[0].kind == "name" and expr.args[0].name == "variables":
        variable = variables.get(expr.name)
        return facts(variable.tree, variable, variables, true=true) if variable is not None else NONE
    if not true:
        return NONE
    if expr.kind == "call" and expr.name == "has" and len(expr.args) == 1:
        return paths_of(expr.args[0])
    if expr.kind == "op" and expr.name == "in":
        key, path = text_of(source.text, expr.args[0]), dotted(expr.args[1])
        return frozenset({(*path, key)}) if key is not None and path else NONE
    return NONE
