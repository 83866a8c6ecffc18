"""Of long texts only the pieces are read in which something may stand; what is found is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.flow.forms import (
    addresses_in,
    days_in,
    hidden_in,
    hours_in,
    leads_in,
    numbers_in,
    phones_in,
    yearless_in,
)
from gateway.flow.index import Index
from gateway.flow.looks import look_for

PIECES = st.sampled_from(
    [
        *"a1.@:/ <>\"'`-_+,()\u200b\u00e9",
        "may ",
        "30th of ",
        "december ",
        "2026",
        "5 pm",
        "12:30",
        "1,000.50",
        "03/04/2026",
        "+49 170 1234567",
        "DE89 3704 0044 0532 0130 00",
        "0x" + "a1" * 20,
        "bob@corp.com",
        "www.corp.com/a",
        "https://corp.com/?b=1",
        "lock.acquire()",
        "Ym9iLnNtaXRoQGNvcnAuY29t",
        "no digits in these words ",
    ]
)
FILL = " and so on, until nobody reads it any more" * 5
FINDERS: list[Callable[[str], Iterator[Any]]] = [
    addresses_in,
    days_in,
    hidden_in,
    hours_in,
    leads_in,
    numbers_in,
    phones_in,
    yearless_in,
]


@pytest.mark.parametrize("found_in", FINDERS)
@given(pieces=st.lists(st.lists(PIECES, max_size=8).map("".join), max_size=4))
@settings(max_examples=80, deadline=None)
def test_what_stands_far_apart_is_found_as_what_stands_alone(
    found_in: Callable[[str], Iterator[Any]], pieces: list[str]
) -> None:
    alone = [found for piece in pieces for found in found_in(f" {piece} ")]
    together = f"{FILL} ; ".join([f" {piece} " for piece in ["", *pieces, ""]])
    assert sorted(map(str, found_in(together))) == sorted(map(str, alone))


@given(st.lists(PIECES, min_size=1, max_size=6).map("".join), st.lists(PIECES, max_size=12).map("".join))
@settings(max_examples=200, deadline=None)
def test_words_are_found_before_the_text_is_taken_apart_as_after(value: str, text: str) -> None:
    look = look_for(value)
    taken_apart = Index(f"{text} {value}s {FILL}")
    assert taken_apart.tokens
    assert Index(f"{text} {value}s {FILL}").tells(look) == taken_apart.tells(look)
