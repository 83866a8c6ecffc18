"""The token bucket as one number, against the bucket as everybody draws it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.stores.bucket import take

RATES = st.floats(0.001, 1000)
CAPACITIES = st.integers(1, 50).map(float)
GAPS = st.lists(st.floats(0, 20), min_size=1, max_size=60)


class Naive:
    """Tokens, refilled by the time that passed."""

    def __init__(self, capacity: float, rate: float) -> None:
        self.capacity, self.rate = capacity, rate
        self.tokens, self.at = capacity, 0.0

    def take(self, now: float) -> bool:
        self.tokens = min(self.capacity, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens + 1e-6 >= 1:
            self.tokens -= 1
            return True
        return False


def test_a_new_bucket_is_full_and_empties_token_by_token():
    full_at, left = 0.0, []
    for _ in range(4):
        ok, full_at, tokens, wait = take(full_at, 3, 1, 1, 100.0)
        left.append((ok, round(tokens, 6), round(wait, 6)))
    assert left == [(True, 2, 0), (True, 1, 0), (True, 0, 0), (False, 0, 1)]


def test_a_refused_take_changes_nothing():
    _, full_at, _, _ = take(0.0, 1, 1, 1, 100.0)
    for _ in range(5):
        ok, after, _, _ = take(full_at, 1, 1, 1, 100.5)
        assert not ok
        assert after == full_at


def test_an_idle_bucket_holds_no_more_than_its_capacity():
    full_at, taken = 0.0, 0
    while taken <= 10:
        ok, full_at, _, _ = take(full_at, 5, 1, 1, 1_000_000.0)
        if not ok:
            break
        taken += 1
    assert taken == 5


def test_a_call_that_costs_more_than_is_left_waits_for_just_that():
    _, full_at, _, _ = take(0.0, 10, 2, 8, 50.0)
    ok, _, left, wait = take(full_at, 10, 2, 5, 50.0)
    assert (ok, left, wait) == (False, pytest.approx(2), pytest.approx(1.5))


@given(CAPACITIES, RATES, GAPS, st.floats(0, 1e6))
def test_it_is_the_bucket_that_everybody_draws(capacity, rate, gaps, start):
    """Never more than rounding apart: where they differ, the naive bucket stands within a millionth of a token."""
    naive, full_at, now = Naive(capacity, rate), 0.0, start
    naive.at = start
    for gap in gaps:
        now += gap
        tokens = min(capacity, naive.tokens + (now - naive.at) * rate)
        ok, full_at, _, _ = take(full_at, capacity, rate, 1, now)
        if abs(tokens - 1) > 1e-4:
            assert ok == naive.take(now)
        elif ok:
            naive.tokens, naive.at = tokens - 1, now


@given(CAPACITIES, RATES, GAPS, st.floats(0, 1e6))
def test_no_window_holds_more_than_the_burst_and_what_was_refilled(capacity, rate, gaps, start):
    full_at, now, granted = 0.0, start, []
    for gap in gaps:
        now += gap
        ok, full_at, _, _ = take(full_at, capacity, rate, 1, now)
        if ok:
            granted.append(now)
    for first in range(len(granted)):
        for last in range(first, len(granted)):
            allowed = capacity + (granted[last] - granted[first]) * rate
            assert last - first + 1 <= allowed + 1e-3


@given(CAPACITIES, RATES, GAPS, st.floats(0, 1e6))
def test_the_wait_it_tells_is_true_neither_too_short_nor_too_long(capacity, rate, gaps, start):
    full_at, now = 0.0, start
    for gap in gaps:
        now += gap
        ok, full_at, _, wait = take(full_at, capacity, rate, 1, now)
        assert (wait == 0) == ok
        if not ok:
            assert take(full_at, capacity, rate, 1, now + wait + 1e-9 * now)[0], "after the wait there is a token"
            assert not take(full_at, capacity, rate, 1, now + wait * 0.99 - 1e-5 / rate)[0], "and not before"
