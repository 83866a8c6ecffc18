"""How a refusal is told to an HTTP client, and to the model behind it."""

from __future__ import annotations

from http import HTTPStatus

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Reason, Refusal
from gateway.understand.http import phrase, retry_after, title_of


def told(refusal: Refusal):
    fields, body = phrase(refusal, "call-7")
    return dict(fields), orjson.loads(body)


def test_a_refusal_is_a_problem_with_what_to_do_next():
    fields, problem = told(
        Refusal(Reason.POLICY_DENIED, 403, "pay only known recipients", "payments/known", advice="do not retry")
    )
    assert fields == {
        b"Content-Type": b"application/problem+json",
        b"x-should-retry": b"false",
        b"X-Toolgate-Call": b"call-7",
    }
    assert problem == {
        "type": "urn:toolgate:policy_denied",
        "title": "Forbidden",
        "status": 403,
        "detail": "pay only known recipients",
        "reason": "policy_denied",
        "rule": "payments/known",
        "call_id": "call-7",
        "retryable": False,
        "retry_after": None,
        "advice": "do not retry",
        "message": "pay only known recipients; do not retry",
    }


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_told_by_its_stable_name(reason):
    _, problem = told(Refusal(reason, 403, "x"))
    assert problem["reason"] == reason.value
    assert problem["type"].endswith(":" + reason.value)


@pytest.mark.parametrize(
    ("status", "wait", "header", "should_retry"),
    [
        (429, 0.2, b"1", None),
        (429, 1.0, b"1", None),
        (429, 1.001, b"2", None),
        (429, 60.0, b"60", None),
        # A client that retries by itself after 60 s would be told 429 again and again: it is better told not to.
        (429, 61.0, b"60", b"false"),
        (429, 86400.0, b"60", b"false"),
        (503, 15.0, b"15", b"false"),
        (503, 0.0, None, b"false"),
        (403, 0.0, None, b"false"),
        (502, 0.0, None, b"false"),
        (401, 0.0, None, b"false"),
    ],
)
def test_retry_headers_never_make_a_client_hang_or_hammer(status, wait, header, should_retry):
    fields, problem = told(Refusal(Reason.RATE_LIMITED, status, "x", retry_after=wait, retryable=wait > 0))
    assert fields.get(b"Retry-After") == header
    assert fields.get(b"x-should-retry") == should_retry
    assert problem["retry_after"] == (wait or None)


def test_extra_fields_of_the_refusal_are_added():
    fields, _ = told(Refusal(Reason.UNAUTHENTICATED, 401, "x", fields=((b"WWW-Authenticate", b"Bearer"),)))
    assert fields[b"WWW-Authenticate"] == b"Bearer"


@given(st.floats(0, 1e9))
def test_retry_after_is_whole_seconds_rounded_up_and_at_most_a_minute(seconds):
    wait = retry_after(seconds)
    assert isinstance(wait, int)
    assert 0 <= wait <= 60
    assert wait >= min(seconds, 60) - 0.001
    assert wait <= seconds + 1
    assert (wait == 0) == (seconds == 0)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 413, 415, 429, 500, 502, 503, 504])
def test_titles_are_the_standard_phrases(status):
    modern = {413: "Content Too Large"}
    assert title_of(status) == modern.get(status, HTTPStatus(status).phrase)


def test_a_status_without_a_phrase_still_has_a_title():
    assert title_of(499) == "Refused"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_detail_can_be_told(detail):
    _, problem = told(Refusal(Reason.POLICY_DENIED, 403, detail))
    assert problem["detail"] == detail
