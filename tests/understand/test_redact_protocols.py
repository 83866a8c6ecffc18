"""Masks in MCP messages and results, and in requests to models and their answers; or a refusal."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.errors import Refused
from gateway.model import Call, Reason
from gateway.policy.redaction import MASK
from gateway.understand.llm import ModelCall
from gateway.understand.openai_chat import Chat
from tests.builders import request
from tests.understand import llm_support
from tests.understand.mcp_world import OK_EVENTS, OK_JSON, Judge, asked, post, read, reader, through
from tests.understand.test_llm import CHAT, TYPE
from tests.understand.test_llm import read as read_llm
from tests.understand.test_llm import reader as llm_reader

# -- MCP requests ------------------------------------------------------------------------------------------------


def redacted(message: object, *mask: str, fields: tuple[tuple[str, str], ...] = ()) -> Call:
    """The call that the server gets."""
    by = reader()
    of, body = post(message, *fields)
    return by.redact(read(by, of, body), mask, body)


def message(method: str, params: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": "a-1", "method": method, "params": params, **rest}


def sent(call: Call) -> Any:
    assert call.body is not None
    return orjson.loads(call.body)


def test_only_the_arguments_of_a_tool_call_change():
    arguments = {"password": "hunter2", "n": 1}
    came = message("tools/call", {"name": "login", "arguments": arguments, "_meta": {"password": "p", "x": 1}})
    call = redacted(came, "args.password", "args.none", fields=(("Mcp-Method", "tools/call"), ("Mcp-Name", "login")))
    masked = {"password": MASK, "n": 1}
    assert sent(call) == {**came, "params": {**came["params"], "arguments": masked}}
    assert (call.args, call.operation) == (masked, "login")
    assert call.amendments == ("redacted args.password",)


def test_prompts_take_their_arguments_like_tools():
    call = redacted(message("prompts/get", {"name": "p", "arguments": {"who": "Ann"}}), "args.who")
    assert sent(call)["params"] == {"name": "p", "arguments": {"who": MASK}}


def test_what_a_person_answers_to_a_server_can_be_masked():
    came = {"jsonrpc": "2.0", "id": 5, "result": {"action": "accept", "content": {"password": "x"}}}
    call = redacted(came, "args.content.password")
    assert sent(call) == {**came, "result": {"action": "accept", "content": {"password": MASK}}}


def test_parameters_of_other_methods_can_be_masked():
    call = redacted(message("x/custom", {"secret": 1, "_meta": {"a": 1}}), "args.secret")
    assert sent(call)["params"] == {"secret": MASK, "_meta": {"a": 1}}


@pytest.mark.parametrize(
    "came",
    [
        message("tools/call", {"name": "login", "arguments": {"password": MASK, "n": 1.50}}),
        message("tools/call", {"name": "login"}),
        {"jsonrpc": "2.0", "id": 5, "error": {"code": 1, "message": "no"}},
        message("ping", {}),
    ],
)
def test_a_message_without_any_of_the_fields_stays_as_it_came(came):
    call = redacted(came, "args.password", "args.content.password")
    assert (call.body, call.amendments) == (None, ())


@pytest.mark.parametrize("field", ["Mcp-Param-Region", "mcp_param_region"])
def test_fields_that_repeat_arguments_would_give_them_away(field):
    came = message("tools/call", {"name": "login", "arguments": {"password": "hunter2"}})
    with pytest.raises(Refused) as caught:
        redacted(came, "args.password", fields=((field, "hunter2"),))
    assert (caught.value.reason, caught.value.status) == (Reason.REDACTION_FAILED, 403)
    assert redacted(came, "args.other", fields=((field, "hunter2"),)).body is None


@pytest.mark.parametrize(
    ("came", "mask"),
    [
        (message("resources/read", {"uri": "file:///secret"}), "args.uri"),
        (message("completion/complete", {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {}}), "args.ref"),
        (message("completion/complete", {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {}}), "args.ref.name"),
    ],
)
def test_a_message_that_would_be_about_something_else_is_refused(came, mask):
    with pytest.raises(Refused, match="something else"):
        redacted(came, mask)


def test_a_header_that_would_say_otherwise_than_the_masked_body_is_a_refusal():
    came = message("tasks/cancel", {"taskId": "t-1"})
    assert sent(redacted(came, "args.taskId"))["params"] == {"taskId": MASK}
    with pytest.raises(Refused, match="something else"):
        redacted(came, "args.taskId", fields=(("Mcp-Name", "t-1"),))


def test_what_is_no_mcp_is_masked_as_plain_http():
    by = reader()
    form = (("Content-Type", "application/x-www-form-urlencoded"),)
    of, body = post(b"grant_type=x&client_secret=s", *form, target="/notes/token")
    assert by.redact(read(by, of, body), ["args.client_secret"], body).body == (
        b"grant_type=x&client_secret=%5Bredacted%5D"
    )


def test_a_stream_that_is_opened_has_nothing_to_mask():
    by = reader()
    call = read(by, request("GET", "/notes", [("Accept", "text/event-stream")]))
    assert by.redact(call, ["args.password"], None) is call


# -- MCP results -------------------------------------------------------------------------------------------------

DONE = b'{"jsonrpc":"2.0","id":7,"result":{"content":[],"structuredContent":{"ssn":"1","big":36893488147419103232}}}'
QUIET = b'{"jsonrpc":"2.0","id":7,"result":{ "content":[] }}'
ERROR = b'{"jsonrpc":"2.0","id":7,"error":{"code":-1,"message":"ssn 1"}}'
MASKS = ("result.structuredContent.ssn", "result.error.message")


def answered(body: bytes, head: Any = OK_JSON, *mask: str) -> tuple[bytes, Any]:
    by = reader(judges_results=True)
    answer = by.answer(asked(by, "tools/call", {"name": "search"}, ident=7), head, Judge(fields=mask or MASKS))
    return through(answer, [body[:30], body[30:]]), answer


def test_a_result_reaches_the_agent_with_masks():
    got, answer = answered(DONE)
    assert b'"structuredContent":{"ssn":"[redacted]","big":36893488147419103232}' in got.replace(b" ", b"")
    assert orjson.loads(got)["id"] == 7
    assert answer.found().notes == ("redacted result.structuredContent.ssn",)


def test_an_error_can_be_masked_too():
    got, answer = answered(ERROR)
    assert orjson.loads(got) == {"jsonrpc": "2.0", "id": 7, "error": {"code": -1, "message": MASK}}
    assert answer.found().is_error


def test_a_result_without_any_of_the_fields_keeps_its_bytes():
    got, answer = answered(QUIET)
    assert (got, answer.found().notes) == (QUIET, ())


def test_in_a_stream_each_response_is_masked_and_all_else_passes():
    progress = b'data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"ssn":1}}\n\n'
    got, answer = answered(b"id: 1\ndata: " + QUIET + b"\n\n" + progress + b"data: " + DONE + b"\n\n", OK_EVENTS)
    assert got.startswith(b"id: 1\ndata: " + QUIET + b"\n\n" + progress)
    assert MASK.encode() in got
    assert b'"ssn":"1"' not in got.replace(b" ", b"")
    assert answer.found().notes == ("redacted result.structuredContent.ssn",)


def test_in_an_array_of_responses_each_is_masked():
    got, _ = answered(b"[" + QUIET + b"," + DONE + b"]")
    first, second = orjson.loads(got.replace(b"36893488147419103232", b"0"))
    assert first == orjson.loads(QUIET)
    assert second["result"]["structuredContent"]["ssn"] == MASK


# -- models ------------------------------------------------------------------------------------------------------


def asked_model(body: dict[str, Any], *mask: str) -> Call:
    raw = orjson.dumps(body)
    return llm_reader().redact(read_llm(body), mask, raw)


def test_the_model_is_sent_masks_and_its_facts_tell_of_them():
    call = asked_model({**CHAT, "user": "ann@example.com"}, "args.user", "args.messages.*.content")
    assert sent(call) == {"model": "gpt-6", "messages": [{"role": "user", "content": MASK}], "user": MASK}
    assert isinstance(call, ModelCall)
    assert call.facts["llm.messages"] == [{"role": "user", "content": MASK}]
    assert call.amendments == ("redacted args.user", "redacted args.messages.*.content")


def test_a_request_without_any_of_the_fields_stays_as_it_came():
    call = asked_model(CHAT, "args.user")
    assert (call.body, call.amendments) == (None, ())


def test_a_request_that_the_api_would_not_take_is_refused():
    with pytest.raises(Refused) as caught:
        asked_model({**CHAT, "max_tokens": 5}, "args.max_tokens")
    assert caught.value.reason is Reason.REDACTION_FAILED


def test_what_asks_no_model_is_masked_as_plain_http():
    body = b'{"purpose":"x","token":"t"}'
    by = llm_reader(reads_args=True)
    call = read_llm(body, path="/v1/files", fields=(TYPE,), reads_args=True)
    assert by.redact(call, ["args.token"], body).body == b'{"purpose":"x","token":"[redacted]"}'


ANSWER = {"model": "gpt-6", "choices": [{"message": {"content": "ssn 1"}}], "usage": {"prompt_tokens": 1}}


def test_the_answer_of_a_model_reaches_the_agent_with_masks():
    judge = llm_support.Judge(result=lambda found: None, fields=("result.choices.*.message.content", "result.x"))
    answer = llm_support.answer(Chat(asks_usage=False), judge, content_type=llm_support.JSON)
    got = orjson.loads(llm_support.through(answer, orjson.dumps(ANSWER)))
    assert got == {**ANSWER, "choices": [{"message": {"content": MASK}}]}
    assert "redacted result.choices.*.message.content" in answer.found().notes
    assert "redacted result.x" not in answer.found().notes


@pytest.mark.parametrize(("mask", "refused"), [("result.choices.*.message.content", True), ("result.none", False)])
def test_a_stream_in_which_something_would_be_masked_is_refused(mask, refused):
    judge = llm_support.Judge(result=lambda found: None, fields=(mask,))
    answer = llm_support.answer(Chat(asks_usage=False), judge, {"model": "gpt-6", "stream": True})
    got = llm_support.through(answer, llm_support.TWO_CALLS)
    refusal = answer.refusal()
    assert (refusal is not None) is refused
    if refusal is not None:
        assert (got, refusal.reason) == (b"", Reason.RESULT_UNREADABLE)
        assert answer.found().refusal == refusal
