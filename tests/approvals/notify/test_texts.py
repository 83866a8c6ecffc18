"""Texts of agents in messages."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.approvals.notify.texts import cut, line, unlinked

URL = re.compile(r"(https?|ftp)://", re.IGNORECASE)


@pytest.mark.parametrize(
    "text",
    [
        "https://evil.example/approve",
        "HTTP://evil.example",
        "see http://a.b,http://c.d",
        "javascript:x https:\\/\\/evil.example",
        "mailto:a@evil.example",
        "evil.example/login",
        "www.evil.example",
        "evil\u3002example",
        "a@evil.example",
    ],
)
def test_nothing_of_it_is_an_address(text: str) -> None:
    shown = unlinked(text)
    assert not URL.search(shown)
    assert "mailto:" not in shown
    assert not re.search(r"[\w-][.\u3002][a-z]{2}", shown)


def test_what_is_no_address_stays() -> None:
    assert unlinked('{"amount": 12.5, "at": "10:30"}') == '{"amount": 12.5, "at": "10:30"}'


@given(st.text())
def test_a_line_is_one_line_with_nothing_hidden(text: str) -> None:
    shown = line(text, 50)
    assert len(shown) <= 50
    assert not re.search(r"[\x00-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2060-\u2069]", shown)


@given(st.text(), st.integers(10, 100))
def test_what_is_cut_says_so(text: str, longest: int) -> None:
    shown = cut(text, longest)
    assert len(shown) <= longest
    assert shown == text or shown.endswith("[...]")
