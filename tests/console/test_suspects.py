"""What people would not notice in a text is marked, and nothing else of it changes."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.console.suspects import Suspects
from gateway.policy.visible import visible


@pytest.mark.parametrize(
    ("text", "hidden", "mixed"),
    [
        ('plain text, 3 < 4 & "so" on\n\ttabbed', 0, 0),
        ("für Müller, 東京, Привет мир", 0, 0),
        ("to\u202e the left", 1, 0),
        ("zero\u200bwidth\u200d", 2, 0),
        ("tags \U000e0041\U000e0042", 2, 0),
        ("a non-breaking\u00a0space", 1, 0),
        ("раypal", 0, 1),
        ("pay to раура.com today", 0, 1),
        ("user@ехаmple.org and user@example.org", 0, 1),
        ("Αpple", 0, 1),
        ("ｐaypal", 0, 1),
        ("𝐩aypal", 0, 1),
        ("раypal\u200b раypal", 1, 2),
    ],
)
def test_what_is_suspicious_is_counted(text: str, hidden: int, mixed: int) -> None:
    suspects = Suspects()
    suspects.mark(text)
    assert (suspects.hidden, suspects.mixed) == (hidden, mixed)
    assert bool(suspects) == bool(hidden or mixed)


def test_marks_stand_where_it_is() -> None:
    shown = Suspects().mark("a<b>\u200b раура.com")
    assert "a&lt;b&gt;" in shown
    assert re.search(r'<mark class="unseen"[^>]*>\\u200b</mark>', shown)
    assert re.search(r'<mark class="mixed" title="letters of Cyrillic and Latin[^"]*">раура\.com</mark>', shown)


@given(st.text())
def test_the_text_is_what_it_was_and_no_markup_of_its_own(text: str) -> None:
    """Without the marks it is what ``visible`` makes of it, escaped."""
    marked = str(Suspects().mark(text))
    assert html.unescape(re.sub(r"</?mark[^>]*>", "", marked)) == visible(text)
    assert not re.search(r"<(?!/?mark\b)", marked)
