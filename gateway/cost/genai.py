"""Prices of the providers' models from the data that the package genai-prices carries. Nothing is downloaded.

The one place that imports the package, and only when asked: it costs about 15 MB and 0.15 s (0.6 s, and 80 MB for a
moment, where it was installed without compiled bytecode). Reading its data file without the package was 9 MB cheaper,
but would tie us to its inner layout and repeat its matching of names, which is the part that must agree with it.

The package's own lookup is not used for calls: it takes half a millisecond, and remembers every name it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import structs

from gateway.cost.rates import Catalogue, Rates, Terms, Tier
from gateway.errors import ToolgateError

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice, Provider, TieredPrices


class PricesUnavailable(ToolgateError):  # noqa: N818 - named for what it tells the operator
    """The package with the prices is not installed."""


class GenaiPrices:
    """A catalogue over the package's providers."""

    def __init__(self, providers: Sequence[Provider]) -> None:
        self._providers = list(providers)

    def rates(self, provider: str, model: str, at: float, terms: Terms = ()) -> Rates | None:
        """The rates of a model at a time; see Catalogue. Matching a name takes 0.03 to 0.3 ms."""
        seller = self._provider(provider.lower().strip())
        found = seller.find_model(model, all_providers=self._providers) if seller is not None else None
        if seller is None or found is None:
            return None
        own = any(found is each for each in seller.models)  # another provider's model is not sold on its terms
        rates = rates_of(found.get_prices(datetime.fromtimestamp(at, UTC), dict(terms) if own else None))
        return rates if rates is None else structs.replace(rates, context=found.context_window or 0)

    def _provider(self, name: str) -> Provider | None:
        for provider in self._providers:
            if provider.id == name:
                return provider
        return next((p for p in self._providers if p.provider_match and p.provider_match.is_match(name)), None)


def load() -> Catalogue:
    """The catalogue that is installed. Call it while the configuration is loaded, never for a call.

    Raises:
        PricesUnavailable: genai-prices is not installed.
    """
    try:
        from genai_prices.data import providers
    except ImportError as error:
        raise PricesUnavailable(
            f"prices of models need the package genai-prices ({error}); install it, or give all prices under "
            "prices.models"
        ) from error
    return GenaiPrices(providers)


def rates_of(price: ModelPrice) -> Rates | None:
    """The token rates of a price, or None where the model is not sold by tokens (but by seconds, pages, characters).

    None too where the data lists a model without any price: it may be free, or nobody knows.
    """
    if price.input_mtok is None and price.output_mtok is None:
        return None
    starts = {tier.start for key in _KEYS for tier in getattr(getattr(price, key), "tiers", ())}
    tiers = tuple(Tier(start, _at(price, start + 1)) for start in sorted(starts, reverse=True))
    base = _at(price, 0)
    return structs.replace(base, tiers=tiers)


_KEYS = (
    "input_mtok",
    "output_mtok",
    "cache_read_mtok",
    "cache_write_mtok",
    "output_reasoning_mtok",
    "input_audio_mtok",
    "output_audio_mtok",
)


def _at(price: ModelPrice, tokens: int) -> Rates:
    """The rates for an input of so many tokens, without tiers."""
    read_in, written, read, write, reasoning, heard, spoken = [_one(getattr(price, key), tokens) for key in _KEYS]
    request = _one(price.requests_kcount, tokens) or 0.0
    per_request = request / 1000
    return Rates(read_in or 0.0, written or 0.0, read, write, reasoning, per_request, heard=heard, spoken=spoken)


def _one(price: Decimal | TieredPrices | None, tokens: int) -> float | None:
    if price is None or isinstance(price, Decimal):
        return None if price is None else float(price)
    return float(next((tier.price for tier in reversed(price.tiers) if tokens > tier.start), price.base))
