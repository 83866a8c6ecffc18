"""Answers of models that are not streamed, or cannot be read: tapped, judged, refused, estimated."""

from __future__ import annotations

import gzip
import itertools
from typing import Any

import httpx2
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import OpenAI

from gateway.model import NOTHING_FOUND, Findings, Proposal, Reason, Usage
from gateway.understand.dialect import Asked
from gateway.understand.llm_answers import read_whole
from gateway.understand.openai import OpenAi
from tests.understand.llm_support import (
    EVENTS,
    JSON,
    RESPONSE_USAGE,
    TWO_CALLS,
    USAGE,
    Judge,
    answer,
    denied,
    function_call,
    response,
    said,
    through,
)

DIALECT = OpenAi()
CHAT = DIALECT.endpoint("POST", "/v1/chat/completions")[0]
RESPONSES = DIALECT.endpoint("POST", "/v1/responses")[0]
EMBEDDINGS = DIALECT.endpoint("POST", "/v1/embeddings")[0]
COUNTING = DIALECT.endpoint("POST", "/v1/responses/input_tokens")[0]
REFUSED = "[call of delete_file refused by policy safety/no-deletes: not this one]"


def call(number: int, name: str, arguments: str) -> dict[str, Any]:
    return {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}


def completion(*calls: dict[str, Any], content: Any = None, **more: Any) -> bytes:
    message = {"role": "assistant", "content": content, "refusal": None, "annotations": [], **more}
    if calls:
        message["tool_calls"] = list(calls)
    finish = "function_call" if "function_call" in more else "tool_calls" if calls else "stop"
    return orjson.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1741570283,
            "model": "gpt-6-2026-08-01",
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
            "usage": USAGE,
        }
    )


TWO = completion(call(1, "delete_file", '{"path":"/etc"}'), call(2, "get_weather", '{"city":"Bern"}'))
CALLED = orjson.dumps(
    response(
        "completed",
        said("msg_0", "Let me see."),
        function_call(1, "delete_file", '{"path":"/etc"}'),
        function_call(2, "get_weather", '{"city":"Bern"}'),
        usage=RESPONSE_USAGE,
    )
)
USED = Usage("gpt-6-2026-08-01", 1117, 46, 1024, 0, 7)


def client(data: bytes) -> OpenAI:
    def reply(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": JSON}, content=data)

    return OpenAI(
        api_key="k", base_url="http://llm/v1", http_client=httpx2.Client(transport=httpx2.MockTransport(reply))
    )


# -- tapped ------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 2000)))
def test_where_nobody_judges_bytes_pass_as_they_come_and_usage_is_read(cuts):
    read = answer(CHAT, Judge(), content_type=JSON)
    assert (read.rewrites, read.whole) == (False, False)
    places = sorted({0, len(TWO), *[cut % len(TWO) for cut in cuts]})
    for one, two in itertools.pairwise(places):
        assert read.feed(TWO[one:two]) == TWO[one:two]
    assert read.end() == b""
    assert read.found().usage == USED
    assert [each.name for each in read.found().proposed] == ["delete_file", "get_weather"]
    assert read.found().result is None


def test_the_result_is_kept_where_a_price_reads_it():
    read = answer(CHAT, Judge(wants=True), content_type=JSON)
    through(read, TWO)
    assert read.found().result == orjson.loads(TWO)


@pytest.mark.parametrize(
    ("endpoint", "body", "usage"),
    [
        (RESPONSES, CALLED, Usage("gpt-6-2026-08-01", 328, 52, 128, 64, 12)),
        (
            EMBEDDINGS,
            b'{"object":"list","data":[],"model":"emb","usage":{"prompt_tokens":8,"total_tokens":8}}',
            Usage("emb", 8, 0),
        ),
        (COUNTING, b'{"object":"response.input_tokens","input_tokens":11}', None),
    ],
)
def test_usage_of_each_endpoint(endpoint, body, usage):
    read = answer(endpoint, Judge(), content_type=JSON)
    through(read, body)
    assert (read.found().usage, read.found().notes) == (usage, ())


def test_sound_is_told_apart():
    read = answer(CHAT, Judge(), {"model": "gpt-6"}, content_type=JSON)
    read.feed(
        b'{"model":"m","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":8,'
        b'"prompt_tokens_details":{"audio_tokens":7},"completion_tokens_details":{"audio_tokens":6}}}'
    )
    read.end()
    assert read.found().usage == Usage("m", 9, 8, heard_tokens=7, spoken_tokens=6)


@pytest.mark.parametrize("told", ['"8"', "null", "true", "[]"])
def test_a_usage_without_numbers_is_no_usage_of_nothing(told):
    read = answer(EMBEDDINGS, Judge(), {"model": "emb", "input": "x"}, content_type=JSON)
    read.feed(b'{"object":"list","data":[],"model":"emb","usage":{"prompt_tokens":%b}}' % told.encode())
    read.end()
    assert read.found().usage.estimated


def test_fractions_of_tokens_are_rounded_up():
    read = answer(EMBEDDINGS, Judge(), {"model": "emb", "input": "x"}, content_type=JSON)
    read.feed(b'{"object":"list","data":[],"model":"emb","usage":{"prompt_tokens":8.2}}')
    read.end()
    assert read.found().usage == Usage("emb", 9, 0)


def test_an_answer_that_was_cut_is_estimated():
    read = answer(CHAT, Judge(), {"model": "gpt-6"}, content_type=JSON)
    read.feed(b"x" * 40)
    assert read.found() == Findings(
        usage=Usage("gpt-6", 5, 10, estimated=True), notes=("usage estimated: the answer was cut off",)
    )


@pytest.mark.parametrize(("endpoint", "output"), [(EMBEDDINGS, 0), (CHAT, 10), (COUNTING, None)])
def test_only_what_costs_is_estimated(endpoint, output):
    read = answer(endpoint, Judge(), content_type=JSON)
    read.feed(b"x" * 40)
    usage = read.found().usage
    assert (usage and usage.output_tokens) == output


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"choices":', b"5"])
def test_what_is_no_json_object_passes_and_is_told(body):
    read = answer(CHAT, Judge(), content_type=JSON)
    assert through(read, body) == body
    assert read.found().usage.estimated
    assert read.found().notes[0].startswith("usage estimated")


def test_an_answer_that_does_not_tell_its_usage_is_estimated():
    read = answer(CHAT, Judge(), content_type=JSON)
    through(read, b'{"choices":[]}')
    assert read.found().notes == ("usage estimated: the answer does not tell it",)


@pytest.mark.parametrize("tail", [b'"usage": ' + orjson.dumps(USAGE) + b"}", b'"usage":5}', b"}"])
def test_of_an_answer_too_long_to_be_read_its_tail_is(monkeypatch, tail):
    monkeypatch.setattr("gateway.understand.llm_answers.MOST_READ", 1000)
    read = answer(CHAT, Judge(), content_type=JSON)
    data = b'{"data":"' + b"x" * 5000 + b'",' + tail
    assert through(read, data, range(0, 5000, 700)) == data
    found = read.found()
    assert found.usage.estimated is (b"prompt" not in tail)
    if b"prompt" in tail:
        assert (found.usage.input_tokens, found.usage.reasoning_tokens) == (1117, 7)
    assert "over 1000 bytes" in found.notes[0]


def test_a_compressed_answer_that_nobody_judges_passes_and_is_told():
    read = answer(CHAT, Judge(), content_type=JSON, encoding="gzip")
    data = gzip.compress(TWO)
    assert through(read, data, [5]) == data
    assert read.found().usage.estimated
    assert "gzip" in read.found().notes[0]
    assert read.refusal() is None


# -- judged ------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 2000)))
def test_what_is_not_refused_keeps_its_bytes(cuts):
    read = answer(CHAT, Judge(proposals=True, result=lambda found: None), content_type=JSON)
    assert (read.rewrites, read.whole) == (True, True)
    assert through(read, TWO, cuts) == TWO
    assert read.refusal() is None


def test_a_refused_call_is_a_text_in_the_message():
    read = answer(CHAT, Judge("delete_file"), content_type=JSON)
    data = through(read, TWO)
    got = client(data).chat.completions.create(model="gpt-6", messages=[])
    [choice] = got.choices
    assert choice.message.content == REFUSED
    assert [each.id for each in choice.message.tool_calls] == ["call_2"]
    assert choice.finish_reason == "tool_calls"
    assert read.found().usage == USED
    assert [each.refused for each in read.found().proposed] == ["safety/no-deletes", ""]
    assert read.found().refusal.rule == "safety/no-deletes"
    assert read.refusal() is None


@pytest.mark.parametrize(
    ("content", "becomes"),
    [
        (None, REFUSED),
        ("Let me.", f"Let me.\n{REFUSED}"),
        ([{"type": "text", "text": "a"}], [{"type": "text", "text": "a"}, {"type": "text", "text": REFUSED}]),
    ],
)
@pytest.mark.parametrize("old", [True, False])
def test_where_no_call_is_left_the_model_just_stopped(content, becomes, old):
    if old:
        body = completion(content=content, function_call={"name": "delete_file", "arguments": "{}"})
    else:
        body = completion(call(1, "delete_file", "{}"), content=content)
    [choice] = orjson.loads(through(answer(CHAT, Judge("delete_file"), content_type=JSON), body))["choices"]
    assert choice["message"]["content"] == becomes
    assert choice["finish_reason"] == "stop"
    assert not {"tool_calls", "function_call"} & choice["message"].keys()


def test_a_refused_call_is_a_message_in_a_response():
    data = through(answer(RESPONSES, Judge("delete_file"), content_type=JSON), CALLED)
    got = client(data).responses.create(model="gpt-6", input="hi")
    assert [item.type for item in got.output] == ["message", "message", "function_call"]
    assert got.output_text == f"Let me see.{REFUSED}"
    assert b"/etc" not in data


def test_rules_of_the_result_see_what_the_agent_would_get():
    judge = Judge("delete_file", result=lambda found: None)
    through(answer(CHAT, judge, content_type=JSON), TWO)
    [found] = judge.results
    assert [each.name for each in found.proposed] == ["get_weather"]
    assert found.result["choices"][0]["message"]["content"] == REFUSED
    assert found.usage == USED


def test_of_a_refused_result_nothing_passes():
    read = answer(RESPONSES, Judge(result=denied), content_type=JSON)
    assert through(read, CALLED) == b""
    assert read.refusal() == denied(NOTHING_FOUND)
    assert read.found().refusal == read.refusal()
    assert read.found().usage.input_tokens == 328


@pytest.mark.parametrize(
    ("encoding", "body"), [("gzip", gzip.compress(TWO)), ("br", b"x"), ("", b"<html>"), ("", b""), ("", TWO_CALLS)]
)
@pytest.mark.parametrize("judge", [Judge(proposals=True), Judge(result=lambda found: None)])
def test_what_policies_cannot_look_at_is_refused(encoding, body, judge):
    read = answer(CHAT, judge, content_type=JSON, encoding=encoding)
    assert (read.whole, through(read, body)) == (True, b"")
    assert (read.refusal().reason, read.refusal().status) == (Reason.RESULT_UNREADABLE, 502)
    assert read.found().refusal == read.refusal()
    assert read.found().usage.estimated


def test_a_compressed_stream_is_not_judged_either():
    read = answer(CHAT, Judge(proposals=True), content_type=EVENTS, encoding="gzip")
    assert read.whole
    assert through(read, gzip.compress(TWO_CALLS)) == b""
    assert read.refusal().status == 502


def test_a_judged_answer_that_was_cut_is_estimated():
    read = answer(CHAT, Judge(proposals=True), content_type=JSON)
    assert read.feed(TWO[:100]) == b""
    assert read.found().usage.estimated


def test_identity_is_no_encoding():
    read = answer(CHAT, Judge(proposals=True), content_type=JSON, encoding="Identity")
    assert through(read, TWO) == TWO


# -- arrays of what would be streamed ----------------------------------------------------------------------------


class Parts:
    """A stream whose events are ``{"call": name}`` or ``{"usage": tokens}``."""

    def __init__(self) -> None:
        self.fresh: list[Proposal] = []
        self.usage: Usage | None = None

    def read(self, event) -> bool:
        told = orjson.loads(event.data)
        if "call" in told:
            self.fresh.append(Proposal(told["call"], {}))
        else:
            self.usage = Usage("m", told["usage"])
        return False

    def complete(self):
        fresh, self.fresh = tuple(self.fresh), []
        return fresh

    def found(self, *, complete: bool) -> Findings:
        return Findings(usage=self.usage)

    def result(self, events):
        return {"parts": len(events)}


class Arrays:
    """An endpoint that answers with an array (Gemini without ``alt=sse``)."""

    metered = "both"
    operation = "POST /x"

    def asked(self, body, params) -> Asked:
        return Asked()

    def stream(self, asked, raw, sent) -> Parts:
        return Parts()


ARRAY = b'[{"call": "delete_file"}, {"usage": 7}]'


def test_an_array_is_read_as_the_events_of_a_stream():
    read = answer(Arrays(), Judge(), content_type=JSON)
    assert through(read, ARRAY) == ARRAY
    assert (read.found().usage, read.found().proposed) == (Usage("m", 7), (Proposal("delete_file", {}),))


def test_of_an_array_a_refused_call_is_not_taken_out_but_the_answer_refused():
    read = answer(Arrays(), Judge("delete_file"), content_type=JSON)
    assert through(read, ARRAY) == b""
    assert read.refusal().rule == "safety/no-deletes"


def test_the_result_of_an_array_is_that_of_a_stream():
    judge = Judge(result=lambda found: None)
    assert through(answer(Arrays(), judge, content_type=JSON), ARRAY) == ARRAY
    assert judge.results[0].result == {"parts": 2}


def test_reading_raises_for_nothing_that_a_tool_says():
    read = answer(CHAT, Judge(), content_type=JSON)
    for odd in (
        [],
        [5],
        {"choices": 5},
        {"choices": [5]},
        {"choices": [{"message": {"tool_calls": [5]}}]},
        {"usage": 5},
    ):
        assert isinstance(read_whole(read._exchange, odd, 1), Findings)
