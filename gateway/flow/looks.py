"""What is looked for where a value may have been told: the forms that count as the same."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from msgspec import Struct

from gateway.flow.forms import (
    address,
    code,
    days_in,
    decoded,
    groupings,
    hours_in,
    normal,
    number,
    phone,
    tokens,
    without_moments,
    words,
)

LONGEST = 65_536
"""Characters of a value; what is longer was told by nobody."""
MOST_REMEMBERED, LONGEST_REMEMBERED = 2048, 128
"""Values whose forms are remembered, and characters of each: agents send the same ones many times."""
_SHORTEST_DIGITS = 5
"""Digits of a number that may also stand within a code; fewer only as a number of their own."""


class Look(Struct, frozen=True):
    """A value in the forms in which it may stand in what was heard."""

    value: str
    addresses: tuple[bytes, ...] = ()
    figures: tuple[bytes, ...] = ()
    phones: tuple[bytes, ...] = ()
    needles: tuple[bytes, ...] = ()
    moments: tuple[bytes, ...] = ()

    @property
    def leads(self) -> bool:
        """Whether it is an address."""
        return bool(self.addresses)


def look_for(value: Any) -> Look:
    """The forms of a text or number.

    Addresses are compared whole: a part of an address is another address. So are numbers, days and hours. A code
    (account, card) is the same however it is grouped, any other text whatever its case and blanks are.
    """
    if isinstance(value, str):
        return _of(value) if len(value) <= LONGEST_REMEMBERED else _in_all_forms(value)
    figure = number(value)
    return Look(str(value), figures=(_line(figure),) if figure else ())


def _in_all_forms(value: str) -> Look:
    if len(value) > LONGEST:
        return Look(value[:100])
    found = _of_text(value)
    hidden = decoded(value)
    if not hidden or found.addresses:
        return found
    inner = _of_text(hidden)
    return Look(
        value,
        inner.addresses,
        found.figures + inner.figures,
        found.phones,
        found.needles + inner.needles,
        found.moments or inner.moments,
    )


_of = lru_cache(MOST_REMEMBERED)(_in_all_forms)


def _of_text(value: str) -> Look:
    if led := address(value):
        return Look(value, addresses=(_line(led),))
    flat = normal(value)
    if not any(map(str.isalnum, flat)):
        return Look(value)  # signs alone stand everywhere
    if figure := number(value):
        digits = sum(map(str.isdigit, value))
        whole = tokens(flat)
        called = phone(value)
        return Look(
            value,
            figures=(_line(figure),),
            phones=(_line(called),) if called else (),
            needles=(whole,) if digits >= _SHORTEST_DIGITS and value.strip().isdigit() else (),
        )
    moments = [*days_in(flat), *hours_in(flat)] if len(flat) <= 100 else []
    if moments and not words(without_moments(flat).replace("t", " ", 1)):
        return Look(value, moments=tuple(map(_line, dict.fromkeys(moments))))
    called, needles = phone(value), [tokens(flat)]
    if packed := code(value):
        needles += [tokens(grouping) for grouping in groupings(packed)]
    return Look(
        value,
        phones=(_line(called),) if called else (),
        needles=tuple(dict.fromkeys([each for each in needles if each])),
    )


def _line(value: str) -> bytes:
    return f"\n{value}\n".encode("utf-8", "surrogatepass")
