"""Prices of calls: numbers, expressions over the call and over its answer, and expressions that give no price."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cost.calls import ANSWER, Priced, compile_price
from gateway.model import Findings, Outcome, Usage
from gateway.policy.engine import CelError
from gateway.policy.engines import load_engine
from gateway.policy.variables import VARIABLES
from tests.builders import call

ENGINES = [load_engine("cel-expr-python"), load_engine("cel-python")]
CEL = ENGINES[0]
DOCS = (Path(__file__).parents[2] / "docs/costs.md").read_text()


def outcome(result: dict[str, Any] | None = None, status: int = 200, **found: Any) -> Outcome:
    return Outcome(status, status, found=Findings(result=result, **found))


def price(cost: float | str, args: dict[str, Any] | None = None, of: Outcome | None = None, engine=CEL) -> Priced:
    return compile_price(cost, engine).price(call(args=args or {}), of or outcome())


def test_a_number_is_the_price_of_every_call():
    assert price(0.25) == Priced(0.25)
    assert price(0) == Priced(0.0)
    assert price(3) == Priced(3.0)


@pytest.mark.parametrize("cost", [-0.01, math.nan, math.inf])
def test_a_number_that_is_no_price_is_told_when_it_is_compiled(cost):
    with pytest.raises(ValueError, match="from 0 upwards"):
        compile_price(cost, CEL)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_an_expression_prices_the_arguments(engine):
    cost = "0.002 * double(size(args.documents)) + (agent.id == 'report-1' ? 1.0 : 0.0)"
    assert price(cost, {"documents": ["a", "b"]}, engine=engine) == Priced(1.004)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_an_expression_prices_the_answer(engine):
    of = outcome({"pages": 3}, 200, usage=Usage("m", 10, 20), is_error=True)
    assert price("double(result.pages) * 0.5", of=of, engine=engine) == Priced(1.5)
    assert price("usage.input_tokens + usage.output_tokens", of=of, engine=engine) == Priced(30.0)
    assert price("response.isError ? 0 : 7", of=of, engine=engine) == Priced(0.0)
    assert price("response.status == 200 ? 0.01 : 0.0", of=of, engine=engine) == Priced(0.01)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
@pytest.mark.parametrize("cost", ["double(result.pages) * 0.5", "double(usage.output_tokens) * 0.1"])
def test_what_was_not_read_in_the_answer_is_no_price_rather_than_a_price_of_nothing(engine, cost):
    priced = price(cost, engine=engine)
    assert priced.usd is None
    assert "expression failed" in priced.notes[0]


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
@pytest.mark.parametrize(
    ("cost", "args", "note"),
    [
        ("args.price", {"price": -1}, "which is no price"),
        ("args.price", {"price": -0.5}, "which is no price"),
        ("args.price", {"price": "1"}, "gave str, not a number"),
        ("args.price", {"price": True}, "gave bool, not a number"),
        ("args.price", {}, "expression failed"),
        ("args.price / 0.0", {"price": 1.0}, "no cost"),
        ("args.price * 0.5", {"price": 2}, "write double(x)"),
    ],
)
def test_an_expression_that_gives_no_price_is_told_and_costs_nothing_known(engine, cost, args, note):
    priced = price(cost, args, engine=engine)
    assert priced.usd is None
    assert len(priced.notes) == 1
    assert note in priced.notes[0]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(json_values)
def test_whatever_an_agent_sends_the_cost_is_finite_and_not_negative_or_unknown_with_a_note(value):
    for cost in ("args.x", "double(args.x) * 2.0", "size(args.x)", "args.x - 1"):
        priced = price(cost, {"x": value})
        if priced.usd is None:
            assert priced.notes
        else:
            assert math.isfinite(priced.usd)
            assert priced.usd >= 0


@pytest.mark.parametrize(
    ("cost", "message"),
    [
        ("agent.id", "this gives string"),
        ("args.x > 1", "this gives bool"),
        ("agnt.id == 'a' ? 1 : 2", "unknown variable agnt.id"),
        ("proposal.name == 'a' ? 1 : 2", "unknown variable proposal.name"),
        ("1 +", "not CEL"),
    ],
)
def test_an_expression_that_can_give_no_price_is_told_when_it_is_compiled(cost, message):
    with pytest.raises(CelError, match=message):
        compile_price(cost, CEL)


def test_a_price_says_which_variables_it_reads():
    assert compile_price("double(result.n) + args.x", CEL).references == {"result", "args"}
    assert compile_price(1, CEL).references == frozenset()


def test_a_variable_of_the_answer_is_the_same_for_prices_as_for_rules_and_is_documented():
    for name, (kind, _) in ANSWER.items():
        assert kind == VARIABLES[name].type
        assert f"`{name}`" in DOCS


def test_the_prices_in_the_documentation_compile():
    prices = re.findall(r"^ *cost: (.+?)(?: +#.*)?$", DOCS, re.MULTILINE)
    assert len(prices) == 5
    for price in prices:
        compile_price(price.strip('"'), CEL)
