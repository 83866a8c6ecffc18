"""The order of the inbox."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.approvals.attention import AttentionBudgets
from gateway.approvals.order import Order
from gateway.approvals.priority import FORMULA, REFUSED, Factors, Known, deviation_of, factors, priority
from gateway.approvals.tallies import Tallies
from gateway.model import Attention, Terms
from gateway.policy.engine import CelError
from gateway.policy.engines import ENGINES, load_engine
from gateway.policy.priorities import FACTORS
from gateway.stores.memory_cabinet import MemoryCabinet

from .asked import NOW, Time, approval, decided, docket, sample

rates = st.floats(0, 1)
ages = st.floats(0, 1e6)


def order(tallies: Tallies | None = None, connected: frozenset[str] = frozenset()) -> Order:
    time = Time()
    budgets = AttentionBudgets(docket(MemoryCabinet(time), time), lambda *_: None)
    return Order(tallies or Tallies(), budgets, connected.__contains__)


@given(rates, ages, st.floats(0, 1e15), st.booleans(), st.floats(0, 1e4))
def test_a_value_is_never_negative_nor_beyond_numbers(rate, age, impact, connected, seconds):
    one = approval(terms=Terms(impact=impact), opened=NOW - age)
    assert 0 <= priority(one, NOW, Known(rate, deviation_of(rate, 3), seconds), connected=connected) < 1e25


@given(ages, ages)
def test_waiting_costs_more_the_longer_it_takes_so_nothing_waits_for_ever(age, more):
    older, newer = approval(opened=NOW - age - more), approval(opened=NOW - age)
    assert priority(older, NOW) >= priority(newer, NOW)


def test_impact_a_held_line_and_the_end_of_time_each_come_first():
    plain = approval()
    assert priority(approval(terms=Terms(impact=5)), NOW) > priority(plain, NOW)
    assert priority(plain, NOW, connected=True) == pytest.approx(2 * priority(plain, NOW))
    assert priority(approval(expires=NOW + 10), NOW) > priority(plain, NOW)


def known(rate: float, verdicts: float = 100.0) -> Known:
    return Known(rate, deviation_of(rate, verdicts))


def test_where_calls_are_refused_without_a_look_what_is_always_denied_comes_last():
    assert priority(approval(), NOW, known(0.01)) > 50 * priority(approval(), NOW, known(0.999, 1e6))


def test_where_they_pass_what_is_denied_comes_first_and_weighs_more_than_what_is_kept_waiting():
    passes = approval(terms=Terms(timeout="allow"))
    assert priority(passes, NOW, known(0.9)) > 50 * priority(passes, NOW, known(0.001, 1e6))
    assert priority(passes, NOW, known(0.9)) > priority(approval(), NOW, known(0.1))


def test_what_is_less_known_is_worth_more_so_that_it_becomes_known():
    passes = approval(terms=Terms(timeout="allow"))
    values = [priority(passes, NOW, known(0.05, verdicts)) for verdicts in (2, 20, 200, 1e9)]
    assert values == sorted(values, reverse=True)
    assert factors(passes, NOW, known(0.05, 1e12)).uncertainty == pytest.approx(1.0, abs=1e-4)


def test_a_look_that_takes_long_is_worth_less():
    one = approval()
    assert priority(one, NOW, Known(0.1, 0.1, 40)) == pytest.approx(priority(one, NOW, Known(0.1, 0.1, 20)) / 2)


@pytest.mark.parametrize("name", ENGINES)
def test_the_usual_formula_in_cel_gives_the_usual_values(name):
    tallies = Tallies()
    tallies.add(sample("deny"))
    usual, own = order(tallies), order(tallies)
    own.adopt(FORMULA, load_engine(name))
    for one in (approval(), approval(terms=Terms(impact=7), opened=NOW - 500)):
        assert own.value(one, NOW) == pytest.approx(usual.value(one, NOW))
    assert set(FACTORS) == set(Factors.__struct_fields__)


def test_a_formula_that_fails_on_an_approval_puts_it_first():
    own = order()
    own.adopt("impact > 2.0 ? 1.0 / 0.0 * 0.0 : age", load_engine())
    broken, plain = approval(terms=Terms(impact=3)), approval(opened=NOW - 1e6)
    assert own.ranked([plain, broken], NOW) == [broken, plain]


@pytest.mark.parametrize(
    ("formula", "says"),
    [("impact > 1.0", "number"), ("impakt", "impakt"), ("(", "column|expect|mismatched|yntax|found|parse")],
)
def test_a_formula_that_is_none_is_refused(formula, says):
    with pytest.raises(CelError, match=says):
        order().adopt(formula, load_engine())


def test_who_has_seen_enough_of_them_sees_the_rest_last_and_others_do_not():
    time = Time()
    budgets = AttentionBudgets(docket(MemoryCabinet(time), time), lambda *_: None)
    own = Order(Tallies(), budgets, lambda _: False)
    terms = Terms(impact=100, attention=Attention("money", per_approver=2))
    for one in (decided(terms=terms), decided("deny", terms=terms)):
        budgets._hear(None, one)
    dear, plain = approval(terms=terms), approval()
    assert own.ranked([plain, dear], NOW + 60, "ann") == [plain, dear]
    assert own.ranked([plain, dear], NOW + 60, "bob") == [dear, plain]
    assert own.ranked([plain, dear], NOW + 4000, "ann") == [dear, plain]


def test_a_factor_is_what_is_known_of_it():
    one = approval(terms=Terms(impact=4), opened=NOW - 300, expires=NOW + 120)
    found = factors(one, NOW, Known(0.5, 0.25, 30), connected=True)
    assert found == Factors(4.0 * 0.5 * REFUSED, 1.5, 2.0 * 2.0 * 1.5, 4.0, 0.5, 300.0, 120.0, 30.0, 1.0)
