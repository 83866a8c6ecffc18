"""The catalogue agrees with the package that it is made from, and is loaded only when asked for."""

from __future__ import annotations

import math
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal

import genai_prices
import pytest
from genai_prices.data import providers
from genai_prices.types import ModelPrice
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cost.genai import PricesUnavailable, load, rates_of
from gateway.cost.rates import PriceBook, Terms
from gateway.model import Usage

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
CATALOGUE = load()
NAMED = [
    ("openai", "gpt-5-2025-08-07"),
    ("openai", "gpt-4o"),
    ("openai", "gpt-4.1-mini-2025-04-14"),
    ("openai", "o3"),
    ("openai", "text-embedding-3-small"),
    ("anthropic", "claude-sonnet-4-5-20250929"),
    ("anthropic", "claude-opus-4-6"),
    ("anthropic", "claude-haiku-5-5"),
    ("anthropic", "claude-opus-5-5"),
    ("openai", "gpt-6-sol"),
    ("google", "gemini-2.5-pro"),
    ("google", "gemini-2.5-flash"),
    ("azure", "gpt-4o"),
    ("deepseek", "deepseek-chat"),
    ("perplexity", "sonar-pro"),
    ("openai", "GPT-5"),
    ("OpenAI ", "gpt-5-20250807"),
]
ALL = [(provider.id, model.id) for provider in providers for model in provider.models]


def theirs(provider: str, usage: Usage, now: datetime = NOW, terms: Terms = ()) -> float:
    told = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_reasoning_tokens=usage.reasoning_tokens,
        input_audio_tokens=usage.heard_tokens,
        output_audio_tokens=usage.spoken_tokens,
    )
    price = genai_prices.calc_price(
        told,
        usage.model,
        provider_id=provider.strip(),
        genai_request_timestamp=now,
        price_context=dict(terms),
    )
    return float(price.total_price)


def ours(provider: str, usage: Usage, now: datetime = NOW, terms: Terms = ()) -> float | None:
    rates = PriceBook({}, CATALOGUE, now.timestamp).rates(provider, usage.model, terms=terms)
    return None if rates is None else rates.cost(usage)


TERMS: list[Terms] = [(), *[(("service_tier", tier),) for tier in ("flex", "priority", "fast", "auto")]]
TERMS += [(("speed", "fast"),), (("service_tier", "priority"), ("speed", "fast"))]


@st.composite
def usages(draw: st.DrawFn, model: str) -> Usage:
    read = draw(st.integers(0, 2_000_000) | st.sampled_from([0, 1, 100_000, 128_001, 200_000, 200_001, 272_001]))
    cache_read = draw(st.integers(0, read))
    cache_write = draw(st.integers(0, read - cache_read))
    written = draw(st.integers(0, 200_000))
    return Usage(model, read, written, cache_read, cache_write, draw(st.integers(0, written)))


@pytest.mark.parametrize(("provider", "model"), NAMED)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_named_model_costs_what_the_package_says(provider, model, data):
    usage, terms = data.draw(usages(model)), data.draw(st.sampled_from(TERMS))
    cost = ours(provider, usage, NOW, terms)
    assert cost is not None
    assert math.isclose(cost, theirs(provider, usage, NOW, terms), rel_tol=1e-9, abs_tol=1e-12)


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_any_model_costs_what_the_package_says_at_any_time(data):
    provider, model = data.draw(st.sampled_from(ALL))
    usage, terms = data.draw(usages(model)), data.draw(st.sampled_from(TERMS))
    quarter = data.draw(st.integers(0, 4 * 24 * 365 * 3))
    now = datetime.fromtimestamp(1_704_067_200 + quarter * 900, UTC)
    cost = ours(provider, usage, now, terms)
    if cost is not None:
        assert math.isclose(cost, theirs(provider, usage, now, terms), rel_tol=1e-9, abs_tol=1e-12)


@pytest.mark.parametrize(("provider", "model"), [("openai", "gpt-audio"), ("google", "gemini-2.5-flash")])
def test_sound_costs_what_the_package_says(provider, model):
    usage = Usage(model, 1000, 500, heard_tokens=800, spoken_tokens=300)
    cost = ours(provider, usage)
    assert cost is not None
    assert math.isclose(cost, theirs(provider, usage), rel_tol=1e-9)
    assert cost > 1.3 * ours(provider, Usage(model, 1000, 500))


def test_most_models_have_a_price_in_tokens():
    priced = [pair for pair in ALL if CATALOGUE.rates(*pair, NOW.timestamp()) is not None]
    assert len(priced) > 0.85 * len(ALL)


def test_models_and_providers_that_nobody_knows_have_no_price():
    assert ours("openai", Usage("no-such-model", 1)) is None
    assert ours("no-such-provider", Usage("gpt-4o", 1)) is None


def test_a_listed_model_without_any_price_is_unpriced_rather_than_free():
    assert rates_of(ModelPrice()) is None


def test_what_is_not_sold_by_tokens_has_no_price_rather_than_none_to_pay():
    assert rates_of(ModelPrice(audio_hours=Decimal(1))) is None
    assert ours("openai", Usage("whisper-1", 1000)) is None


def test_made_up_names_are_not_kept_by_the_package():
    before = len(genai_prices.data_snapshot.get_snapshot()._lookup_cache)
    for number in range(50):
        assert ours("anthropic", Usage(f"claude-sonnet-4-5-{number}", 1)) is not None
    assert len(genai_prices.data_snapshot.get_snapshot()._lookup_cache) == before


def test_the_package_is_imported_by_load_alone():
    program = (
        "import sys, gateway.cost.genai, gateway.cost.pricer, gateway.app\n"
        "assert 'genai_prices' not in sys.modules\n"
        "gateway.cost.genai.load()\n"
        "assert 'genai_prices' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_missing_package_is_told_with_the_fix(monkeypatch):
    monkeypatch.setitem(sys.modules, "genai_prices.data", None)
    with pytest.raises(PricesUnavailable, match=r"install it, or give all prices under prices\.models"):
        load()
