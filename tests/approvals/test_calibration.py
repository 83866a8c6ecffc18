"""What verdicts tell of rules and of people: intervals, drift, agreement."""

from __future__ import annotations

from math import comb, isclose
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.approvals.agreement import alpha, apart
from gateway.approvals.calibration import FALSE_ALARM, LAST, drift, people_of, rules_of
from gateway.approvals.intervals import credible, cumulative, fisher, quantile, wilson

from .asked import sample

totals = st.integers(1, 400).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))


@given(totals)
def test_intervals_hold_the_share_and_lie_within_bounds(drawn):
    yes, total = drawn
    for low, high in (credible(yes, total), wilson(yes, total)):
        assert 0 <= low < high <= 1
        assert low <= (yes + 1) / (total + 2) <= high


@given(st.integers(1, 60), st.integers(1, 60), st.floats(0.01, 0.99))
def test_the_beta_distribution_of_whole_numbers_is_a_sum_of_binomials(a, b, x):
    """I_x(a, b) is the chance of at least a hits in a + b - 1 trials (Abramowitz and Stegun, 6.6.4)."""
    n = a + b - 1
    exact = sum(comb(n, hits) * x**hits * (1 - x) ** (n - hits) for hits in range(a, n + 1))
    assert isclose(cumulative(x, a, b), exact, rel_tol=1e-9, abs_tol=1e-12)


@given(st.floats(0.001, 0.999), st.floats(0.5, 500), st.floats(0.5, 500))
def test_a_quantile_is_where_the_distribution_is(chance, a, b):
    assert isclose(cumulative(quantile(chance, a, b), a, b), chance, abs_tol=1e-6)


def test_known_values():
    assert credible(200, 200)[0] == pytest.approx(0.025 ** (1 / 201), abs=1e-9)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)  # Newcombe 1998's method 3
    assert fisher(3, 4, 1, 4) == pytest.approx(34 / 70)  # Fisher's lady tasting tea, two-sided
    assert fisher(8, 10, 1, 6) == pytest.approx(0.034965, abs=1e-6)


@given(totals, totals)
def test_fishers_test_does_not_care_which_side_is_which(one, other):
    assert isclose(fisher(*one, *other), fisher(*other, *one), rel_tol=1e-6)
    assert 0 < fisher(*one, *other) <= 1


@pytest.mark.parametrize("rate", [0.5, 0.9, 0.97])
def test_where_nothing_changes_drift_is_said_no_oftener_than_stated(rate):
    random = Random(1)
    alarms = sum(drift([random.random() < rate for _ in range(300)]) is not None for _ in range(1000))
    assert alarms <= 1000 * FALSE_ALARM + 10  # beyond three standard deviations


def test_a_rule_that_changes_drifts():
    found = drift([True] * 200 + [False, True] * 25)
    assert found is not None
    assert found[:2] == (1.0, 0.5)
    assert found[2] < 1e-9
    assert drift([True] * LAST + [False] * (LAST - 1)) is None  # too few before to tell


def test_alpha_is_one_where_all_agree_zero_by_chance_and_none_where_nobody_could_disagree():
    both = [
        sample(votes=(("ann", "approve"), ("bob", "approve"))),
        sample("deny", votes=(("ann", "deny"), ("bob", "deny"))),
    ]
    split = [sample("deny", votes=(("ann", "approve"), ("bob", "deny")))]
    assert alpha(both) == 1.0
    assert alpha(split * 2 + both) == pytest.approx(1 - 7 * 4 / 32)
    assert alpha([sample(), sample("deny")]) is None
    assert alpha(both[:1]) is None


def test_who_decides_unlike_the_others_is_named_and_chance_is_not():
    lenient = [sample("approve", "max") for _ in range(60)]
    usual = [sample("approve" if number % 2 else "deny", ("ann", "bob")[number % 4 // 2]) for number in range(80)]
    assert apart(lenient + usual) == ["max"]
    assert apart(usual) == []
    assert apart([*lenient, *[sample("deny", "ann") for _ in range(30)]]) == ["ann", "max"]  # nobody knows who is right
    assert apart(lenient) == []


def test_reports_count_what_people_did_and_leave_canaries_to_people():
    samples = [sample() for _ in range(8)] + [
        sample("edit", looked=40),
        sample("deny", looked=0),
        sample("approve", looked=1),
        sample("approve", looked=1),
        sample("approve", canary=True),
        sample("deny", canary=True),
    ]
    (report,) = rules_of(samples)
    assert (report.n, report.approved) == (12, 11)
    assert report.edited == pytest.approx(1 / 12)
    assert report.rubber_stamps == pytest.approx(2 / 10)
    assert report.median_looked == 10.0
    (person,) = people_of(samples)
    assert (person.who, person.n, person.canaries, person.caught, person.streak) == ("ann", 14, 2, 1, 2)


def test_a_call_that_two_rules_held_counts_for_both():
    reports = rules_of([sample(rules=("a/x", "a/y")), sample("deny", rules=("a/x",))])
    assert [(one.rule, one.n, one.approved) for one in reports] == [("a/x", 2, 1), ("a/y", 1, 1)]
    assert rules_of([]) == people_of([]) == []
