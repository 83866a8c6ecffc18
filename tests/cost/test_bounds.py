"""What a call can cost at most is never less than what it does cost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.cost.bounds import CONTEXT, affordable, dearest, read_at_most
from gateway.cost.rates import Rates, Tier
from gateway.model import Extent, Usage

price = st.floats(0, 200, allow_nan=False)
maybe = st.none() | price


@st.composite
def rates(draw: st.DrawFn) -> Rates:
    tiers = [
        Tier(above, Rates(draw(price), draw(price), draw(maybe), draw(maybe), draw(maybe)))
        for above in sorted(draw(st.lists(st.integers(1, 100_000), max_size=2, unique=True)), reverse=True)
    ]
    plain = (draw(price), draw(price), draw(maybe), draw(maybe), draw(maybe), draw(st.floats(0, 0.1)))
    return Rates(*plain, tuple(tiers), draw(st.sampled_from([0, 128_000])))


extents = st.builds(Extent, st.integers(0, 200_000), st.integers(0, 50_000), st.just(1), st.booleans())
parts = st.tuples(*[st.floats(0, 1)] * 5)


@given(st.lists(rates(), min_size=1, max_size=3), extents, parts)
def test_no_usage_within_the_extent_costs_more_than_the_bound(
    known: list[Rates], extent: Extent, share: tuple[float, ...]
) -> None:
    read, written = int(read_at_most(extent, known) * share[0]), int(extent.output * share[1])
    usage = Usage("m", read, written, int(read * share[2]), int(read * share[3]), int(written * share[4]))
    for each in known:
        assert each.cost(usage) * 1e6 <= dearest(extent, known) + 1e-3


@given(st.lists(rates(), min_size=1, max_size=3), extents, st.integers(0, 10_000_000))
def test_what_is_affordable_costs_no_more_than_there_is(known: list[Rates], extent: Extent, amount: int) -> None:
    tokens = affordable(extent, known, amount)
    assert 0 <= tokens <= extent.output
    least = dearest(structs.replace(extent, output=0), known)
    if least <= amount:
        assert dearest(structs.replace(extent, output=tokens), known) <= amount + 1
    if tokens < extent.output:
        assert dearest(structs.replace(extent, output=tokens + 1), known) >= amount


def test_what_lies_elsewhere_may_fill_the_whole_context():
    extent = Extent(10, 5, 1, True)
    assert read_at_most(extent) == CONTEXT
    assert read_at_most(extent, [Rates(1.0, context=128_000), Rates(1.0, context=8_000)]) == 128_000
    assert read_at_most(extent, [Rates(1.0, context=128_000), Rates(1.0)]) == CONTEXT
    assert read_at_most(structs.replace(extent, input=2 * CONTEXT)) == 2 * CONTEXT
    assert read_at_most(structs.replace(extent, beyond=False)) == 10


def test_amounts_are_whole_micro_dollars_rounded_up():
    assert dearest(Extent(1, 0), [Rates(0.1)]) == 1
    assert dearest(Extent(0, 0), [Rates(0.1)]) == 0
    assert dearest(Extent(3_000_000, 0), [Rates(0.1)]) == 300_000
    assert dearest(Extent(0, 0), [Rates(0.0, request=0.005)]) == 5000


def test_sound_is_dearer_only_where_there_may_be_some():
    rates = [Rates(1, 2, heard=10, spoken=20)]
    assert dearest(Extent(100, 100), rates) == 300
    spoken = Extent(100, 100, sound=True)
    assert dearest(spoken, rates) == 3000
    assert affordable(spoken, rates, 2000) == 50
