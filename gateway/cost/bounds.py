"""What a call can cost at most, before it is made."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor

from gateway.cost.rates import Rates
from gateway.model import Extent

MICRO = 1_000_000
"""Micro-dollars in a US dollar."""

CONTEXT = 1 << 20
"""Tokens that a model may read of which nobody knows how many it can: as many as the largest in common use do."""


def read_at_most(extent: Extent, rates: Sequence[Rates] = ()) -> int:
    """Tokens that the model reads at most: what stands in the request, and where it refers to more, a whole context."""
    if not extent.beyond:
        return extent.input
    return max(extent.input, *[each.context or CONTEXT for each in rates], 0 if rates else CONTEXT)


def dearest(extent: Extent, rates: Sequence[Rates]) -> int:
    """Micro-dollars, rounded up, that the tokens of a call can cost at most with any of these rates."""
    read = read_at_most(extent, rates)
    return max(
        ceil(
            round(
                (read * _input(each, extent) + extent.output * _output(each, extent)) / 1e6 * MICRO
                + each.request * MICRO,
                6,
            )
        )
        for one in rates
        for each in _applicable(one, read)
    )


def affordable(extent: Extent, rates: Sequence[Rates], amount: int) -> int:
    """Tokens that all answers together may have at most, so that the call costs no more than ``amount``
    micro-dollars."""
    read = read_at_most(extent, rates)
    return min(
        _afforded(amount - read * _input(each, extent) - each.request * MICRO, _output(each, extent), extent.output)
        for one in rates
        for each in _applicable(one, read)
    )


def _afforded(left: float, price: float, most: int) -> int:
    # A micro-dollar a token is a dollar for a million: prices are in the unit that is needed here.
    return most if price <= 0 else floor(min(float(most), max(0.0, round(left / price, 6))))


def _applicable(rates: Rates, read: int) -> list[Rates]:
    """The base rates and those of every tier that an input of at most so many tokens may reach."""
    return [rates, *[tier.rates for tier in rates.tiers if tier.above < read]]


def _input(rates: Rates, extent: Extent) -> float:
    return max(rates.input, rates.cache_write or 0.0, rates.cache_read or 0.0, (rates.heard or 0.0) * extent.sound)


def _output(rates: Rates, extent: Extent) -> float:
    return max(rates.output, rates.reasoning or 0.0, (rates.spoken or 0.0) * extent.sound)
