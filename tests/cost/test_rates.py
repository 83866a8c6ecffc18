"""Rates: the arithmetic of tokens, and whose rates count."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from gateway.cost.rates import CACHED, NAME_CAP, PERIOD, PriceBook, Rates, Terms, Tier
from gateway.model import Usage

CHEAP, DEAR = Rates(1, 2), Rates(10, 20)


class Shelf:
    """A catalogue with one provider, which keeps what it was asked."""

    def __init__(self, **models: Rates) -> None:
        self.models = models
        self.asked: list[tuple[str, str, float]] = []

    def rates(self, provider: str, model: str, at: float, terms: Terms = ()) -> Rates | None:
        self.asked.append((provider, model, at))
        return self.models.get(model) if provider == "acme" else None


def usage(model: str = "m", read: int = 1_000_000, written: int = 0, **rest: int) -> Usage:
    return Usage(model, read, written, **rest)


def test_input_and_output_cost_their_rates():
    assert Rates(3, 15).cost(usage(read=200, written=100)) == (200 * 3 + 100 * 15) / 1e6


def test_cached_tokens_are_parts_of_the_input_and_cost_their_own_rates():
    rates = Rates(10, 0, cache_read=1, cache_write=12.5)
    read = usage(read=1_000_000, cache_read_tokens=600_000, cache_write_tokens=100_000)
    assert math.isclose(rates.cost(read), 0.3 * 10 + 0.6 * 1 + 0.1 * 12.5)


def test_cached_tokens_without_a_rate_of_their_own_cost_what_input_costs():
    assert Rates(10).cost(usage(cache_read_tokens=400_000, cache_write_tokens=100_000)) == 10


def test_a_free_cache_is_not_a_cache_without_a_rate():
    assert Rates(10, cache_read=0).cost(usage(cache_read_tokens=1_000_000)) == 0


def test_reasoning_is_a_part_of_the_output():
    assert Rates(0, 10, reasoning=2).cost(usage(written=1_000_000, reasoning_tokens=500_000)) == 6
    assert Rates(0, 10).cost(usage(written=1_000_000, reasoning_tokens=500_000)) == 10


def test_sound_is_a_part_of_input_and_output_with_rates_of_its_own():
    told = usage(read=1_000_000, written=1_000_000, heard_tokens=300_000, spoken_tokens=400_000)
    assert math.isclose(Rates(1, 10, heard=30, spoken=60).cost(told), 0.7 * 1 + 0.3 * 30 + 0.6 * 10 + 0.4 * 60)
    assert Rates(1, 10).cost(told) == 11


def test_a_request_may_have_a_price_of_its_own():
    assert Rates(0, request=0.005).cost(usage()) == 0.005


def test_over_a_threshold_the_whole_call_costs_the_higher_rates():
    rates = Rates(1, 2, tiers=(Tier(200_000, Rates(5, 6)), Tier(100_000, Rates(3, 4))))
    assert rates.cost(usage(read=100_000)) == 0.1
    assert math.isclose(rates.cost(usage(read=100_001)), 0.300003)
    assert math.isclose(rates.cost(usage(read=200_001, written=1_000_000)), 1.000005 + 6)


counts = st.integers(-(10**400), 10**400)


@given(counts, counts, counts, counts, counts)
def test_whatever_counts_a_tool_gives_the_cost_is_finite_and_not_negative(read, written, cache_read, cache_write, why):
    rates = Rates(1, 2, 0.1, 1.25, 3, 0.001, (Tier(1000, Rates(2, 4)),))
    cost = rates.cost(Usage("m", read, written, cache_read, cache_write, why))
    assert math.isfinite(cost)
    assert cost >= 0


def test_the_operators_own_rates_win_over_the_catalogue():
    book = PriceBook({"m": DEAR}, Shelf(m=CHEAP))
    assert book.cost("acme", usage("m")) == 10
    assert PriceBook({}, Shelf(m=CHEAP)).cost("acme", usage("m")) == 1


def test_an_exact_name_wins_over_globs_and_an_earlier_glob_over_a_later():
    book = PriceBook({"gpt-*": Rates(1), "*": Rates(2), "gpt-5": Rates(3)})
    assert [book.cost("acme", usage(name)) for name in ("gpt-4", "other", "gpt-5")] == [1, 2, 3]


def test_own_rates_for_the_model_that_was_asked_count_for_the_dated_one_that_answered():
    book = PriceBook({"gpt-5": DEAR}, Shelf(**{"gpt-5-2025-08-07": CHEAP}))
    assert book.cost("acme", usage("gpt-5-2025-08-07"), "gpt-5") == 10


def test_where_the_answer_names_no_known_model_the_one_that_was_asked_counts():
    book = PriceBook({}, Shelf(m=CHEAP))
    assert book.cost("acme", usage(""), "m") == 1
    assert book.cost("acme", usage("m"), "my-deployment") == 1


def test_without_a_price_there_is_no_cost():
    assert PriceBook({}, Shelf(m=CHEAP)).cost("acme", usage("n"), "o") is None
    assert PriceBook({}, Shelf(m=CHEAP)).cost("other", usage("m")) is None
    assert PriceBook({}).cost("acme", usage("")) is None


def test_a_name_longer_than_any_models_is_not_looked_up():
    shelf = Shelf()
    assert PriceBook({"*": CHEAP}, shelf).rates("acme", "m" * (NAME_CAP + 1)) is None
    assert shelf.asked == []


def test_rates_are_found_once_and_again_in_the_next_period():
    now = 10 * PERIOD + 5.0
    shelf = Shelf(m=CHEAP)
    book = PriceBook({}, shelf, lambda: now)
    for _ in range(3):
        book.cost("acme", usage("m"))
        book.cost("acme", usage("unknown"))
    assert shelf.asked == [("acme", "m", 10.0 * PERIOD), ("acme", "unknown", 10.0 * PERIOD)]
    now += PERIOD
    book.cost("acme", usage("m"))
    assert shelf.asked[2:] == [("acme", "m", 11.0 * PERIOD)]


def test_names_that_agents_make_up_do_not_pile_up():
    shelf = Shelf()
    book = PriceBook({}, shelf)
    for number in range(CACHED + 1):
        book.rates("acme", f"m{number}")
    book.rates("acme", "m0")
    assert len(shelf.asked) == CACHED + 2
