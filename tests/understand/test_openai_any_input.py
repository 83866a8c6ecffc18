"""Whatever comes: a request is read or refused, an answer is read or passed on, and nothing breaks."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Refused
from gateway.model import Caps
from gateway.understand.openai import OpenAi
from gateway.understand.sse import event
from tests.understand.llm_support import (
    CALLS_OF_RESPONSE,
    EVENTS,
    JSON,
    TWO_CALLS,
    USAGE,
    Judge,
    answer,
    function_call,
    response,
    through,
)

DIALECT = OpenAi()
ENDPOINTS = [
    DIALECT.endpoint("POST", path)[0]
    for path in ("/chat/completions", "/responses", "/completions", "/embeddings", "/responses/compact")
]
CAPS = Caps("all", max_tokens=5, system="Obey.", forbid_tools=("delete_*", "f"))
TEMPLATES = [
    {
        "model": "gpt-6",
        "stream": True,
        "stream_options": {"include_usage": False},
        "max_tokens": 7,
        "max_completion_tokens": 7,
        "max_output_tokens": 7,
        "instructions": "x",
        "prompt": ["x"],
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "x"}]},
            {"type": "function_call_output", "output": [{"text": "x"}]},
            {"type": "additional_tools", "tools": [{"type": "function", "name": "f"}]},
        ],
        "messages": [{"role": "system", "content": [{"type": "text", "text": "x"}]}],
        "tools": [
            {"type": "function", "function": {"name": "f"}},
            {"type": "namespace", "name": "n", "tools": [{"type": "custom", "name": "f"}]},
        ],
        "functions": [{"name": "f"}],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": [{"name": "g"}]}},
        "web_search_options": {},
    },
    {
        "model": "gpt-6",
        "choices": [
            {
                "index": 0,
                "finish_reason": "tool_calls",
                "message": {
                    "content": "x",
                    "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}],
                    "function_call": {"name": "f", "arguments": "{}"},
                },
                "delta": {
                    "content": "x",
                    "tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}],
                    "function_call": {"name": "f", "arguments": "{}"},
                },
            }
        ],
        "usage": USAGE,
    },
    response("completed", function_call(0, "f", "{}"), usage={"input_tokens": 1}),
    {"type": "response.completed", "response": response("completed", function_call(0, "f", "{}")), "output_index": 0},
    {"type": "response.output_item.added", "output_index": 0, "item": function_call(0, "f", "{}"), "delta": "x"},
    {"type": "response.output_item.done", "output_index": 0, "item": function_call(0, "f", "{}"), "sequence_number": 1},
]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def places(value: object, at: tuple = ()) -> list[tuple]:
    """The ways to all members of a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *[place for key, each in inner for place in places(each, (*at, key))]]


@st.composite
def bodies(draw) -> dict:
    """A body as documented, with something else in one or two places."""
    body = orjson.loads(orjson.dumps(draw(st.sampled_from(TEMPLATES))))
    for _ in range(draw(st.integers(1, 2))):
        *way, last = draw(st.sampled_from(places(body)[1:]))
        holder = body
        for step in way:
            holder = holder[step]
        holder[last] = draw(ANYTHING)
        if not places(body)[1:]:
            break
    return body


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.operation)
@given(body=bodies())
def test_a_request_is_read_and_amended_or_refused(endpoint, body):
    raw = orjson.dumps(body)
    try:
        asked = endpoint.asked(body, {})
        sent, said = endpoint.amend(dict(body), raw, asked, CAPS)
        after = endpoint.asked(orjson.loads(sent), {})
    except Refused as refused:
        assert refused.status in (400, 403)
        return
    assert orjson.dumps(body) == raw
    if "f" in asked.tools and "compact" not in endpoint.operation:
        assert said
    assert "f" not in after.tools
    assert sent is raw or endpoint.amend(orjson.loads(sent), sent, after, CAPS) == (sent, ())


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.operation)
@pytest.mark.parametrize("judge", [Judge(), Judge("f"), Judge("f", result=lambda found: None)])
@given(body=bodies())
def test_a_whole_answer_is_read_whatever_it_is(endpoint, judge, body):
    read = answer(endpoint, judge, content_type=JSON)
    through(read, orjson.dumps(body))
    assert read.found().usage is not None


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.operation)
@pytest.mark.parametrize("judge", [Judge(), Judge("f"), Judge("f", result=lambda found: None)])
@given(several=st.lists(bodies(), min_size=1, max_size=4), before=st.sampled_from([b"", TWO_CALLS, CALLS_OF_RESPONSE]))
def test_a_stream_is_read_whatever_it_is(endpoint, judge, several, before):
    read = answer(endpoint, judge, content_type=EVENTS)
    through(read, before[: len(before) // 2] + b"".join([event(orjson.dumps(body)) for body in several]) + before)
    assert read.found().usage is not None


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_pass_a_tap(data):
    for kind in (JSON, EVENTS):
        assert through(answer(ENDPOINTS[0], Judge(), content_type=kind), data, [7, 50]) == data
