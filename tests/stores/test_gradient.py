"""A limit that follows the latency of a tool."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.stores.gradient import BEGIN, Gradient


def fed(gradient: Gradient, seconds: float, times: int) -> float:
    """The limit after so many answers, each after so many seconds, with every place taken."""
    for _ in range(times):
        gradient.answered(seconds, int(gradient.limit))
    return gradient.limit


def test_it_begins_small_and_grows_while_answers_come_as_fast_as_ever():
    gradient = Gradient(1, 200)
    assert gradient.limit == BEGIN
    assert fed(gradient, 0.1, 10) > BEGIN
    assert fed(gradient, 0.1, 400) == 200


def test_it_sinks_where_answers_come_later_and_recovers():
    gradient = Gradient(1, 200)
    before = fed(gradient, 0.1, 50)
    slow = fed(gradient, 0.5, 20)
    assert slow < before / 2
    assert fed(gradient, 0.1, 200) > before


def test_it_tolerates_answers_half_as_slow_again():
    gradient = Gradient(1, 100)
    before = fed(gradient, 0.1, 20)
    assert fed(gradient, 0.15, 5) >= before


def test_it_does_not_grow_while_few_calls_come():
    gradient = Gradient(1, 200)
    for _ in range(100):
        gradient.answered(0.1, 3)
    assert gradient.limit == BEGIN


def test_calls_that_fail_together_count_once():
    gradient = Gradient(1, 200)
    for began in range(10):
        gradient.failed(float(began), 20.0 + began)
    assert gradient.limit == BEGIN * 0.9
    gradient.failed(30.0, 40.0)
    assert gradient.limit < BEGIN * 0.9


def test_new_bounds_keep_what_was_learnt():
    gradient = Gradient(1, 200)
    learnt = fed(gradient, 0.1, 30)
    gradient.bound(1, 300)
    assert gradient.limit == learnt
    gradient.bound(1, 10)
    assert gradient.limit == 10
    gradient.bound(50, 100)
    assert gradient.limit == 50


def test_what_lasts_is_taken_for_usual():
    """A tool that is slower for good is not left with the fewest calls for ever."""
    gradient = Gradient(1, 200)
    fed(gradient, 0.1, 50)
    low = fed(gradient, 1.0, 30)
    assert fed(gradient, 1.0, 1000) > 2 * low


@given(
    least=st.integers(1, 50),
    more=st.integers(0, 100),
    events=st.lists(st.tuples(st.floats(0, 100), st.integers(0, 300), st.booleans()), max_size=100),
)
def test_it_stays_within_its_bounds_whatever_comes(least, more, events):
    gradient = Gradient(least, least + more)
    for number, (seconds, under_way, failed) in enumerate(events):
        if failed:
            gradient.failed(float(number), number + seconds)
        else:
            gradient.answered(seconds, under_way)
        assert least <= gradient.limit <= least + more
