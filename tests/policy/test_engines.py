"""Both engines over one table: what an expression is worth, and how each kind of mistake is told."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from gateway.policy.engine import (
    BOOL,
    DYN,
    NESTING_CAP,
    SOURCE_CAP,
    STRING,
    CelEngine,
    CelError,
    EngineError,
    EvaluationError,
)
from gateway.policy.engines import load_engine
from gateway.policy.variables import TYPES

from .support import CPP, PYTHON

engines = pytest.mark.parametrize("engine", [CPP, PYTHON], ids=lambda engine: engine.name)
BINDINGS: dict[str, Any] = {
    "agent.id": "report-1",
    "agent.roles": ["analyst", "triage"],
    "request.headers": {"x-team": "blue"},
    "request.size": 12,
    "args": {"n": 5, "d": 2.5, "s": "text", "flag": True, "none": None, "list": [1, 2], "deep": {"a": {"b": "c"}}},
}
ERROR = object()


@engines
@pytest.mark.parametrize(
    ("source", "value"),
    [
        ('agent.id == "report-1"', True),
        ('agent.id.startsWith("report-") && !agent.id.endsWith("2")', True),
        ('agent.id.matches("^report-[0-9]+$")', True),
        ('"analyst" in agent.roles', True),
        ('"root" in agent.roles', False),
        ('agent.roles.exists(r, r == "triage")', True),
        ("size(agent.roles)", 2),
        ('request.headers["x-team"] == "blue"', True),
        ('request.headers["absent"] == "blue"', ERROR),
        ("args.n == 5", True),
        ("args.n > 4 && args.d < 3.0", True),
        ("double(args.n) > 4.5", True),
        ("args.n + args.d > 1.0", ERROR),
        ("args.missing", ERROR),
        ("args.missing == 1", ERROR),
        ("args.missing == 1 || true", True),
        ("args.missing == 1 || false", ERROR),
        ("args.missing == 1 && false", False),
        ("has(args.missing)", False),
        ("has(args.n) && args.n == 5", True),
        ("args.none == null", True),
        ('args.deep.a.b == "c"', True),
        ("args.list[1] == 2", True),
        ("args.list[7] == 2", ERROR),
        ("2 in args.list", True),
        ("args.s > 3", ERROR),
        ("!args.s", ERROR),
        ("args.flag ? 1 : 2", 1),
        ("1 / 0", ERROR),
        ('int("x")', ERROR),
        ('string(args.n) + "!"', "5!"),
        ("[1, 2].map(x, x * 2)", [2, 4]),
        ('{"a": args.n}', {"a": 5}),
        ("args.s // a comment", "text"),
        ('"" + r"\\d"', "\\d"),
        ("null", None),
        ("1.5", 1.5),
    ],
)
def test_an_expression_is_worth_the_same_on_both(engine: CelEngine, source: str, value: object) -> None:
    program = engine.compile(source, TYPES)
    activation = engine.activation(BINDINGS)
    if value is ERROR:
        with pytest.raises(EvaluationError):
            program.evaluate(activation)
    else:
        result = program.evaluate(activation)
        assert (result, type(result)) == (value, type(value))
    assert program.is_false(activation) is (value is False)


@engines
@pytest.mark.parametrize("source", ["args.missing", "args.s > 3", "1 / 0", "timestamp(args.s) > timestamp(args.s)"])
def test_an_error_is_neither_true_nor_false(engine: CelEngine, source: str) -> None:
    program = engine.compile(source, TYPES)
    activation = engine.activation(BINDINGS)
    assert not program.is_false(activation)
    with pytest.raises(EvaluationError) as caught:
        program.evaluate(activation)
    assert caught.value.status == 403
    assert len(caught.value.message) <= 300


def test_ints_and_doubles_compare_by_value_in_the_default_engine_and_fail_in_the_other() -> None:
    source = "args.n > 4.5"
    assert CPP.compile(source, TYPES).evaluate(CPP.activation(BINDINGS)) is True
    with pytest.raises(EvaluationError):
        PYTHON.compile(source, TYPES).evaluate(PYTHON.activation(BINDINGS))


@engines
@pytest.mark.parametrize(
    ("source", "line", "column", "hint"),
    [
        ('agent.idd == "x"', 1, 1, "did you mean agent.id?"),
        ('true ||\n  agnt.id == "x"', 2, 3, "did you mean agent.id?"),
        ('"é" == request.pth', 1, 8, "did you mean request.path?"),
        ('agent.id.startWith("x")', 1, 10, "did you mean startsWith?"),
        ('args.list.exists(a, a == 1) && llm.mesages.exists(m, m.content == "x")', 1, 32, "did you mean llm.messages?"),
        ("sise(args) > 1", 1, 1, "did you mean size?"),
        ('agent == "x"', 1, 1, "did you mean agent.id?"),
        ("prod == 1", 1, 1, "text belongs in quotes"),
        ("args.list.exists(args, true)", 1, 18, "call it something else"),
        ("[1].all(a, [1].all(b, [1].all(c, true)))", 1, 27, "the work grows"),
        ("(" * (NESTING_CAP + 1) + "true" + ")" * (NESTING_CAP + 1), 1, NESTING_CAP + 1, "use variables"),
        ("true" + " " * SOURCE_CAP, 1, 1, "split it"),
    ],
)
def test_a_mistake_has_a_place_and_a_fix(engine: CelEngine, source: str, line: int, column: int, hint: str) -> None:
    with pytest.raises(CelError) as caught:
        engine.compile(source, TYPES)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert hint in caught.value.hint


@engines
@pytest.mark.parametrize("source", ["1 +", "", "agent..id", '"open', "true false", "@", "(", "a ? b"])
def test_what_is_no_cel_is_a_cel_error(engine: CelEngine, source: str) -> None:
    with pytest.raises(CelError):
        engine.compile(source, TYPES)


@engines
def test_a_chain_too_long_for_the_engines_stack_has_no_value_and_no_crash(engine: CelEngine) -> None:
    with pytest.raises((CelError, EvaluationError)):
        engine.compile("1" + "+1" * 1500 + " > 0", TYPES).evaluate(engine.activation({}))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("request.size > 1.0", "> cannot be applied to (int, double)"),
        ("agent.id > 1", "> cannot be applied to (string, int)"),
        ("request.size + agent.id", "+ cannot be applied to (int, string)"),
        ('agent.id in "x"', "in cannot be applied to (string, string)"),
        ('agent.id.matches("(")', "invalid regular expression"),
    ],
)
def test_the_default_engine_checks_types_and_patterns_at_load(source: str, message: str) -> None:
    with pytest.raises(CelError) as caught:
        CPP.compile(source, TYPES)
    assert message in caught.value.message


def test_the_default_engine_knows_the_type_of_a_result() -> None:
    assert CPP.compile("agent.id", TYPES).type == STRING
    assert CPP.compile("args.x == 1", TYPES).type == BOOL
    assert CPP.compile("args.x", TYPES).type == DYN
    assert str(CPP.compile("agent.roles", TYPES).type) == "list(string)"
    assert str(CPP.compile('{"a": [1]}', TYPES).type) == "map(string, list(int))"


@engines
def test_a_program_needs_only_the_variables_it_refers_to(engine: CelEngine) -> None:
    program = engine.compile('agent.id == "report-1" && "args" != "request.path"', TYPES)
    assert program.references == {"agent.id"}
    assert program.evaluate(engine.activation({"agent.id": "report-1"})) is True


@engines
@pytest.mark.parametrize("bad", [2**70, object(), {"x": object()}, "\ud800"])
def test_a_value_that_cel_cannot_hold_fails_where_it_is_read_and_only_there(engine: CelEngine, bad: object) -> None:
    activation = engine.activation({"agent.id": "report-1", "args": {"bad": bad}, "request.path": bad})
    assert engine.compile('agent.id == "report-1"', TYPES).evaluate(activation) is True
    if bad != "\ud800":
        with pytest.raises(EvaluationError):
            engine.compile('args.bad == "x" || args.bad == 1', TYPES).evaluate(activation)


@engines
def test_the_error_for_too_large_an_integer_says_nothing_of_what_stands_beside_it(engine: CelEngine) -> None:
    activation = engine.activation({"args": {"a": {"secret": "hunter2", "big": 2**70}}})
    with pytest.raises(EvaluationError) as raised:
        engine.compile('has(args.b) && args.b == "x"', TYPES).evaluate(activation)
    assert "args" in str(raised.value)
    assert "hunter2" not in str(raised.value)


@engines
def test_the_error_for_a_field_of_what_is_no_map_does_not_say_what_it_is(engine: CelEngine) -> None:
    with pytest.raises(EvaluationError, match="a field is read of what is no map"):
        engine.compile("args.a.b == 1", TYPES).evaluate(engine.activation({"args": {"a": "hunter2"}}))


def test_work_is_bounded_even_where_the_agent_chose_the_lists() -> None:
    program = CPP.compile("args.a.all(x, args.a.all(y, x >= 0 && y >= 0))", TYPES)
    with pytest.raises(EvaluationError):
        program.evaluate(CPP.activation({"args": {"a": list(range(2000))}}))


def test_an_unknown_engine_is_refused_by_name() -> None:
    with pytest.raises(EngineError, match="write cel-expr-python or cel-python"):
        load_engine("cel-go")


def test_an_engine_that_is_not_installed_is_named_and_never_swapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gateway.policy.cel_python", raising=False)
    monkeypatch.setitem(sys.modules, "celpy", None)
    with pytest.raises(EngineError, match="cel-python is not installed"):
        load_engine("cel-python")
