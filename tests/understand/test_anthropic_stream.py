"""Anthropic: streamed answers. Every stream is checked with the SDK itself."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Proposal, Reason, Refusal, Usage
from gateway.understand.anthropic import Messages
from gateway.understand.dialect import Asked
from tests.e2e.harness.llm_shapes import ARGS, Scenario, messages_events, sse

from .judging import SAID, Refusing, answering, cut, passed, streamed

MODEL = "claude-sonnet-4-6"
TOTAL = Usage(MODEL, 451, 37, 400, 30)


def events(**scenario: Any) -> list[bytes]:
    return messages_events(Scenario(**scenario), {"model": MODEL})


def in_sdk(data: bytes) -> anthropic.types.Message:
    """The message that the SDK makes of a stream of these bytes."""

    def handle(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=data)

    with (
        httpx2.Client(transport=httpx2.MockTransport(handle)) as http,
        anthropic.Anthropic(api_key="k", http_client=http, max_retries=0) as client,
        client.messages.stream(model=MODEL, max_tokens=9, messages=[{"role": "user", "content": "Hi"}]) as stream,
    ):
        return stream.get_final_message()


def test_a_stream_that_no_rule_looks_at_passes_as_it_comes() -> None:
    given_ = events(tools="get_weather")
    answer = answering(Messages(), Refusing(), "text/event-stream")
    assert [answer.feed(piece) for piece in given_] == given_
    assert answer.end() == b""
    found = answer.found()
    assert found.usage == TOTAL
    assert found.proposed == (Proposal("get_weather", ARGS, "toolu_0"),)
    assert found.notes == ()


def test_what_is_allowed_passes_byte_for_byte() -> None:
    given_ = events(tools="get_weather+get_time")
    got, found = streamed(Messages(), given_, "delete_all")
    assert got == b"".join(given_)
    assert [proposal.name for proposal in found.proposed] == ["get_weather", "get_time"]


def test_text_passes_at_once_and_a_proposal_only_when_it_is_judged() -> None:
    answer = answering(Messages(), Refusing("delete_all"), "text/event-stream")
    sizes = [len(answer.feed(piece)) for piece in events(tools="get_weather")]
    held = [size == 0 for size in sizes]
    assert held == [False] * 6 + [True] * 5 + [False] * 3


def test_a_refused_proposal_is_a_text_of_the_same_index_for_the_sdk() -> None:
    got, found = streamed(Messages(), events(tools="get_weather+delete_all+get_time"), "delete_all")
    message = in_sdk(got)
    assert [block.type for block in message.content] == ["text", "tool_use", "text", "tool_use"]
    assert message.content[2].to_dict()["text"] == SAID.format("delete_all")
    assert message.content[3].to_dict()["input"] == ARGS
    assert message.stop_reason == "tool_use"
    assert [proposal.refused for proposal in found.proposed] == ["", "tools/no", ""]
    assert found.usage == TOTAL


def test_the_turn_ends_where_no_use_of_a_tool_is_left() -> None:
    got, _ = streamed(Messages(), events(tools="delete_all+delete_all"), "delete_all")
    message = in_sdk(got)
    assert [block.type for block in message.content] == ["text"] * 3
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens == 37
    assert b"partial_json" not in got


@given(st.lists(st.integers(0, 5000), max_size=12), st.sampled_from(["", "delete_all", "get_weather"]))
def test_any_chunking_gives_the_same_bytes_and_findings(places: list[int], refused: str) -> None:
    data = b"".join(events(tools="get_weather+delete_all"))
    names = [refused] if refused else []
    assert streamed(Messages(), cut(data, places), *names) == streamed(Messages(), [data], *names)


@given(st.integers(0, 3000))
def test_wherever_it_is_cut_nothing_of_a_refused_proposal_has_passed(place: int) -> None:
    data = b"".join(events(tools="delete_all"))
    answer = answering(Messages(), Refusing("delete_all"), "text/event-stream")
    got = answer.feed(data[:place])
    assert b"tool_use" not in got.replace(b'"stop_reason": "tool_use"', b"")
    assert answer.found().usage is not None


def test_usage_of_a_stream_that_was_cut_is_told_input_and_estimated_output() -> None:
    given_ = events(say="one two three four five six seven eight")
    answer = answering(Messages(), Refusing(), "text/event-stream")
    for piece in given_[:8]:
        answer.feed(piece)
    found = answer.found()
    said = len("one two three four five")
    assert found.usage == Usage(MODEL, 451, -(-said // 4), 400, 30, estimated=True)
    assert found.notes == ("usage estimated: the stream was cut",)


def test_usage_is_estimated_from_the_request_where_nothing_came() -> None:
    stream = Messages().stream(Asked("m"), b"", b"x" * 401)
    assert stream.found(complete=False).usage == Usage("m", 101, 0, estimated=True)


def test_totals_that_came_before_the_cut_are_exact() -> None:
    answer = answering(Messages(), Refusing(), "text/event-stream")
    for piece in events()[:-1]:
        answer.feed(piece)
    assert answer.found().usage == TOTAL


def test_a_stream_without_totals_is_estimated_and_says_so() -> None:
    _, found = streamed(Messages(), events(mute=1))
    assert found.usage is not None
    assert found.usage.estimated
    assert found.notes == ("usage estimated: the stream gave no totals",)


def test_an_error_in_the_stream_is_a_failure() -> None:
    error = sse({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "error")
    _, found = streamed(Messages(), [*events()[:5], error])
    assert found.is_error


def test_totals_keep_what_an_event_leaves_out_or_gives_as_null() -> None:
    told = {"type": "message_delta", "delta": {}, "usage": {"input_tokens": None, "output_tokens": 40}}
    _, found = streamed(Messages(), [*events(), sse(told, "message_delta")])
    assert found.usage == Usage(MODEL, 451, 40, 400, 30)


@pytest.mark.parametrize(
    ("told", "args"),
    [
        (['{"a": 1', "}"], {"a": 1}),
        (['{"a": 1'], None),
        (["[1]"], None),
        ([""], {}),
        (['{"a": "\\ud83d"}'], None),
        (['{"a": 1, "a": 2}'], None),
        ([" "], None),
    ],
)
def test_arguments_are_put_together_from_their_pieces(told: list[str], args: Any) -> None:
    start = {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "tool_use", "id": "t", "name": "n", "input": {}},
    }
    deltas = [
        sse({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": piece}})
        for piece in told
    ]
    _, found = streamed(Messages(), [sse(start), *deltas, sse({"type": "content_block_stop", "index": 0})])
    assert found.proposed == (Proposal("n", args, "t"),)


def test_a_proposal_that_is_never_ended_is_judged_at_the_end_of_the_message() -> None:
    given_ = [event for event in events(tools="delete_all") if b'"content_block_stop", "index": 1' not in event]
    got, found = streamed(Messages(), given_, "delete_all")
    assert [block.type for block in in_sdk(got).content] == ["text", "text"]
    assert found.proposed[0].refused == "tools/no"


def test_a_block_that_begins_again_is_two_proposals() -> None:
    given_ = events(tools="delete_all")
    start = next(at for at, event in enumerate(given_) if b'"tool_use"' in event)
    again = given_[start].replace(b"delete_all", b"get_time")
    given_.insert(start + 3, again)
    got, found = streamed(Messages(), given_, "delete_all")
    assert [(proposal.name, proposal.refused) for proposal in found.proposed] == [
        ("delete_all", "tools/no"),
        ("get_time", ""),
    ]
    assert b"delete_all" not in got.replace(SAID.format("delete_all").encode(), b"")
    assert again in got


@pytest.mark.parametrize("data", [b"[]", b"null", b'{"type": 1}', b'{"type": "message_start", "message": 3}'])
def test_events_that_are_not_as_documented_are_passed_over(data: bytes) -> None:
    odd = b"data: " + data + b"\n\n"
    given_ = [odd, *events(tools="get_weather"), odd]
    got, found = streamed(Messages(), given_, "delete_all")
    assert got == b"".join(given_)
    assert found.usage == TOTAL


def test_the_result_of_a_stream_is_the_message() -> None:
    answer = answering(Messages(), Refusing(wants_result=True), "text/event-stream")
    passed(answer, events(tools="get_weather"))
    result = answer.found().result
    assert result is not None
    assert result["content"] == [
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "toolu_0", "name": "get_weather", "input": ARGS},
    ]
    assert (result["stop_reason"], result["usage"]["output_tokens"]) == ("tool_use", 37)
    assert Messages().stream(Asked(), b"", b"").result([]) is None


def test_a_failed_stream_raises_in_the_sdk_with_our_text() -> None:
    refusal = Refusal(Reason.RESULT_DENIED, 403, "the answer is kept", advice="ask another")
    data = b"".join(events()[:4]) + Messages().stream(Asked(), b"", b"").failed(refusal)
    with pytest.raises(anthropic.APIStatusError, match="the answer is kept; ask another") as raised:
        in_sdk(data)
    assert raised.value.type == "permission_error"
    assert json.loads(json.dumps(raised.value.body))["type"] == "error"
