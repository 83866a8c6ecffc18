"""Streams of OpenAI's API through every kind of answer, as OpenAI's own SDK reads them."""

from __future__ import annotations

import httpx2
import openai
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import OpenAI

from gateway.model import Proposal, Usage
from gateway.understand.openai import OpenAi
from gateway.understand.sse import EventParser
from tests.understand.llm_support import (
    CALLS_OF_RESPONSE,
    RESPONSE_USAGE,
    TWO_CALLS,
    USAGE,
    Judge,
    answer,
    begins,
    call_events,
    chat_stream,
    chunk,
    delta,
    denied,
    function_call,
    goes_on,
    message_events,
    response,
    response_stream,
    through,
)

DIALECT = OpenAi()
CHAT = DIALECT.endpoint("POST", "/v1/chat/completions")[0]
RESPONSES = DIALECT.endpoint("POST", "/v1/responses")[0]
STREAMS = {"chat": (CHAT, TWO_CALLS), "responses": (RESPONSES, CALLS_OF_RESPONSE)}
JUDGES = {
    "nobody judges": lambda: Judge(),
    "all proposals may pass": lambda: Judge(proposals=True),
    "one is refused": lambda: Judge("delete_file"),
    "all are refused": lambda: Judge("delete_file", "get_weather"),
    "the result is judged": lambda: Judge("delete_file", result=lambda found: None),
}
USED = Usage("gpt-6-2026-08-01", 1117, 46, 1024, 0, 7)
CUTS = st.lists(st.integers(0, 10_000), max_size=40)
SAID = "[call of delete_file refused by policy safety/no-deletes: not this one]"


def client(data: bytes) -> OpenAI:
    """OpenAI's SDK in front of a server that answers every request with this stream."""

    def reply(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=data)

    return OpenAI(
        api_key="k", base_url="http://llm/v1", http_client=httpx2.Client(transport=httpx2.MockTransport(reply))
    )


def completion(data: bytes):
    """The completion that the SDK puts together from a stream."""
    with client(data).chat.completions.stream(model="gpt-6", messages=[{"role": "user", "content": "hi"}]) as stream:
        return stream.get_final_completion()


def final_response(data: bytes):
    """The response that the SDK puts together from a stream."""
    with client(data).responses.stream(model="gpt-6", input="hi") as stream:
        return stream.get_final_response()


# -- chunking ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("api", STREAMS)
@given(cuts=CUTS)
def test_however_a_stream_is_cut_the_agent_gets_the_same(api, judge, cuts):
    endpoint, data = STREAMS[api]
    whole = answer(endpoint, JUDGES[judge]())
    cut = answer(endpoint, JUDGES[judge]())
    assert through(cut, data, cuts) == through(whole, data)
    assert cut.found() == whole.found()


@pytest.mark.parametrize("judge", ["nobody judges", "all proposals may pass"])
@pytest.mark.parametrize("api", STREAMS)
@given(cuts=CUTS)
def test_what_nobody_refuses_passes_byte_for_byte(api, judge, cuts):
    endpoint, data = STREAMS[api]
    assert through(answer(endpoint, JUDGES[judge]()), data, cuts) == data


@pytest.mark.parametrize("api", STREAMS)
def test_where_nobody_judges_each_byte_passes_at_once(api):
    endpoint, data = STREAMS[api]
    read = answer(endpoint, Judge())
    assert [read.feed(data[at : at + 1]) for at in range(len(data))] == [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize("api", STREAMS)
def test_where_proposals_are_judged_only_they_are_held(api):
    endpoint, data = STREAMS[api]
    read = answer(endpoint, Judge(proposals=True))
    held = False
    for each in EventParser().feed(data):
        passed = read.feed(each.raw)
        if b"Let me see." in each.raw:
            assert passed == each.raw
        held = held or passed == b""
        if b"get_weather" in passed:
            assert b"/etc" not in passed or b"Bern" in passed
    assert held


# -- usage -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("judge", JUDGES)
def test_usage_and_proposals_are_found(judge):
    read = answer(CHAT, JUDGES[judge]())
    through(read, TWO_CALLS)
    found = read.found()
    assert found.usage == USED
    assert [(each.name, each.args, each.id) for each in found.proposed] == [
        ("delete_file", {"path": "/etc"}, "call_1"),
        ("get_weather", {"city": "Bern"}, "call_2"),
    ]


def test_usage_of_a_response_is_found():
    read = answer(RESPONSES, Judge())
    through(read, CALLS_OF_RESPONSE)
    assert read.found().usage == Usage("gpt-6-2026-08-01", 328, 52, 128, 64, 12)


@pytest.mark.parametrize("api", STREAMS)
def test_of_a_stream_that_was_cut_usage_is_estimated(api):
    endpoint, data = STREAMS[api]
    read = answer(endpoint, Judge(), {"model": "gpt-6", "input": "x" * 400})
    read.feed(data[: data.index(b"/etc")])
    usage = read.found().usage
    assert usage.estimated
    assert usage.model == "gpt-6-2026-08-01"
    assert usage.input_tokens == -(-len(orjson.dumps({"model": "gpt-6", "input": "x" * 400})) // 4)
    assert 4 <= usage.output_tokens <= 12
    assert read.found().notes == ("usage estimated: the stream was cut off",)


def test_a_stream_that_never_tells_its_usage_is_estimated():
    read = answer(CHAT, Judge())
    through(read, chat_stream(chunk(delta(content="x" * 400)), chunk(delta("stop"))))
    assert (read.found().usage.output_tokens, read.found().usage.estimated) == (100, True)
    assert read.found().notes == ("usage estimated: the stream does not tell it",)


ASKED = {"model": "gpt-6", "stream": True, "messages": []}


@pytest.mark.parametrize("judge", ["nobody judges", "all proposals may pass"])
@given(cuts=CUTS)
def test_the_chunk_that_only_the_gateway_asked_for_is_hidden(judge, cuts):
    read = answer(CHAT, JUDGES[judge](), ASKED, sent=b'{"stream_options":...}')
    assert through(read, TWO_CALLS, cuts) == TWO_CALLS.replace(_usage_event(), b"")
    assert read.found().usage == USED


def test_the_chunk_that_the_agent_asked_for_is_not_hidden():
    read = answer(CHAT, Judge(), {**ASKED, "stream_options": {"include_usage": True}}, sent=b"{}")
    assert through(read, TWO_CALLS) == TWO_CALLS


def _usage_event() -> bytes:
    return next(each.raw for each in EventParser().feed(TWO_CALLS) if b"1117" in each.raw)


def test_an_error_in_a_stream_is_an_error():
    data = b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n'
    read = answer(CHAT, Judge())
    assert through(read, data) == data
    assert read.found().is_error
    failed = response_stream({"type": "error", "code": "x", "message": "m", "param": None})
    read = answer(RESPONSES, Judge())
    through(read, failed)
    assert read.found().is_error


# -- refused proposals -------------------------------------------------------------------------------------------


def test_a_refused_call_is_a_text_for_the_sdk_and_the_other_stays():
    read = answer(CHAT, Judge("delete_file"))
    got = completion(through(read, TWO_CALLS))
    [choice] = got.choices
    assert choice.message.content == f"Let me see.\n{SAID}"
    [call] = choice.message.tool_calls
    assert (call.id, call.function.name, call.function.arguments) == ("call_2", "get_weather", '{"city":"Bern"}')
    assert choice.finish_reason == "tool_calls"
    assert got.usage.total_tokens == USAGE["total_tokens"]
    found = read.found()
    assert [each.refused for each in found.proposed] == ["safety/no-deletes", ""]
    assert found.refusal.detail == "not this one"


def test_where_all_calls_are_refused_the_model_just_stopped():
    got = completion(through(answer(CHAT, Judge("delete_file", "get_weather")), TWO_CALLS))
    [choice] = got.choices
    assert not choice.message.tool_calls
    assert choice.finish_reason == "stop"
    assert choice.message.content.count("refused by policy") == 2


def test_each_choice_keeps_its_own_calls():
    data = chat_stream(
        chunk(delta(role="assistant", content=None, tool_calls=[begins(0, "call_a", "delete_file", "{}")])),
        chunk(delta(role="assistant", index=1, content="fine")),
        chunk(delta(index=1, tool_calls=[begins(0, "call_b", "get_weather", "{}")])),
        chunk(delta("tool_calls")),
        chunk(delta("tool_calls", index=1)),
    )
    first, second = completion(through(answer(CHAT, Judge("delete_file")), data)).choices
    assert (first.message.content, first.finish_reason) == (SAID, "stop")
    assert (second.message.content, second.finish_reason) == ("fine", "tool_calls")
    assert second.message.tool_calls[0].function.name == "get_weather"


def test_a_function_call_of_old_is_a_proposal():
    data = chat_stream(
        chunk(delta(role="assistant", content=None, function_call={"name": "delete_file", "arguments": ""})),
        chunk(delta(function_call={"arguments": '{"path":"/"}'})),
        chunk(delta("function_call")),
    )
    read = answer(CHAT, Judge("delete_file"))
    [choice] = completion(through(read, data)).choices
    assert (choice.message.function_call, choice.message.content, choice.finish_reason) == (None, SAID, "stop")
    assert read.found().proposed[0].args == {"path": "/"}


def test_a_custom_tool_takes_a_text():
    entry = {"index": 0, "id": "call_1", "type": "custom", "custom": {"name": "shell", "input": "rm "}}
    data = chat_stream(
        chunk(delta(tool_calls=[entry])),
        chunk(delta(tool_calls=[{"index": 0, "custom": {"input": "-rf /"}}])),
        chunk(delta("tool_calls")),
    )
    judge = Judge("shell")
    assert b"rm " not in through(answer(CHAT, judge), data)
    assert judge.saw == [Proposal("shell", {"input": "rm -rf /"}, "call_1")]


@pytest.mark.parametrize("arguments", ['{"path":"/tmp","path":"/etc"}', '{"path":', "[1]", '"x"'])
def test_arguments_that_can_be_read_in_two_ways_or_not_at_all_have_none(arguments):
    judge = Judge(proposals=True)
    data = chat_stream(chunk(delta(tool_calls=[begins(0, "call_1", "delete_file", arguments)])), chunk(delta("length")))
    assert b"call_1" not in through(answer(CHAT, judge), data)
    assert [each.args for each in judge.saw] == [None]


def test_a_call_that_is_never_complete_never_passes():
    data = b"".join(each.raw for each in EventParser().feed(TWO_CALLS) if b'finish_reason":"' not in each.raw)
    data = data.replace(b"data: [DONE]\n\n", b"")
    read = answer(CHAT, Judge(proposals=True))
    assert b"delete_file" not in through(read, data)
    assert "held back" in read.found().notes[-1]


def test_a_refused_call_is_nowhere_in_a_response():
    read = answer(RESPONSES, Judge("delete_file"))
    data = through(read, CALLS_OF_RESPONSE)
    assert b"/etc" not in data
    got = final_response(data)
    assert [item.type for item in got.output] == ["message", "message", "function_call"]
    assert got.output[1].content[0].text == SAID
    assert got.output[2].name == "get_weather"
    assert got.usage.total_tokens == RESPONSE_USAGE["total_tokens"]
    assert [each.refused for each in read.found().proposed] == ["safety/no-deletes", ""]


def test_the_message_in_place_of_a_refused_call_has_an_id_of_its_own():
    data = CALLS_OF_RESPONSE.replace(b'"msg_0"', b'"msg_1"')  # the call is fc_1
    got = final_response(through(answer(RESPONSES, Judge("delete_file")), data))
    assert [item.id for item in got.output] == ["msg_1", "msg_refused_1", "fc_2"]


def test_the_text_in_place_of_a_refused_call_comes_in_deltas_that_the_sdk_prints():
    data = through(answer(RESPONSES, Judge("delete_file")), CALLS_OF_RESPONSE)
    with client(data).responses.stream(model="gpt-6", input="hi") as stream:
        events = list(stream)
    texts = [each.delta for each in events if each.type == "response.output_text.delta"]
    numbers = [each.sequence_number for each in events]
    assert texts == ["Let me see.", SAID]
    assert numbers == sorted(numbers)


def test_a_call_that_only_the_last_event_tells_is_judged_too():
    data = response_stream(
        {"type": "response.created", "response": response("in_progress")},
        {
            "type": "response.completed",
            "response": response("completed", function_call(0, "delete_file", '{"path":"/etc"}'), usage=RESPONSE_USAGE),
        },
    )
    assert b"/etc" not in through(answer(RESPONSES, Judge("delete_file")), data)


@pytest.mark.parametrize("last", ["response.incomplete", "response.failed"])
def test_a_call_that_was_begun_and_never_told_whole_is_refused_as_unreadable(last):
    begun = call_events(1, "get_weather", '{"city":', '"Bern"}')[:2]
    data = response_stream(
        {"type": "response.created", "response": response("in_progress")},
        *message_events(0, "Let me see."),
        *begun,
        {"type": last, "response": response(last.removeprefix("response."), usage=RESPONSE_USAGE)},
    )
    judge = Judge(proposals=True)
    passed = through(answer(RESPONSES, judge), data)
    assert judge.saw == [Proposal("get_weather", None, "call_1")]
    assert b"city" not in passed
    assert b"Let me see." in passed


def test_a_tool_that_the_agent_runs_is_a_proposal_whatever_its_kind():
    shell = {"id": "sh_1", "type": "shell_call", "call_id": "call_9", "status": "completed"}
    shell["action"] = {"commands": ["rm -rf /"], "timeout_ms": None, "max_output_length": None}
    judge = Judge(proposals=True)
    data = response_stream(
        {"type": "response.created", "response": response("in_progress")},
        {"type": "response.output_item.added", "output_index": 0, "item": {**shell, "status": "in_progress"}},
        {"type": "response.output_item.done", "output_index": 0, "item": shell},
        {"type": "response.completed", "response": response("completed", shell, usage=RESPONSE_USAGE)},
    )
    assert through(answer(RESPONSES, judge), data) == data
    assert judge.saw == [Proposal("shell", {"action": shell["action"]}, "call_9")]


# -- results -----------------------------------------------------------------------------------------------------


def test_rules_see_the_result_of_a_stream_as_one_that_is_not_streamed():
    judge = Judge(result=lambda found: None)
    read = answer(CHAT, judge)
    assert read.whole
    assert through(read, TWO_CALLS) == TWO_CALLS
    [found] = judge.results
    [choice] = found.result["choices"]
    assert choice["message"]["content"] == "Let me see."
    assert [call["function"]["name"] for call in choice["message"]["tool_calls"]] == ["delete_file", "get_weather"]
    assert choice["finish_reason"] == "tool_calls"
    assert found.usage == USED


def test_rules_see_no_proposal_that_the_agent_will_not_see():
    judge = Judge("delete_file", result=lambda found: None)
    through(answer(RESPONSES, judge), CALLS_OF_RESPONSE)
    [found] = judge.results
    assert [each.name for each in found.proposed] == ["get_weather"]
    assert [item["type"] for item in found.result["output"]] == ["message", "message", "function_call"]


@pytest.mark.parametrize("api", STREAMS)
def test_of_a_refused_result_nothing_passes(api):
    endpoint, data = STREAMS[api]
    read = answer(endpoint, Judge(result=denied))
    assert through(read, data, range(0, len(data), 50)) == b""
    assert read.refusal() == read.found().refusal == denied(read.found())
    assert read.found().usage is not None


def test_an_event_too_long_to_be_judged_ends_the_stream_with_an_error(monkeypatch):
    monkeypatch.setattr("gateway.understand.llm_streams.MOST_READ", 200)
    read = answer(CHAT, Judge(proposals=True))
    data = through(read, chat_stream(chunk(delta(tool_calls=[begins(0, "call_1", "get_weather", "x" * 300)]))), [400])
    with pytest.raises(openai.APIError, match="too long"):
        list(client(data).chat.completions.create(model="gpt-6", messages=[], stream=True))
    assert read.feed(b"data: more\n\n") == b""


def test_an_event_too_long_to_be_tapped_passes_and_is_told(monkeypatch):
    monkeypatch.setattr("gateway.understand.llm_streams.MOST_READ", 200)
    read = answer(CHAT, Judge())
    data = b"data: " + b"x" * 500 + b"\n\n"
    assert through(read, data, range(0, 500, 100)) == data
    assert "were not read" in read.found().notes[-1]


@pytest.mark.parametrize("endpoint", [CHAT, RESPONSES])
def test_a_stream_that_fails_raises_in_the_sdk(endpoint):
    data = endpoint.stream(endpoint.asked({}, {}), b"", b"").failed(denied(None))
    with pytest.raises(openai.APIError, match="not for you"):
        if endpoint is CHAT:
            list(client(data).chat.completions.create(model="gpt-6", messages=[], stream=True))
        else:
            list(client(data).responses.create(model="gpt-6", input="hi", stream=True))


def test_pieces_of_a_refused_call_that_come_late_are_dropped():
    data = TWO_CALLS.replace(b"data: [DONE]\n\n", b"") + chat_stream(chunk(delta(tool_calls=[goes_on(0, "late")])))
    assert b"late" not in through(answer(CHAT, Judge("delete_file")), data)
