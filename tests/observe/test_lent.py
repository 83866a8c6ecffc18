"""Tokens that were fetched are masked like credentials that are configured, however many there are."""

from __future__ import annotations

import base64
import secrets

import pytest

from gateway.observe.lent import MOST, LentSecrets
from gateway.observe.redact import Redactor

TOKEN = base64.urlsafe_b64encode(bytes(range(256)) * 2).decode().rstrip("=")


@pytest.mark.parametrize("form", [TOKEN, base64.b64encode(TOKEN.encode()).decode(), TOKEN.encode().hex()])
def test_a_token_is_masked_whole_wherever_its_end_is_found(form: str) -> None:
    redactor = Redactor()
    redactor.learn("bank", TOKEN)
    text = f"it said '{form}', twice: {form}"
    assert redactor.text(text) == "it said '[redacted:credential:bank]', twice: [redacted:credential:bank]"
    told = redactor.held(text.encode())
    assert told == redactor.page(text.encode())
    assert form.encode() not in told
    line = redactor.line(b'{"args": {"note": "' + form.encode() + b'"}}\n')
    assert form.encode() not in line
    assert b'"masked":["args.note"]' in line


def test_the_newest_are_known() -> None:
    known = LentSecrets()
    tokens = [secrets.token_urlsafe(40) for _ in range(MOST + 3)]
    for token in tokens:
        known.learn("t", token)
    assert not known.finds(tokens[2].encode())
    assert all(known.finds(token.encode()) for token in tokens[3:])
    known.learn("t", tokens[3])
    known.learn("t", "another-token-of-this-tool")
    assert known.finds(tokens[3].encode()), "one that is fetched again is new again"
    assert not known.finds(tokens[4].encode())


def test_other_texts_are_as_they_were() -> None:
    known = LentSecrets()
    data = b"nothing to see here"
    assert known.masked(data) is data
    known.learn("t", "short")
    assert not known.finds(b"short"), "it would be found in texts that have nothing to do with it"
    known.learn("t", TOKEN)
    assert known.masked(data) is data
