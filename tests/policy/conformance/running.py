"""Runs one conformance case: through the seam that policies go through where it has what the case needs, else through
cel-expr-python itself; what neither can be given is left out, with a reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from cel_expr_python import cel

from gateway.policy.engine import CelEngine, CelError, CelType, EvaluationError
from gateway.policy.engines import load_engine
from tests.policy.conformance.cases import Case, Typed, UnreadableError

SEAM: CelEngine = load_engine("cel-expr-python")


MESSAGES = "messages of protobuf's test files, which policies do not have"
UNCHECKED = "without type check, which the seam always does"


class Ran(NamedTuple):
    """``way`` is seam, engine, or out. ``why`` says why it is not the seam; ``failure`` what is wrong, if anything."""

    way: str
    why: str = ""
    failure: str = ""


def run(case: Case) -> Ran:
    """Run the case the most direct way that it can be run."""
    if case.container or "TestAllTypes" in case.expr:
        return Ran("out", MESSAGES)
    try:
        expected, variables, bound = case.expected, case.variables, case.bindings
    except UnreadableError as error:
        return Ran("out", str(error))
    bindings = {name: plain(value) for name, value in bound.items()}
    if not case.checked:
        return Ran("engine", UNCHECKED, _unchecked(case, expected, bindings))
    return Ran("seam", "", _seam(case, expected, variables, bindings))


def plain(value: Typed) -> Any:
    """The value as the seam binds it and gives it back."""
    if value.kind == "list":
        return [plain(one) for one in value.value]
    if value.kind == "map":
        return {plain(key): plain(one) for key, one in value.value}
    return value.value


def _seam(case: Case, expected: Typed | None, variables: Mapping[str, CelType], bindings: dict[str, Any]) -> str:
    try:
        found = _evaluated(case.expr, variables, bindings)
    except (CelError, EvaluationError) as error:
        return f"error: {error.message}" if expected is not None else ""
    if expected is None:
        return f"gives {found!r} instead of an error"
    if expected.kind == "type":
        same = _evaluated(f"({case.expr}\n) == {expected.value}", variables, bindings)
        return "" if same is True else f"gives another type than {expected.value}"
    if not alike(found, expected):
        return f"gives {found!r} instead of {expected.value!r}"
    static = SEAM.compile(case.expr, variables).type.name
    if static == "dyn" and expected.kind in ("int", "uint", "double"):
        same = _evaluated(f"type({case.expr}\n) == {expected.kind}", variables, bindings)
        return "" if same is True else f"gives another kind of number than {expected.kind}"
    return "" if static in ("dyn", expected.kind) else f"gives a {static} instead of a {expected.kind}"


def _evaluated(expr: str, variables: Mapping[str, CelType], bindings: dict[str, Any]) -> Any:
    return SEAM.compile(expr, variables).evaluate(SEAM.activation(bindings))


def _unchecked(case: Case, expected: Typed | None, bindings: dict[str, Any]) -> str:
    environment = cel.NewEnv(variables=dict.fromkeys(case.variables, cel.Type.DYN))
    try:
        value = environment.compile(case.expr, disable_check=True).eval(environment.Activation(bindings))
    except RuntimeError as error:
        return f"error: {error}" if expected is not None else ""
    found, kind = value.plain_value(), value.type().name().partition("<")[0].lower()
    if expected is None:
        return "" if kind == "error" else f"gives {found!r} instead of an error"
    if kind != expected.kind:
        return f"gives {kind} {found!r} instead of {expected.kind}"
    if kind == "type":
        return "" if str(found).lower() == expected.value else f"gives type {found}"
    return "" if alike(found, expected) else f"gives {found!r} instead of {expected.value!r}"


def alike(found: Any, expected: Typed) -> bool:
    """Whether a plain value is the expected one: of that type, and NaN is NaN."""
    value = expected.value
    if expected.kind == "list":
        return isinstance(found, list) and len(found) == len(value) and all(map(alike, found, value))
    if expected.kind == "map":
        wanted = {plain(key): one for key, one in value}
        return (
            isinstance(found, dict)
            and found.keys() == wanted.keys()
            and all(alike(found[key], one) for key, one in wanted.items())
        )
    if expected.kind == "double":
        same = isinstance(found, float) and (found == value or (math.isnan(found) and math.isnan(value)))
        return (same and math.copysign(1.0, found) == math.copysign(1.0, value)) or (same and math.isnan(value))
    if expected.kind == "bytes":
        return isinstance(found, bytes | bytearray) and bytes(found) == value
    return type(found) is type(value) and found == value
