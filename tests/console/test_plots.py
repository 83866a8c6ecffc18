"""Where things lie in plots: always within them."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.console.plots import bars, line, stairs, stay, top

COUNTS = st.integers(0, 10**6)


@given(st.lists(st.tuples(COUNTS, COUNTS, COUNTS), max_size=80))
def test_bars_lie_within_the_plot(counts):
    stretches = [SimpleNamespace(at=n, calls=a + b + c, refused=b, failed=c) for n, (a, b, c) in enumerate(counts)]
    for bar in bars(stretches, 600, 60):
        assert 0 <= bar.x < 600
        assert bar.refused + bar.failed <= bar.calls + 0.02
        assert 0 <= bar.calls <= 60


@given(st.lists(st.none() | st.floats(0, 1e6), max_size=60))
def test_a_line_is_interrupted_where_there_is_no_value(values):
    pieces = line(values, top(values), 600, 90)
    runs = "".join("x" if value is not None else " " for value in values).split()
    assert len(pieces) == len(runs)
    for piece in pieces:
        points = [tuple(map(float, point.split(","))) for point in piece.split()]
        assert len(points) > 1
        assert all(-3 <= x <= 603 and 0 <= y <= 90 for x, y in points)


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e4)), max_size=30))
def test_what_adds_up_never_falls(points):
    drawn = stairs(sorted(points), 600, 60)
    heights = [float(point.split(",")[1]) for point in drawn.split()]
    assert heights == sorted(heights, reverse=True)
    assert bool(drawn) == bool(points)


@given(st.floats(0, 1e6), st.floats(0, 1e4), st.floats(0, 1), st.floats(0, 1e7), st.floats(0, 1e7))
def test_a_call_lies_within_its_run(first, length, share, waited, total):
    found = stay(first, first + length, first + length * share, waited, total)
    assert 0 <= found.begin
    assert found.begin + found.width <= 100.001
    assert 0.5 <= found.width
    assert found.waited <= found.width + 0.001


@given(st.lists(st.floats(0, 1e9), min_size=1))
@example([5e-324])
def test_the_top_of_a_plot_is_round_and_not_below_its_values(values):
    most = top(values)
    assert most >= max(values)
    assert most <= max(1.0, 10 * max(values))
