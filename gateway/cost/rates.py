"""Rates of models, and the price of what one has read and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Protocol

from msgspec import Struct

from gateway.model import Usage
from gateway.policy.globs import glob_regex

CACHED = 1024
"""Models whose rates are kept at hand. Agents choose the names, so there must be a bound."""

NAME_CAP = 256
"""Characters of a model's name. Longer ones have no price: agents choose the names, and matching takes time."""

PERIOD = 900
"""Seconds for which found rates are good. Prices change on a day or at an hour (off-peak), never within a quarter."""

TOKEN_CAP = 1 << 40
"""More tokens than any call can have: an absurd count from a tool must not overflow."""


class Rates(Struct, frozen=True):
    """US dollars for a million tokens."""

    input: float
    output: float = 0.0
    cache_read: float | None = None
    """Tokens read from a cache; None: they cost what input costs."""
    cache_write: float | None = None
    """Tokens written to a cache; None: they cost what input costs."""
    reasoning: float | None = None
    """Tokens of reasoning; None: they cost what output costs."""
    request: float = 0.0
    """US dollars for each request, whatever it reads."""
    tiers: tuple[Tier, ...] = ()
    """Dearer rates for long inputs, the longest first."""
    heard: float | None = None
    """Tokens of sound that is read; None: they cost what input costs."""
    spoken: float | None = None
    """Tokens of sound that is written; None: they cost what output costs."""
    context: int = 0
    """Tokens that the model can read; 0 where that is not known."""

    def cost(self, usage: Usage) -> float:
        """US dollars for the tokens of one call: finite, not negative, whatever counts the tool gave."""
        read_in = _count(usage.input_tokens)
        rates = next((tier.rates for tier in self.tiers if read_in > tier.above), self) if self.tiers else self
        written = _count(usage.output_tokens)
        total = 0.0
        if cached := min(read_in, _count(usage.cache_read_tokens)):
            total += cached * (rates.input if rates.cache_read is None else rates.cache_read)
            read_in -= cached
        if cached := min(read_in, _count(usage.cache_write_tokens)):
            total += cached * (rates.input if rates.cache_write is None else rates.cache_write)
            read_in -= cached
        if rates.heard is not None:
            heard = min(read_in, _count(usage.heard_tokens))
            total += heard * rates.heard
            read_in -= heard
        if rates.spoken is not None:
            spoken = min(written, _count(usage.spoken_tokens))
            total += spoken * rates.spoken
            written -= spoken
        if rates.reasoning is not None:
            reasoned = min(written, _count(usage.reasoning_tokens))
            total += reasoned * rates.reasoning
            written -= reasoned
        total += read_in * rates.input + written * rates.output
        return total / 1e6 + rates.request


class Tier(Struct, frozen=True):
    """The rates of the whole call where its input has more than ``above`` tokens."""

    above: int
    rates: Rates


Terms = tuple[tuple[str, str], ...]
"""What a request asks for besides the model that changes its price, such as ``(("service_tier", "priority"),)``."""


class Catalogue(Protocol):
    """Known prices of providers' models."""

    def rates(self, provider: str, model: str, at: float, terms: Terms = ()) -> Rates | None:
        """The rates of a model at a time (seconds since the epoch), or None where no price in tokens is known."""


class PriceBook:
    """Rates by provider and model: the operator's own, then a catalogue's.

    ``own`` maps names or globs of models to rates; an exact name wins over globs, an earlier glob over a later one.
    ``wall`` gives the seconds since the epoch.
    """

    def __init__(
        self, own: Mapping[str, Rates], catalogue: Catalogue | None = None, wall: Callable[[], float] = lambda: 0.0
    ) -> None:
        self._own = dict(own)
        self._globs = [(glob_regex(name), rates) for name, rates in own.items() if "*" in name or "?" in name]
        self._catalogue = catalogue
        self._wall = wall
        self._cached = lru_cache(CACHED)(self._find)

    def rates(self, provider: str, model: str, asked: str = "", terms: Terms = ()) -> Rates | None:
        """Rates of the model that answered; where that name is unknown, of the one that was ``asked`` for.

        The operator's own rates for either name win: who prices ``gpt-5`` means ``gpt-5-2025-08-07`` too, which is
        what the provider answers. ``terms`` are for the catalogue: own rates are the same under all.
        """
        model = model if len(model) <= NAME_CAP else ""
        asked = asked if len(asked) <= NAME_CAP else ""
        return self._cached(provider, model, asked, terms, int(self._wall() // PERIOD))

    def cost(self, provider: str, usage: Usage, asked: str = "") -> float | None:
        """US dollars for the tokens of one call, or None where no price is known; ``asked`` as in ``rates``."""
        rates = self.rates(provider, usage.model, asked)
        return None if rates is None else rates.cost(usage)

    def _find(self, provider: str, model: str, asked: str, terms: Terms, period: int) -> Rates | None:
        names = [name for name in dict.fromkeys((model, asked)) if name]
        for name in names:
            if (rates := self._of_own(name)) is not None:
                return rates
        if self._catalogue is not None:
            for name in names:
                if (rates := self._catalogue.rates(provider, name, float(period * PERIOD), terms)) is not None:
                    return rates
        return None

    def _of_own(self, name: str) -> Rates | None:
        found = self._own.get(name)
        return found if found is not None else next((r for regex, r in self._globs if regex.fullmatch(name)), None)


def _count(tokens: int) -> int:
    return min(max(tokens, 0), TOKEN_CAP)
