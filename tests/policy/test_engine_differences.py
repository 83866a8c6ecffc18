"""Where the two engines differ (docs/engines.md): the table is kept exact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.policy.engine import CelEngine, CelError, EvaluationError
from gateway.policy.variables import TYPES
from tests.policy.support import CPP, PYTHON

DOC = (Path(__file__).parents[2] / "docs" / "engines.md").read_text()
FAILS, REFUSED_AT_LOAD = "fails", "is refused at load"
INFINITY = float("inf")


def outcome(engine: CelEngine, source: str, args: dict[str, Any]) -> Any:
    try:
        return engine.compile(source, TYPES).evaluate(engine.activation({"args": args}))
    except CelError:
        return REFUSED_AT_LOAD
    except EvaluationError:
        return FAILS


@pytest.mark.parametrize(
    ("documented", "source", "args", "default", "other"),
    [
        ("args.n == 1", "args.n == 1", {"n": "text"}, False, FAILS),
        ("has(args.a.b)", "has(args.a.b)", {}, FAILS, FAILS),
        ("has(args.a.b)", "has(args.a.b)", {"a": "text"}, FAILS, FAILS),
        ("has(args.a.b)", "has(args.a.b)", {"a": {}}, False, False),
        ("has(args.a.b)", "!has(args.a.b) || has(args.a.c.d)", {"a": {"b": 1, "c": {"d": 1}}}, True, True),
        ("has(args.a.b)", "args.l.all(x, has(x.y))", {"l": [{"y": 1}]}, True, True),
        ("has(args.a.b)", "args.l.all(x, has(x.y))", {"l": ["text"]}, FAILS, FAILS),
        ("-1.0 / 0.0", "-1.0 / 0.0", {}, -INFINITY, INFINITY),
        ("0.0 / 0.0", "0.0 / 0.0 == 0.0 / 0.0", {}, False, True),
        ('("a" + "b").contains("a")', '("a" + "b").contains("a")', {}, True, FAILS),
        ("1 + 1.0", "1 + 1.0 == 2.0", {}, REFUSED_AT_LOAD, FAILS),
        ("a loop of more than about 10,000 steps", "args.l.all(x, x == 1)", {"l": [1] * 10_100}, FAILS, FAILS),
        ("3,000 entries", "args.l.all(x, x == 1)", {"l": [1] * 3_001}, True, FAILS),
        ("54", "args.l.all(x, args.l.all(y, x == y))", {"l": [1] * 55}, True, FAILS),
        ("54", "args.l.all(x, args.l.all(y, x == y))", {"l": [1] * 20}, True, True),
        ("54", "size(args.l) == 5000", {"l": [1] * 5_000}, True, True),
    ],
)
def test_a_difference_is_documented_and_still_there(
    documented: str, source: str, args: dict[str, Any], default: Any, other: Any
) -> None:
    assert documented in DOC
    assert outcome(CPP, source, args) == default
    assert outcome(PYTHON, source, args) == other


@pytest.mark.parametrize("engine", [CPP, PYTHON], ids=lambda engine: engine.name)
@pytest.mark.parametrize(
    ("source", "args", "value"),
    [
        ("double(args.amount) > 1.0", {"amount": 2.5}, True),
        ("has(args.a) && has(args.a.b)", {}, False),
        ('default(args.a.b, "") == ""', {}, True),
    ],
)
def test_what_to_write_instead_is_the_same_in_both(
    source: str, args: dict[str, Any], value: bool, engine: CelEngine
) -> None:
    assert source.partition(" ==")[0] in DOC
    assert outcome(engine, source, args) is value
