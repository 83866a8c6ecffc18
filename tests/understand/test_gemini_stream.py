"""Gemini: streamed answers. Every stream is checked with the SDK itself."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import errors, types
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Proposal, Reason, Refusal, Usage
from gateway.understand.dialect import Asked, Endpoint
from gateway.understand.gemini import GenerateContent
from tests.e2e.harness.llm_shapes import ARGS, Scenario, generate_chunks, sse

from .judging import SAID, Refusing, answering, cut, passed, streamed

MODEL = "gemini-2.5-flash"
TOTAL = Usage(MODEL, 45, 45, 20, 0, 33)
STREAM: Endpoint = GenerateContent("streamGenerateContent", stream=True)


def events(**scenario: Any) -> list[bytes]:
    return [sse(chunk) for chunk in generate_chunks(Scenario(**scenario), {}, MODEL)]


def in_sdk(data: bytes) -> list[types.GenerateContentResponse]:
    """The chunks that the SDK makes of a stream of these bytes."""

    def handle(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=data)

    with httpx.Client(transport=httpx.MockTransport(handle)) as http:
        client = genai.Client(api_key="k", http_options=types.HttpOptions(httpx_client=http))
        return list(client.models.generate_content_stream(model=MODEL, contents="Hi"))


def partial(name: str = "", *args: dict[str, Any], more: bool = True) -> bytes:
    """One chunk of a call whose arguments are streamed."""
    call: dict[str, Any] = {**({"name": name} if name else {}), **({"partialArgs": list(args)} if args else {})}
    if more:
        call["willContinue"] = True
    return sse(
        {"candidates": [{"content": {"role": "model", "parts": [{"functionCall": call}]}}], "modelVersion": MODEL}
    )


def test_a_stream_that_no_rule_looks_at_passes_as_it_comes() -> None:
    given_ = events(tools="get_weather+get_time")
    answer = answering(STREAM, Refusing(), "text/event-stream")
    assert [answer.feed(piece) for piece in given_] == given_
    assert answer.end() == b""
    assert answer.found().usage == TOTAL
    assert answer.found().proposed == (Proposal("get_weather", ARGS), Proposal("get_time", ARGS))


def test_what_is_allowed_passes_byte_for_byte_and_at_once() -> None:
    given_ = events(tools="get_weather+get_time")
    answer = answering(STREAM, Refusing("delete_all"), "text/event-stream")
    assert [answer.feed(piece) for piece in given_] == given_


def test_a_refused_call_is_a_text_for_the_sdk() -> None:
    got, found = streamed(STREAM, events(tools="get_weather+delete_all"), "delete_all")
    first, last = in_sdk(got)
    assert first.function_calls is not None
    assert first.function_calls[0].name == "get_weather"
    assert (last.function_calls, last.text) == (None, SAID.format("delete_all"))
    assert last.usage_metadata is not None
    assert last.usage_metadata.total_token_count == 90
    assert [proposal.refused for proposal in found.proposed] == ["", "tools/no"]
    assert found.usage == TOTAL


@given(st.lists(st.integers(0, 3000), max_size=12), st.sampled_from(["", "delete_all", "get_weather"]))
def test_any_chunking_gives_the_same_bytes_and_findings(places: list[int], refused: str) -> None:
    data = b"".join(events(tools="get_weather+delete_all"))
    names = [refused] if refused else []
    assert streamed(STREAM, cut(data, places), *names) == streamed(STREAM, [data], *names)


STREAMED = [
    partial("delete_all"),
    partial("", {"jsonPath": "$.path", "stringValue": "/ho", "willContinue": True}),
    partial("", {"jsonPath": "$.path", "stringValue": "me"}, {"jsonPath": "$.deep['in side'][0].x", "numberValue": 3}),
    partial(
        "", {"jsonPath": "$.deep['in side'][1]", "boolValue": False}, {"jsonPath": "$.none", "nullValue": "NULL_VALUE"}
    ),
    partial(more=False),
]


def test_arguments_that_are_streamed_are_put_together() -> None:
    _, found = streamed(STREAM, STREAMED)
    args = {"path": "/home", "deep": {"in side": [{"x": 3}, False]}, "none": None}
    assert found.proposed == (Proposal("delete_all", args),)


def test_a_call_whose_arguments_are_streamed_is_held_and_replaced_whole() -> None:
    answer = answering(STREAM, Refusing("delete_all"), "text/event-stream")
    sizes = [len(answer.feed(piece)) for piece in STREAMED]
    assert sizes[:4] == [0] * 4
    got, _ = streamed(STREAM, [*STREAMED, *events(say="done")], "delete_all")
    assert b"functionCall" not in got
    assert next(chunk.text for chunk in in_sdk(got)) == SAID.format("delete_all")
    same, _ = streamed(STREAM, STREAMED, "another")
    assert same == b"".join(STREAMED)


@pytest.mark.parametrize(
    "piece",
    [
        {"jsonPath": "path", "stringValue": "x"},
        {"jsonPath": "$", "stringValue": "x"},
        {"jsonPath": "$..path", "stringValue": "x"},
        {"jsonPath": "$.a[*]", "stringValue": "x"},
        {"jsonPath": "$.a[7]", "stringValue": "x"},
        {"jsonPath": "$[0]", "stringValue": "x"},
        {"jsonPath": "$.a"},
        {"jsonPath": "$.a", "stringValue": "x", "numberValue": 1},
        {"jsonPath": 3, "stringValue": "x"},
        "odd",
    ],
)
def test_arguments_that_are_not_understood_are_not_guessed(piece: Any) -> None:
    given_ = [partial("delete_all", piece), partial("", {"jsonPath": "$.b", "stringValue": "y"}, more=False)]
    _, found = streamed(STREAM, given_)
    assert found.proposed == (Proposal("delete_all", None),)


def test_a_value_that_is_given_twice_is_not_guessed() -> None:
    twice = [{"jsonPath": "$.a", "numberValue": 1}, {"jsonPath": "$.a", "numberValue": 2}]
    _, found = streamed(STREAM, [partial("delete_all", *twice, more=False)])
    assert found.proposed == (Proposal("delete_all", None),)


def test_equal_pieces_of_a_text_are_both_kept() -> None:
    twice = [{"jsonPath": "$.a", "stringValue": "x"}, {"jsonPath": "$.a", "stringValue": "x"}]
    _, found = streamed(STREAM, [partial("say", *twice, more=False)])
    assert found.proposed == (Proposal("say", {"a": "xx"}),)


def test_a_call_that_never_ends_is_judged_where_its_candidate_finishes() -> None:
    got, found = streamed(STREAM, [*STREAMED[:-1], *events(say="done")], "delete_all")
    assert b"functionCall" not in got
    assert found.proposed[0].refused == "tools/no"


def test_a_call_that_another_follows_was_complete() -> None:
    got, found = streamed(STREAM, [*STREAMED[:-1], *events(tools="get_time")], "delete_all")
    assert [(proposal.name, proposal.refused) for proposal in found.proposed] == [
        ("delete_all", "tools/no"),
        ("get_time", ""),
    ]
    assert b'"name": "delete_all"' not in got
    assert b"get_time" in got


def test_a_stream_that_was_cut_has_the_usage_that_was_told_last() -> None:
    answer = answering(STREAM, Refusing(), "text/event-stream")
    for piece in events()[:3]:
        answer.feed(piece)
    assert answer.found().usage == Usage(MODEL, 45, 3)
    assert answer.found().notes == ("usage as told before the stream was cut",)


def test_a_stream_that_tells_no_usage_is_estimated_by_what_was_said() -> None:
    answer = answering(STREAM, Refusing(), "text/event-stream", sent=b"x" * 400)
    passed(answer, events(say="one two three four", mute=1))
    assert answer.found().usage == Usage(MODEL, 100, -(-len("one two three four") // 4), estimated=True)
    assert answer.found().notes == ("usage estimated: the stream did not tell it",)


@pytest.mark.parametrize("data", [b"[]", b"null", b'{"candidates": 1}', b'{"candidates": [1, {"content": 2}]}'])
def test_chunks_that_are_not_as_documented_are_passed_over(data: bytes) -> None:
    odd = b"data: " + data + b"\n\n"
    given_ = [odd, *events(tools="get_weather"), odd]
    got, found = streamed(STREAM, given_, "delete_all")
    assert got == b"".join(given_)
    assert found.usage == TOTAL


def test_the_result_of_a_stream_is_one_answer() -> None:
    answer = answering(STREAM, Refusing(wants_result=True), "text/event-stream")
    passed(answer, [*events(say="one two"), *events(tools="get_time")])
    result = answer.found().result
    assert result is not None
    assert result["candidates"][0]["content"]["parts"] == [
        {"text": "one two"},
        {"functionCall": {"name": "get_time", "args": ARGS}},
    ]
    assert result["candidates"][0]["finishReason"] == "STOP"
    assert result["usageMetadata"]["totalTokenCount"] == 90
    assert STREAM.stream(Asked(), b"", b"").result([]) is None


def test_a_failed_stream_raises_in_the_sdk_with_our_text() -> None:
    refusal = Refusal(Reason.RESULT_DENIED, 403, "the answer is kept", advice="ask another")
    data = events()[0] + STREAM.stream(Asked(), b"", b"").failed(refusal)
    with pytest.raises(errors.ClientError, match="the answer is kept; ask another") as raised:
        in_sdk(data)
    assert (raised.value.code, raised.value.status) == (403, "PERMISSION_DENIED")
    assert json.dumps(raised.value.details)


def test_an_error_in_the_stream_is_a_failure() -> None:
    _, found = streamed(STREAM, [*events()[:2], sse({"error": {"code": 500, "message": "x", "status": "INTERNAL"}})])
    assert found.is_error
