"""Windows of budgets: when they end, and what is forgotten then."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.stores.windows import SLOTS, end_of, moment, spending


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("window", "now", "ends"),
    [
        ("hour", "2026-11-30T20:24:55", "2026-11-30T21:00:00"),
        ("hour", "2026-11-30T20:00:00", "2026-11-30T21:00:00"),
        ("day", "2026-02-28T23:59:59", "2026-03-01T00:00:00"),
        ("month", "2026-12-31T23:59:59", "2027-01-01T00:00:00"),
        ("month", "2028-02-29T12:00:00", "2028-03-01T00:00:00"),
    ],
)
def test_a_window_of_the_calendar_ends_where_the_next_begins(window: str, now: str, ends: str) -> None:
    assert end_of(window, at(now)) == at(ends)
    assert moment(at(ends)) == f"{ends}Z"


def test_what_was_spent_is_forgotten_when_the_window_ends_and_not_before():
    kept = spending("hour", 0.0)
    kept.add(7, at("2026-11-30T20:59:59"))
    assert (kept.roll(at("2026-11-30T20:59:59.9")), kept.spent) == (False, 7)
    assert (kept.roll(at("2026-11-30T21:00:00")), kept.spent) == (True, 0)


def test_a_window_without_an_end_forgets_nothing():
    kept = spending("total", 0.0)
    kept.add(7, 10.0)
    kept.roll(1e12)
    assert (kept.spent, kept.ends) == (7, 0.0)


def test_a_clock_that_is_set_back_gives_nothing_back():
    for window in ("hour", "rolling"):
        kept = spending(window, 600.0)
        kept.add(5, 10_000.0)
        kept.add(2, 100.0)
        assert kept.spent == 7


@given(
    st.lists(st.tuples(st.floats(0, 500), st.integers(1, 1000)), max_size=40),
    st.sampled_from([60.0, 600.0, 3600.0]),
)
def test_a_rolling_window_forgets_nothing_too_soon_and_all_soon_after(
    steps: list[tuple[float, int]], seconds: float
) -> None:
    kept, now, spent = spending("rolling", seconds), 1e6, []
    for pause, amount in steps:
        now += pause
        kept.add(amount, now)
        spent.append((now, amount))
        held = sum(each for when, each in spent if when > now - seconds)
        most = sum(each for when, each in spent if when >= now - seconds * (1 + 1 / SLOTS) - 1e-3)
        assert held <= kept.spent <= most
    if spent:
        assert kept.ends > now - seconds / SLOTS
        kept.roll(now + seconds * (1 + 1 / SLOTS) + 1)
        assert (kept.spent, kept.ends) == (0, 0.0)
