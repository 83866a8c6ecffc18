"""Conditions taken apart, and what would have to change in them."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.policy.changes import ways
from gateway.policy.engine import BOOL
from gateway.policy.subexpressions import Dissection, Part
from gateway.policy.variables import TYPES
from tests.policy.support import CPP, PYTHON

BINDINGS = {
    "args": {"amount": 2500.0, "to": {"iban": "RU1"}, "tags": ["a", "b"], "text": 'x " || y'},
    "agent.id": "pay",
}
VARIABLES = {"amount": "double(args.amount)", "big": "variables.amount > 1000.0 || args.nope == 1"}


def dissected(condition: str, engine: Any = CPP, variables: dict[str, str] = VARIABLES) -> Part:
    return Dissection(engine, TYPES, variables, engine.activation(BINDINGS)).of(condition)


def outline(part: Part) -> list[Any]:
    """Text and value of a part, and its parts in the same form."""
    return [part.text, "error" if part.error else part.value, *[outline(one) for one in part.parts]]


@pytest.mark.parametrize("engine", [CPP, PYTHON], ids=lambda engine: engine.name)
@pytest.mark.parametrize(
    ("condition", "parts"),
    [
        ("args.amount > 1000.0", [["args.amount", 2500.0]]),
        (
            '(args.amount > 1000.0 && !(agent.id in ["x"])) || has(args.z)',
            [
                [
                    'args.amount > 1000.0 && !(agent.id in ["x"])', True,
                    ["args.amount > 1000.0", True, ["args.amount", 2500.0]],
                    ['!(agent.id in ["x"])', True, ['agent.id in ["x"]', False, ["agent.id", "pay"]]],
                ],
                ["has(args.z)", False],
            ],
        ),
        (
            "variables.big",
            [
                [
                    "variables.amount > 1000.0 || args.nope == 1", True,
                    [
                        "variables.amount > 1000.0", True,
                        ["variables.amount", 2500.0, ["double(args.amount)", 2500.0, ["args.amount", 2500.0]]],
                    ],
                    ["args.nope == 1", "error", ["args.nope", "error"]],
                ]
            ],
        ),
        ('args.tags.exists(t, t == "z")', [["args.tags", ["a", "b"]]]),
        ("args.tags[size(args.tags) - 1] == 'b'", [["args.tags[size(args.tags) - 1]", "b",
            ["size(args.tags) - 1", 1, ["size(args.tags)", 2, ["args.tags", ["a", "b"]]]]]]),
        ("(args.text + ')').contains('(|| ')", [["args.text + ')'", 'x " || y)', ["args.text", 'x " || y']]]),
        ("has(args.z) ? args.z : agent.id == 'pay'", [
            ["has(args.z)", False], ["args.z", "error"], ["agent.id == 'pay'", True, ["agent.id", "pay"]]]),
        ("default(args.a.b, 'x') == 'x' || false", [
            ["default(args.a.b, 'x') == 'x'", True, ["default(args.a.b, 'x')", "x"]], ["false", False]]),
    ],
)  # fmt: skip
def test_a_condition_is_taken_apart_where_people_take_it_apart(condition: str, parts: list[Any], engine: Any) -> None:
    whole = dissected(condition, engine)
    assert whole.text == condition
    assert [outline(part) for part in whole.parts] == parts


def test_what_is_no_cel_of_policies_is_one_part() -> None:
    whole = dissected("args.?amount.orValue(1.0) > 2.0")
    assert (whole.kind, whole.parts) == ("value", ())


def test_a_condition_of_very_many_parts_is_taken_apart_only_so_far() -> None:
    whole = dissected(" || ".join(f"args.amount == {number}.0" for number in range(300)))
    assert whole.value is False
    assert len(whole.parts) == 300
    assert not whole.parts[-1].parts


def lacking_amount(expression: str) -> str:
    return "the record lacks args.amount" if "args.amount" in expression else ""


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        ("args.amount > 1.0 && agent.id == 'other'", False),
        ("args.amount > 1.0 || agent.id == 'pay'", True),
        ("args.amount > 1.0 && agent.id == 'pay'", None),
        ("!(args.amount > 1.0 || agent.id == 'pay')", False),
        ("agent.id == 'pay' ? has(args.tags) : args.amount > 1.0", True),
        ("agent.id == 'other' ? has(args.tags) : args.amount > 1.0", None),
        ("args.amount > 1.0 ? true : true", None),
        ("variables.big || agent.id == 'pay'", True),
        ("variables.big", None),
    ],
)
def test_what_is_not_known_matters_only_where_the_outcome_hangs_on_it(condition: str, value: bool | None) -> None:
    whole = Dissection(CPP, TYPES, VARIABLES, CPP.activation(BINDINGS), lacking_amount).of(condition)
    assert whole.value is value
    assert whole.error == ("the record lacks args.amount" if value is None else "")


NAMES = ("a", "b", "c", "d")
CONDITIONS = st.recursive(
    st.sampled_from([*NAMES, "true", "false"]),
    lambda below: st.one_of(
        st.builds("!({})".format, below),
        st.builds("({} && {})".format, below, below),
        st.builds("({} || {} || {})".format, below, below, below),
        st.builds("({} ? {} : {})".format, below, below, below),
    ),
    max_leaves=8,
)
STATES = st.fixed_dictionaries({name: st.booleans() for name in NAMES})


def value_of(condition: str, state: dict[str, bool]) -> bool:
    program = CPP.compile(condition, dict.fromkeys(NAMES, BOOL))
    return bool(program.evaluate(CPP.activation(state)))


@settings(max_examples=150, deadline=None)
@given(condition=CONDITIONS, state=STATES, wanted=st.booleans())
def test_the_changes_are_the_smallest_that_do_it(condition: str, state: dict[str, bool], wanted: bool) -> None:
    part = Dissection(CPP, dict.fromkeys(NAMES, BOOL), {}, CPP.activation(state)).of(condition)
    assert part.value is value_of(condition, state)
    found = ways(part, wanted)
    sets = [{change.part.text: change.wanted for change in changes} for changes in found]
    for changes in sets:
        assert all(state[name] is not want for name, want in changes.items())
        assert value_of(condition, {**state, **changes}) is wanted
    read = [name for name in NAMES if name in condition.replace("true", "").replace("false", "")]
    smallest = next(
        (
            size
            for size in range(len(read) + 1)
            for flipped in combinations(read, size)
            if value_of(condition, {**state, **{name: not state[name] for name in flipped}}) is wanted
        ),
        None,
    )
    assert (min(map(len, sets)) if sets else None) == smallest
    assert not any(one.items() < other.items() for one, other in product(sets, sets))


def test_an_error_is_a_condition_that_would_have_to_change() -> None:
    [[change]] = ways(dissected("args.nope > 1.0 || agent.id == 'other'"), False)
    assert (change.part.text, change.wanted) == ("args.nope > 1.0", False)
    assert "nope" in change.part.error
