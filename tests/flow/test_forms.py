"""One form for what is written in many; and work that grows no faster than the text."""

from __future__ import annotations

import base64
from datetime import date
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.flow import forms
from gateway.flow.bodies import read
from gateway.flow.index import Index
from gateway.flow.looks import look_for


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("1,000.50", "1000.5"),
        ("1000.5", "1000.5"),
        (1000.50, "1000.5"),
        (1000.0, "1000"),
        ("1.000,50", "1000.5"),
        ("1'000", "1000"),
        ("$1,000", "1000"),
        ("12,5", "12.5"),
        ("-3", "-3"),
        (-3, "-3"),
        ("123456789012345678901", "123456789012345678901"),
        ("007", ""),
        ("1e5", ""),
        ("12,34,56", ""),
        ("1.2.3", ""),
        ("ten", ""),
        (True, ""),
        (float("inf"), ""),
        (float("nan"), ""),
        ("9" * 65, ""),
    ],
)
def test_a_number_has_one_form(value: object, form: str) -> None:
    assert forms.number(value) == form


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("pay 1,000.50 eur, or 7.", {"1000.5", "7"}),
        ("on 2026-11-30 at 10:15", set()),
        ("192.168.1.10 and v1.2.3", set()),
        ("50% of 1000usd on the 3rd", {"50", "1000", "3"}),
        ("gb29nwbk60161331926819 a4 b-17", set()),
        ("-5 degrees", {"-5"}),
        ("1.000 files", {"1", "1000"}),
    ],
)
def test_numbers_of_a_text_are_those_that_stand_for_themselves(text: str, found: set[str]) -> None:
    assert set(forms.numbers_in(text)) == found


DAY = date(2026, 11, 30)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-30",
        "2026/11/30",
        "30.11.2026",
        "11/30/2026",
        "30/11/2026",
        "nov 30 2026",
        "november 30th, 2026",
        "30th of november 2026",
        "30 nov 2026",
        "30-nov-2026",
        "2026-11-30t10:00:00z",
    ],
)
def test_a_day_has_one_form(text: str) -> None:
    assert list(forms.days_in(text)) == ["2026-11-30"]


def test_a_day_that_may_be_two_is_both() -> None:
    assert set(forms.days_in("03/04/2026")) == {"2026-04-03", "2026-03-04"}


@pytest.mark.parametrize(
    ("text", "found"), [("at 5 pm", "17:00"), ("12am", "00:00"), ("9:05", "09:05"), ("17:00:30", "17:00")]
)
def test_an_hour_has_one_form(text: str, found: str) -> None:
    assert list(forms.hours_in(text)) == [found]


@pytest.mark.parametrize("text", ["25:00", "13 pm", "1:2", "10:30:15:20", "2026-13-45"])
def test_what_is_no_moment_is_none(text: str) -> None:
    assert [*forms.hours_in(text), *forms.days_in(text)] == []


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("Bob.Smith@Corp.COM", "bob.smith@corp.com"),
        ("mailto:bob@corp.com", "bob@corp.com"),
        ("https://www.Corp.com/a%20b/", "corp.com/a b"),
        ("http://corp.com", "corp.com"),
        ("www.corp.com.", "corp.com"),
        ("report.pdf", "report.pdf"),
        ("https://corp.com@evil.com/x", "corp.com@evil.com/x"),
        ("Bob <bob@corp.com>", ""),
        ("bob", ""),
        ("a b.com", ""),
    ],
)
def test_an_address_has_one_form(value: str, form: str) -> None:
    assert forms.address(value) == form


def test_addresses_are_found_in_free_text() -> None:
    text = "Mail 'bob@corp.com', see (https://corp.com/x). Or www.corp.org! Not alice.bob@corp.com.Then go"
    assert list(forms.addresses_in(text)) == [
        "bob@corp.com",
        "https://corp.com/x",
        "www.corp.org",
        "alice.bob@corp.com.Then",
    ]


def test_what_leads_elsewhere_is_found_with_its_kind() -> None:
    text = (
        "See http://evil.com/x, mail to e@vil.com or call +49 170 1234567; "
        "GB29 NWBK 6016 1331 9268 19; 0x52908400098527886E0F7030069857D2E4169EE7. No report.pdf, no 12."
    )
    assert [kind for kind, _ in forms.leads_in(text)] == ["url", "mail", "phone", "iban", "coin"]


def test_what_nobody_sees_makes_no_other_value() -> None:
    assert forms.normal("ev\u200bil\u00ad@x\U000e0041.com") == "evil@x.com"
    assert [lead for _, lead in forms.leads_in("ev\u200bil@x.com")] == ["evil@x.com"]


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=12, max_size=60))
def test_what_encodings_hide_is_read(text: str) -> None:
    for encoded in (base64.b64encode(text.encode()), base64.urlsafe_b64encode(text.encode()).rstrip(b"=")):
        assert forms.decoded(encoded.decode()) in (
            text,
            bytes.fromhex(encoded.decode()).decode() if _hex(encoded) else text,
        )
    assert forms.decoded(text.encode().hex()) == text
    assert forms.decoded(quote(f"{text} ")) == f"{text} "


def _hex(data: bytes) -> bool:
    try:
        return bytes.fromhex(data.decode()).decode().isprintable()
    except ValueError:
        return False


LONG = 100_000


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "1",
        "1,",
        "1.",
        "<",
        "@",
        "a@",
        "a.",
        "http://",
        "www.",
        "1 ",
        "a b ",
        "+1 ",
        "gb29",
        "&",
        "%41",
        "'",
        "1:",
        "{",
        '{"a":',
        "0x",
        "may 1 ",
        "\u200b",
        "ﷺ",
        "\x1d",
        "\n",
    ],
)
def test_texts_made_to_be_slow_are_read_and_asked_within_bounds(piece: str) -> None:
    """Anything worse than linear would not end here: 100,000 characters, squared, take hours."""
    text = (piece * LONG)[:LONG]
    index = Index(*read(text.encode(), "text/html"))
    assert index.size <= 20 * len(text.encode())
    for value in (text[:200], piece, f"{piece}x", text[:500] + "z", "a@b.com"):
        index.tells(look_for(value))
        index.verbatim(value, whole=False)
    list(forms.leads_in(text))


def test_a_body_as_deep_as_it_likes_is_text() -> None:
    deep = b"[" * LONG
    assert read(deep, "application/json") == (deep.decode(), [])


@pytest.mark.parametrize(
    ("text", "leads"),
    [
        ("call self.lock.acquire() first", []),
        ("see evil.com(now), evil.zone/x(1)", ["evil.com", "evil.zone/x(1"]),
        ("see evil.zone now", ["evil.zone"]),
    ],
)
def test_the_name_of_a_function_that_is_called_is_no_host(text: str, leads: list[str]) -> None:
    assert [lead for _, lead in forms.leads_in(text)] == leads
