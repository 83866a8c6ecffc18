"""Changes that verdicts suggest, and those that they do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.approvals.intervals import credible
from gateway.approvals.samples import Sample
from gateway.approvals.suggestions import Limits, suggestions
from gateway.policy.engines import ENGINES, load_engine
from gateway.policy.variables import TYPES

from .asked import sample


def many(count: int, verb: str = "approve", **fields) -> list[Sample]:
    return [sample(verb, **fields) for _ in range(count)]


def test_two_hundred_of_two_hundred_suggest_to_let_such_calls_pass():
    (one,) = suggestions(many(200))
    assert (one.kind, one.rule, one.n, one.approved) == ("loosen", "money/large", 200, 200)
    assert one.unless == 'tool.name == "bank" && tool.operation == "pay"'
    assert one.interval[0] > 0.98


@pytest.mark.parametrize(
    "samples",
    [
        many(199),
        many(198) + many(2, "deny"),  # 198 of 200: for certain no more than 96 %
        many(198) + many(2, "edit"),  # an edit is no approval of what was asked
        many(200) + many(5, "deny"),
        many(2000) + [each for _ in range(5) for each in (*many(8), *many(2, "deny"))],  # it drifts
        many(500, canary=True),
        many(500, rules=("money/large", "money/new")),  # nobody knows which of them was the matter
    ],
)
def test_less_than_that_suggests_nothing(samples):
    assert suggestions(samples) == []


def test_where_an_operation_is_not_safe_one_agent_of_it_may_be():
    (one,) = suggestions([*many(300, agent="billing"), *many(60, agent="new"), *many(20, "deny", agent="new")])
    assert one.agent == "billing"
    assert one.unless.endswith('&& agent.id == "billing"')


def test_what_is_mostly_denied_may_be_refused_without_asking():
    (one,) = suggestions(many(5) + many(40, "deny"))
    assert (one.kind, one.unless) == ("tighten", "")
    assert one.interval[1] < 0.5
    assert suggestions(many(1) + many(15, "deny")) == []
    assert suggestions(many(60) + many(40, "deny")) == []  # 40 % denied is a reason to ask


def test_verdicts_of_people_who_do_not_look_come_with_a_caution():
    (one,) = suggestions(many(200, looked=1.0) + many(3, "approve", canary=True))
    assert any("less than 3 s" in text for text in one.cautions)
    assert any("missed" in text for text in one.cautions)
    assert any("one person, ann" in text for text in one.cautions)
    careful = [sample(by=("ann", "bob")[number % 2]) for number in range(200)]
    assert suggestions(careful)[0].cautions == ()


@given(st.integers(0, 300), st.integers(0, 30), st.integers(0, 30))
def test_nothing_is_loosened_without_the_bound_nor_tightened_without_it(approved, denied, edited):
    found = suggestions(many(approved) + many(denied, "deny") + many(edited, "edit"), Limits(loosen_n=50))
    n = approved + denied + edited
    for one in found:
        if one.kind == "loosen":
            assert n >= 50
            assert credible(approved, n)[0] > 0.98
        else:
            assert credible(approved + edited, n)[1] < 0.5


@pytest.mark.parametrize("engine", ENGINES)
def test_names_that_agents_choose_cannot_break_out_of_the_condition(engine):
    nasty = 'x" || true || tool.operation == "\\\n'
    (one,) = suggestions(many(200, operation=nasty))
    program = load_engine(engine).compile(one.unless, TYPES)
    loaded = load_engine(engine)
    for operation, result in ((nasty, True), ("pay", False), ("x", False)):
        assert program.evaluate(loaded.activation({"tool.name": "bank", "tool.operation": operation})) is result
