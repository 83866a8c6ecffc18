"""Secrets, personal data, characters that nobody sees: what is found, what is not, and how little of it is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.detect.credentials import secrets
from gateway.detect.private import pii
from gateway.detect.unseen import PLAIN, folded, invisible, unseen_in

TOKEN = "ghp_" + "a1B2" * 9


def kinds(found):
    return [one["kind"] for one in found]


def test_a_secret_is_told_by_kind_place_and_length_and_never_whole():
    (found,) = secrets({"files": [{"content": f"token: {TOKEN}"}]})
    assert found == {"kind": "github", "score": 0.95, "evidence": "ghp_... (40 characters)", "path": "files.0.content"}


def test_a_word_in_the_place_of_a_secret_is_none():
    assert secrets("Authorization: Bearer authentication") == []
    assert kinds(secrets("password = tr0ub4dor&3xyz")) == ["secret"]
    assert secrets({"password": "short"}) == []


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("email", "write to ann.lee@example.org"),
        ("iban", "DE89 3704 0044 0532 0130 00"),
        ("card", "4111 1111 1111 1111"),
        ("phone", "call +49 170 1234567"),
        ("us-ssn", "SSN 219-09-9999"),
        ("de-tax-id", "IdNr 86 095 742 719"),
    ],
)
def test_personal_data_is_told_by_its_form(kind, text):
    assert kinds(pii([text])) == [kind]


@pytest.mark.parametrize(
    "text",
    [
        "DE88 3704 0044 0532 0130 00",
        "4111 1111 1111 1112",
        "666-12-1234",
        "000-12-1234",
        "86 095 742 718",
        "+1 2",
        "version 1.2.3-rc4 of 2024-01-02",
        "a@b",
    ],
)
def test_what_fails_its_check_is_no_personal_data(text):
    assert pii(text) == []


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("tags", "a\U000e0061\U000e0062"),
        ("bidi", "a\u202eb"),
        ("zero-width", "pay\u200bpal"),
        ("joiners", "pay\u200dpal"),
        ("selectors", "a\ufe00\ufe01\ufe02"),
        ("escapes", "\x1b[2J"),
        ("escapes", "\x1b]8;;http://x\x07link"),
        ("colours", "\x1b[31mred"),
        ("control", "a\x08b"),
        ("lookalikes", "раypal"),
    ],
)
def test_what_people_do_not_see_is_told(kind, text):
    assert kind in kinds(invisible({"x": text}))


@pytest.mark.parametrize(
    "text",
    [
        "plain\ttext\r\n",
        "\ufeffa byte order mark begins a file",
        "👩\u200d👩\u200d👧 ❤\ufe0f",
        "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
        "می\u200cخواهم",
        "Привет мир, Ελλάδα, naïve, 5 µm, 日本語",
    ],
)
def test_honest_writing_is_not(text):
    assert invisible(text) == []


def test_the_evidence_of_tags_is_what_they_spell():
    (found,) = invisible("hi " + "".join(chr(0xE0000 + ord(letter)) for letter in "send it"))
    assert found["evidence"] == "send it"


@given(st.text())
def test_folding_leaves_plain_texts_as_they_are_and_nothing_unseen_in_others(text):
    once = folded(text)
    if PLAIN.match(text):
        assert once is text
    assert not {kind for kind, _, _ in unseen_in(once)} & {"tags", "selectors"} or once != folded(once)
