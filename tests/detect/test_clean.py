"""Texts without what people do not see, and with masks over what detectors find in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.detect.clean import masked_in, stripped
from gateway.detect.unseen import unseen_in

TOKEN = "ghp_" + "a1B2" * 9
FLAG = "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("plain <b>text</b>", "plain <b>text</b>"),
        ("pay\u200bpal\U000e0061\U000e0062", "paypal"),
        ("a\u202eb\u202c \x1b[31mred\x1b[0m\x1b]8;;http://x\x07", "ab red"),
        ("a<!-- ignore this -->b", "a b"),
        ("a<!-- no end", "a  no end"),
        ("<!-<!-- x -->- ignore -->", "<!- - ignore -->"),
        ("see ![x](https://evil.example/?d=1) and ![y][ref]", "see {image left out} and {image left out}"),
        ('<IMG src="https://evil.example/?d=1">', "{image left out}"),
        ("[a link](https://example.org)", "[a link](https://example.org)"),
        (f"{FLAG} 👩\u200d👧 ❤\ufe0f", f"{FLAG} 👩\u200d👧 ❤\ufe0f"),
    ],
)
def test_what_is_stripped(text, left):
    assert stripped(text) == left


@given(st.text() | st.text(alphabet="<!->ab[]()\u200b\x1b;m\U000e0061"))
def test_nothing_unseen_is_left_and_stripping_again_changes_nothing(text):
    left = stripped(text)
    assert stripped(left) == left
    assert not {kind for kind, _, _ in unseen_in(left)} & {"tags", "bidi", "escapes", "colours", "control"}


def test_masks_stand_over_what_is_found_and_nothing_else():
    text = f"Ünder {TOKEN}, ann@example.org, DE89370400440532013000!"
    assert masked_in(text, ("secrets",)) == "Ünder [redacted:github], ann@example.org, DE89370400440532013000!"
    assert masked_in(text, ("secrets", "pii")) == "Ünder [redacted:github], [redacted:email], [redacted:iban]!"
    assert masked_in(text, ()) is text


def test_all_of_many_are_masked():
    text = " ".join(f"user{number}@example.org" for number in range(2000))
    assert masked_in(text, ("pii",)) == " ".join(["[redacted:email]"] * 2000)


@given(st.text(), st.text())
def test_a_token_is_masked_wherever_it_stands(before, after):
    assert TOKEN not in masked_in(f"{before} {TOKEN} {after}", ("secrets",))
