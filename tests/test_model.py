"""The nouns and the errors: what is computed, and that they stay what they are."""

from __future__ import annotations

import pytest

import gateway.model as nouns
from gateway.errors import ConfigError, Problem, Refused, ToolgateError, UpstreamError
from gateway.model import Hold, Origin, Outcome, Permit, Reason
from tests.builders import call, request, slot


@pytest.mark.parametrize(
    ("origin", "authority"),
    [
        (Origin("https", "api.example", 443), "api.example"),
        (Origin("https", "api.example", 8443), "api.example:8443"),
        (Origin("http", "api.example", 80), "api.example"),
        (Origin("http", "api.example", 443), "api.example:443"),
        (Origin("https", "::1", 443), "[::1]"),
        (Origin("http", "::1", 8080), "[::1]:8080"),
    ],
)
def test_an_origins_authority_has_the_port_only_where_it_is_not_the_default(origin, authority):
    assert origin.authority == authority


def test_a_header_is_read_by_its_lower_cased_name_repeats_joined():
    came = request(fields=[("X-A", "1"), ("x-a", "2"), ("X-B", "caf\xe9")])
    assert came.header(b"x-a") == "1, 2"
    assert came.header(b"x-b") == "caf\xe9"
    assert came.header(b"x-c") == ""
    assert came.header(b"x-c", "none") == "none"


@pytest.mark.parametrize("noun", [call(), request(), Permit(call()), Hold(slot(), True), Outcome(200)])
def test_nouns_are_frozen(noun):
    with pytest.raises(AttributeError):
        setattr(noun, noun.__struct_fields__[0], "changed")


def test_every_noun_is_frozen():
    structs = [noun for noun in vars(nouns).values() if hasattr(noun, "__struct_config__")]
    assert len(structs) > 40
    assert [noun.__name__ for noun in structs if not noun.__struct_config__.frozen] == []


def test_reasons_are_plain_stable_words():
    assert all(reason.value == reason.name.lower() for reason in Reason)


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (
            Problem("a.yaml", 3, 5, "unknown key 'tol'", "did you mean 'tool'?"),
            "a.yaml:3:5: unknown key 'tol' (did you mean 'tool'?)",
        ),
        (Problem("a.yaml", 0, 0, "cannot be read"), "a.yaml: cannot be read"),
    ],
)
def test_a_problem_names_its_place_and_its_fix(problem, text):
    assert str(problem) == text
    assert text in repr(problem)


def test_a_config_error_tells_every_problem():
    error = ConfigError([Problem("a", 1, 1, "one"), Problem("b", 2, 2, "two")])
    assert str(error) == "a:1:1: one\nb:2:2: two"
    assert len(error.problems) == 2


@pytest.mark.parametrize(
    "error", [Refused(Reason.BAD_REQUEST, 400, "why"), UpstreamError(Reason.UPSTREAM_TIMEOUT, 504, "why")]
)
def test_errors_say_why_and_with_which_status(error):
    assert isinstance(error, ToolgateError)
    assert str(error) == error.detail == "why"
    assert error.status in (400, 504)
