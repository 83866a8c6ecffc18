"""What agents say of their calls, and where."""

from __future__ import annotations

from urllib.parse import quote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.understand.why import LONGEST, MEMBERS, declared, of_metadata, of_request, with_why
from tests.builders import call, request

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda each: st.lists(each) | st.dictionaries(st.text(), each),
)


def told(*fields):
    return of_request(request(fields=fields))


def test_nothing_said_is_nothing_known():
    assert told() == {}
    assert with_why(call()).facts == {}


def test_plain_text_is_the_reason():
    assert told(("Agent-Why", " look it up ")) == {"why.reason": "look it up"}


def test_an_object_has_members():
    why = {"step": "2", "parent": "1", "reason": "r", "goal": "g", "kind": "plan", "other": "x"}
    assert told(("Agent-Why", orjson.dumps(why).decode())) == {f"why.{name}": why[name] for name in MEMBERS}


def test_what_looks_like_an_object_and_is_none_is_text():
    assert told(("Agent-Why", "{not json")) == {"why.reason": "{not json"}


@pytest.mark.parametrize("odd", ['{"step": 3}', '{"step": ["a"]}', '{"step": ""}', "{}"])
def test_members_that_are_no_texts_say_nothing(odd):
    assert told(("Agent-Why", odd)) == {}


def test_baggage_carries_members_and_leaves_the_rest_alone():
    baggage = "user=1, agent.step=3;prop=x , agent.reason=look%20up,agent.unknown=1,agent.goal"
    assert told(("baggage", baggage)) == {"why.step": "3", "why.reason": "look up"}


def test_the_field_wins_over_baggage_and_the_body_over_both():
    of = request(fields=[("baggage", "agent.step=1,agent.goal=g"), ("Agent-Why", '{"step": "2", "reason": "r"}')])
    said = call(of=of)
    assert with_why(said).facts == {"why.step": "2", "why.goal": "g", "why.reason": "r"}


def test_metadata_of_a_model_has_prefixed_names():
    assert of_metadata({"agent.step": "4", "step": "5", "agent.kind": 7}) == {"why.step": "4"}
    assert of_metadata(None) == of_metadata(["agent.step"]) == {}


@given(st.dictionaries(st.sampled_from(MEMBERS), st.text()))
def test_members_are_kept_up_to_a_length(members):
    kept = declared(members)
    assert kept == {f"why.{name}": text[:LONGEST] for name, text in members.items() if text}


@given(ANY)
def test_no_value_makes_it_fail(value):
    declared(value)
    of_metadata(value if not isinstance(value, dict) else {f"agent.{key}": item for key, item in value.items()})


@given(st.text())
def test_any_text_that_a_header_can_hold_is_read(text):
    assert told(("baggage", f"agent.reason={quote(text)}")).get("why.reason", "") == text[:LONGEST]
    told(("Agent-Why", text.encode("latin-1", "ignore").decode("latin-1")))
