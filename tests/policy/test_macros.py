"""``default()`` and times: what they mean in both engines, and where their mistakes are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.policy.engine import CelError, EvaluationError
from gateway.policy.macros import rewrite
from gateway.policy.tokens import tokenize
from gateway.policy.variables import TYPES
from tests.policy.support import CPP, PYTHON, book_of, call_to, document, policy

BOTH = pytest.mark.parametrize("engine", [CPP, PYTHON], ids=lambda engine: engine.name)
ARGS = {
    "text": "x",
    "nil": None,
    "number": 3,
    "list": [{"x": 1}, {}],
    "map": {"b": {"c": 1}, "n": None},
    "$x": {"y": 2},
    "json": '{"user": {"id": 7}}',
}


def evaluate(engine: Any, source: str) -> Any:
    values = {"args": ARGS, "request.headers": {"x-team": "blue"}, "request.time": "2026-07-01T12:00:00.25Z"}
    return engine.compile(source, TYPES).evaluate(engine.activation(values))


@BOTH
@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("default(args.text, 0)", "x"),
        ("default(args.none, 0)", 0),
        ("default(args.nil, 0)", None),
        ("default(args.map.b.c, 0) + 1", 2),
        ("default(args.map.b.d, 0) + 1", 1),
        ("default(args.none.b.c, 0)", 0),
        ("default(args.nil.b, 0)", 0),
        ("default(args.map.n.x, 0)", 0),
        ('default(args["map"]["b"].c, 0)', 1),
        ('default(args["$x"].y, 0)', 2),
        ('default(args["$z"].y, 0)', 0),
        ('default(request.headers["x-team"], "")', "blue"),
        ('default(request.headers["x-none"], "")', ""),
        ("default(args.list[0].x, 0)", 1),
        ("default(args.list[1].x, 0)", 0),
        ("default(args.list[2].x, 0)", 0),
        ("default(args.nil[0], 0)", 0),
        ("args.list.map(i, default(i.x, 5))", [1, 5]),
        ("default(json(args.json).user.id, 0)", 7),
        ("default(json(args.json).user.name, 0)", 0),
        ("default((args.map\n).b.c, 0)", 1),
        ("default(args.text.size(), 0)", 1),
        ("default(args.none.size(), 0)", 0),
        ("default(args.none, default(args.map.z, 4))", 4),
        ("default(args.none, 1 + 1) * 2", 4),
        ("args.map.b.c == 1 ? default(args.none, 6) : 7", 6),
        ("default(args.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o, 1)", 1),
    ],
)
def test_default_stands_for_what_is_missing(engine: Any, source: str, value: Any) -> None:
    assert evaluate(engine, source) == value


@BOTH
@pytest.mark.parametrize(
    "field",
    ["args.text.b", "args.number.b", "args.list.b", 'args.list["b"]', 'args.text["b"]', "args.map[0]", "args.text[0]"],
)
def test_default_fails_of_another_shape_as_the_field_itself_does(engine: Any, field: str) -> None:
    with pytest.raises(EvaluationError):
        evaluate(engine, f"default({field}, 0)")


@BOTH
@pytest.mark.parametrize(
    ("source", "column", "message"),
    [
        ("default(args.x)", 1, "a field and a fallback"),
        ("default(args.x, 1, 2)", 1, "a field and a fallback"),
        ("default(, 1)", 1, "a field and a fallback"),
        ("default()", 1, "a field and a fallback"),
        ("default(args, 1)", 1, "args has no field that could be missing"),
        ("1 + default(llm.model, 1)", 5, "llm.model has no field"),
        ("default(1, 2)", 9, "takes a field"),
        ("default(args.x + 1, 2)", 16, "takes one field"),
        ("default(args[args.x], 2)", 13, "cannot tell"),
        ("default(args.x, 2", 8, "not closed"),
        (f"default(args{'.x' * 20}, 2)", 45, "at most 16 steps"),
        ("default(args.x, 2) == agnt.id", 23, "unknown variable agnt.id"),
        ("default(args.x, agnt.id) == 1", 17, "unknown variable agnt.id"),
        ("default(agnt.id, 1) == 1", 9, "unknown variable agnt.id"),
        ("default(args.x, shel(1)) == 1", 17, "unknown function shel"),
        ("request.time.getHours() < 9 && agnt.id == 1", 32, "unknown variable agnt.id"),
    ],
)
def test_a_mistake_is_placed_where_the_user_wrote_it(engine: Any, source: str, column: int, message: str) -> None:
    for line, text in ((1, source), (3, f"true &&\n\n{source}")):
        with pytest.raises(CelError, match=message) as raised:
            engine.compile(text, TYPES)
        assert (raised.value.line, raised.value.column) == (line, column)


def test_types_are_checked_through_default() -> None:
    with pytest.raises(CelError, match=r"< cannot be applied to \(timestamp, int\)") as raised:
        CPP.compile("default(args.x, 1) == 1 &&\n request.time < 5", TYPES)
    assert (raised.value.line, raised.value.column) == (2, 15)


def test_default_within_default_does_not_grow_for_ever() -> None:
    source = "0"
    for _ in range(14):
        source = f"default(json(string({source})).x.y.z, 1)"
    with pytest.raises(CelError, match="more than 16384 characters"):
        rewrite(source, tokenize(source), TYPES)
    with pytest.raises(CelError, match="more than 16384 characters"):
        CPP.compile(" || ".join(["default(args.a.b.c.d, 0) == 1"] * 60), TYPES)


def test_rules_that_are_too_long_together_are_still_judged() -> None:
    book = book_of(policy("p", *[f"default(args.a.b.c.d, {number}) == 20" for number in range(60)]))
    spoke = book.rules("bank", "POST /transfers").judge(call_to(args={"a": {}}))
    assert [one.rule for one in spoke] == ["r20"]


@settings(max_examples=300)
@given(
    st.lists(
        st.sampled_from(["default(", "args", ".x", "[", "0", '"k"', "]", ")", ",", "request", ".time", "(", "$", "'"])
    )
)
def test_any_text_is_rewritten_or_refused_with_a_place_in_it(pieces: list[str]) -> None:
    source = "".join(pieces)
    try:
        rewritten = rewrite(source, tokenize(source), TYPES)
    except CelError as error:
        assert error.line == 1
        assert 1 <= error.column <= len(source)
        return
    places = [rewritten.place(1, column)[1] for column in range(1, len(rewritten.text) + 1)]
    assert all(1 <= column <= len(source) + 1 for column in places)


def test_default_is_a_field_like_any_other() -> None:
    assert CPP.compile("args.default == 1", TYPES).evaluate(CPP.activation({"args": {"default": 1}})) is True


@BOTH
@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("request.time.getHours()", 12),
        ('request.time.getHours("Europe/Berlin")', 14),
        ('request.time.getDayOfWeek("Europe/Berlin")', 3),
        ('request.time > timestamp("2026-07-01T12:00:00Z")', True),
        ('request.time - duration("1h") < request.time', True),
        ("[request.time][0] == request.time", True),
        ("default(args.at[0], request.time) == request.time", True),
    ],
)
def test_the_time_of_a_call_is_a_timestamp(engine: Any, source: str, value: Any) -> None:
    assert evaluate(engine, source) == value


def test_a_time_is_known_to_be_one() -> None:
    program = CPP.compile("request.time", TYPES)
    assert str(program.type) == "timestamp"
    assert program.references == {"request.time"}


@BOTH
def test_rules_read_the_time_through_variables_and_together(engine: Any) -> None:
    rules = [
        {"name": "early", "when": "variables.hour < 9", "then": "deny"},
        {"name": "late", "when": "variables.hour > 17 || default(args.x, 0) > 5", "then": "deny"},
    ]
    hour = {"name": "hour", "expression": 'request.time.getHours("Europe/Berlin")'}
    book = book_of(document("Policy", "p", variables=[hour], rules=rules), engine=engine)
    found = book.rules("bank", "POST /transfers")

    def said(*moment: int, **args: Any) -> list[str]:
        call = structs.replace(call_to(args=args), at=datetime(*moment, tzinfo=UTC).timestamp())  # type: ignore[arg-type]
        return [one.rule for one in found.judge(call)]

    assert said(2026, 7, 1, 6, 59) == ["early"]
    assert said(2026, 7, 1, 7, 0) == []
    assert said(2026, 12, 1, 7, 0) == ["early"]
    assert said(2026, 7, 1, 16, 0) == ["late"]
    assert said(2026, 7, 1, 7, 0, x=6) == ["late"]
    assert "request.time" in book.reads("bank")


def test_a_call_and_its_parts_arrive_together() -> None:
    part = call_to(args={"n": 1})
    whole = structs.replace(call_to(), parts=(part, part)).arrived(5.0)
    assert [whole.at, *(one.at for one in whole.parts)] == [5.0, 5.0, 5.0]
    assert whole.parts[0].args == {"n": 1}


NUL = "\0"


@pytest.mark.parametrize(
    "bad",
    [
        f"a{NUL}b",
        {"k": f"a{NUL}b"},
        {f"a{NUL}": 1},
        {"k": [{"m": f"{NUL}"}]},
        {"k": [], "l": 5.0, "m": {f"x{NUL}": None}},
        [f"{NUL}"],
        {"k": [2**70, f"{NUL}"]},
        {1: f"{NUL}"},
    ],
)
def test_a_text_that_the_binding_would_cut_is_no_value(bad: Any) -> None:
    activation = CPP.activation({"args": bad, "agent.id": "a"})
    for source in ('args == "a"', "size(args) == 1", "!(args == args)"):
        with pytest.raises(EvaluationError, match=r"args has a text with the character U\+0000"):
            CPP.compile(source, {"args": TYPES["agent.id"].__class__("dyn")}).evaluate(activation)
    assert CPP.compile('agent.id == "a"', TYPES).evaluate(activation) is True


@pytest.mark.parametrize(
    "good", ["\\u0000", {"k": ["\\u0000", "\u0001"]}, {"\\u0000": 0}, {"k": 0, "l": 0.0, "m": None}]
)
def test_what_only_looks_like_it_is_one(good: Any) -> None:
    program = CPP.compile("args == args", {"args": TYPES["agent.id"].__class__("dyn")})
    assert program.evaluate(CPP.activation({"args": good})) is True


def test_a_rule_does_not_see_less_of_an_argument_than_the_tool() -> None:
    book = book_of(policy("p", 'args.command.contains("rm -rf")'))
    spoke = book.rules("bank", "POST /transfers").judge(call_to(args={"command": f"ls{NUL}; rm -rf /"}))
    assert [(one.rule, one.verdict, bool(one.error)) for one in spoke] == [("r0", "deny", True)]
