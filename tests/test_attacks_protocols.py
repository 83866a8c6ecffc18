"""What an attacker tried and got through with in MCP and the APIs of models, once: each stays tried."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.errors import Refused
from gateway.model import Answered, Call, Caps, Proposal, Reason, Refusal, Run
from gateway.understand.annotations import hints_of
from gateway.understand.anthropic import Messages
from gateway.understand.dialect import MOST_PROPOSALS, Endpoint
from gateway.understand.gemini import GenerateContent
from gateway.understand.http import HttpReader
from gateway.understand.llm import LlmReader
from gateway.understand.llm_answers import answer_of
from gateway.understand.llm_exchange import Exchange
from gateway.understand.openai import OpenAi
from gateway.understand.openai_chat import Chat
from gateway.understand.openai_responses import Responses
from gateway.understand.route import Router
from gateway.wire.answer import content_of
from tests.builders import ANYBODY, request, tool
from tests.understand import mcp_world
from tests.understand.llm_support import EVENTS, JSON, Judge, through

CHAT, RESPONSES, MESSAGES = Chat(asks_usage=False), Responses(), Messages()
GEMINI = GenerateContent("streamGenerateContent", stream=True)


class Transfers(Judge):
    """Refuses transfers of more than 100, and ``delete_file``."""

    def __init__(self) -> None:
        super().__init__("delete_file")

    def proposal(self, proposal: Proposal) -> Any:
        large = proposal.name == "transfer" and (proposal.args or {}).get("amount", 0) > 100
        return super().proposal(Proposal("delete_file", proposal.args, proposal.id) if large else proposal)


def told(*datas: Any, named: bool = False) -> bytes:
    """Events of these data."""
    return b"".join(
        (b"event: %b\n" % data["type"].encode() if named else b"") + b"data: " + json.dumps(data).encode() + b"\n\n"
        for data in datas
    )


def got(endpoint: Endpoint, data: bytes, kind: str = EVENTS) -> bytes:
    """What the agent gets of an answer that is judged."""
    params = {"model": "m"}
    asked = endpoint.asked({"stream": True, "messages": [], "contents": []}, params)
    return through(answer_of(Exchange(endpoint, asked, b"{}", b"{}", Answered(200, 0.1, kind)), Transfers()), data)


DELETE = {"name": "delete_file", "arguments": "{}"}
GEMINI_DELETE = {"candidates": [{"content": {"parts": [{"functionCall": {"name": "delete_file", "args": {}}}]}}]}


def test_a_call_of_two_kinds_is_refused_since_clients_choose_one():
    call = {"id": "c", "type": "function", "function": DELETE, "custom": {"name": "read", "input": "x"}}
    whole = {"choices": [{"index": 0, "message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    assert b'"tool_calls":[' not in got(CHAT, json.dumps(whole).encode(), JSON)
    chunk = {"choices": [{"index": 0, "delta": {"tool_calls": [{**call, "index": 0}]}, "finish_reason": "tool_calls"}]}
    assert b'"function"' not in got(CHAT, told(chunk))


def test_a_name_in_two_pieces_is_refused_since_some_clients_take_the_first():
    pieces = [{"index": 0, "id": "c", "function": DELETE}, {"index": 0, "function": {"name": "x"}}]
    chunks = [{"choices": [{"index": 0, "delta": {"tool_calls": [piece]}}]} for piece in pieces]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    assert b'"function"' not in got(CHAT, told(*chunks, end))


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(GEMINI_DELETE).encode() + b"\n\n",
        b"x-unknown: 1\n" + json.dumps(GEMINI_DELETE).encode() + b"\n\n",
        ":\u2028data: ".encode() + json.dumps(GEMINI_DELETE).encode() + b"\n\n",
        b"id: 1\x0bdata: " + json.dumps(GEMINI_DELETE).encode() + b"\n\n",
        "data: x\u2028data: ".encode() + json.dumps(GEMINI_DELETE).encode() + b"\n\n",
        b"data: " + json.dumps(GEMINI_DELETE).encode() + b"\ndata:{\n\n",
    ],
    ids=["no field", "unknown field", "U+2028 in a comment", "VT in an id", "U+2028 in data", "data without a space"],
)
def test_lines_that_only_some_clients_take_for_data_do_not_pass_a_judged_stream(data):
    assert b"functionCall" not in got(GEMINI, data)


def test_events_in_an_unusual_form_pass_in_the_usual_one():
    got_ = got(GEMINI, b'data: {"a":\ndata: 1}\n: kept\n\n')
    assert got_ == b'data: {"a":1}\n\n'
    assert got(CHAT, b": kept\n\nid: 7\ndata: {}\n\ndata: [DONE]") == b": kept\n\nid: 7\ndata: {}\n\ndata: [DONE]"


def test_gemini_calls_are_found_in_both_spellings_at_once():
    part = {"functionCall": None, "function_call": {"name": "delete_file", "args": {}}}
    assert b"function_call" not in got(GEMINI, told({"candidates": [{"content": {"parts": [part]}}]}))


START = {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "content": []}}
STOP = {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 3}}


def block(index: int, name: str, ident: str = "t", **given: Any) -> dict[str, Any]:
    content = {"type": "tool_use", "id": ident, "name": name, "input": given}
    return {"type": "content_block_start", "index": index, "content_block": content}


def piece(index: int, text: str) -> dict[str, Any]:
    delta = {"type": "input_json_delta", "partial_json": text}
    return {"type": "content_block_delta", "index": index, "delta": delta}


def end(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def test_blocks_that_come_with_the_start_of_a_message_are_judged():
    message = {**START["message"], "content": [block(0, "delete_file")["content_block"]]}
    passed = got(MESSAGES, told({**START, "message": message}, STOP, named=True))
    assert b"tool_use" not in passed
    assert b"[call of delete_file refused" in passed


def test_arguments_that_come_after_the_end_of_their_block_do_not_pass():
    passed = got(MESSAGES, told(START, block(0, "transfer"), end(0), piece(0, '{"amount": 5000}'), STOP, named=True))
    assert b"transfer" in passed
    assert b"5000" not in passed


def test_blocks_whose_indexes_are_not_their_places_are_refused():
    events = [block(7, "transfer"), block(0, "read", "u"), piece(0, '{"amount": 5000}'), end(0), end(7)]
    passed = got(MESSAGES, told(START, *events, STOP, named=True))
    assert b"tool_use" not in passed
    assert b"5000" not in passed


def test_arguments_given_at_the_start_and_in_pieces_are_refused():
    passed = got(
        MESSAGES, told(START, block(0, "transfer", amount=5000), piece(0, '{"amount": 1}'), end(0), named=True)
    )
    assert b"tool_use" not in passed


def item(name: str, ident: str, arguments: str = "{}") -> dict[str, Any]:
    return {"type": "function_call", "id": f"fc_{ident}", "call_id": f"c_{ident}", "name": name, "arguments": arguments}


def done(index: int | None, of: dict[str, Any], kind: str = "done") -> dict[str, Any]:
    where = {} if index is None else {"output_index": index}
    return {"type": f"response.output_item.{kind}", **where, "item": of}


def grown(index: int, ident: str, text: str) -> dict[str, Any]:
    kind = "response.function_call_arguments.delta"
    return {"type": kind, "output_index": index, "item_id": f"fc_{ident}", "delta": text}


COMPLETED = {"type": "response.completed", "response": {"id": "r", "model": "m", "output": []}}


@pytest.mark.parametrize(
    "events",
    [
        [done(0, item("read", "a")), done(0, item("delete_file", "b"))],
        [done(None, item("delete_file", "b"))],
        [done("1", item("delete_file", "b"))],  # type: ignore[arg-type]
        [{"type": "response.created", "response": {"id": "r", "output": [item("delete_file", "b")]}}],
    ],
    ids=["an index twice", "no index", "an index that is text", "in the response that is created"],
)
def test_a_refused_item_does_not_pass_whatever_its_index(events):
    passed = got(RESPONSES, told(*events, COMPLETED, named=True))
    assert b'"name":"delete_file"' not in passed.replace(b'": "', b'":"')


@pytest.mark.parametrize(
    "events",
    [
        [
            done(0, item("transfer", "a", ""), "added"),
            grown(0, "a", '{"amount": 5000}'),
            done(0, item("transfer", "a")),
        ],
        [done(0, item("transfer", "a")), grown(0, "a", '{"amount": 5000}')],
        [
            done(0, item("transfer", "a", ""), "added"),
            done(1, item("read", "b", ""), "added"),
            grown(1, "a", '{"amount": 5000}'),
            done(0, item("transfer", "a")),
            done(1, item("read", "b", '{"amount": 5000}')),
        ],
    ],
    ids=["other than the item's", "after the item", "by index of one call, by id of another"],
)
def test_pieces_of_arguments_that_are_not_those_of_the_item_do_not_pass(events):
    assert b"5000" not in got(RESPONSES, told(*events, COMPLETED, named=True))


def test_repeated_types_and_codings_count_together():
    fields = [
        (b"Content-Encoding", b"gzip"),
        (b"Content-Encoding", b"identity"),
        (b"Content-Type", b"application/json"),
    ]
    fields.append((b"content-type", b"text/event-stream"))
    assert content_of(fields) == ("application/json, text/event-stream", "gzip, identity")


def test_events_that_only_other_parsers_can_read_do_not_pass_a_judged_stream():
    deep = json.dumps(GEMINI_DELETE).replace('"args": {}', '"args": {"a": %s}' % ("[" * 5000 + "]" * 5000))
    assert got(GEMINI, b"data: " + deep.encode() + b"\n\ndata: {\n\ndata: {}\n\n") == b"data: {}\n\n"


MANY = MOST_PROPOSALS + 1
CALLS = [{"index": at, "id": f"c{at}", "function": {"name": "read", "arguments": "{}"}} for at in range(MANY)]


def test_a_whole_answer_that_proposes_too_many_calls_is_refused_as_a_whole():
    body = {"choices": [{"index": 0, "message": {"tool_calls": CALLS}}]}
    judge = Transfers()
    exchange = Exchange(CHAT, CHAT.asked({"messages": []}, {}), b"{}", b"{}", Answered(200, 0.1, JSON))
    read = answer_of(exchange, judge)
    assert through(read, json.dumps(body).encode()) == b""
    refusal = read.refusal()
    assert refusal is not None
    assert "too many calls" in refusal.detail
    assert judge.saw == []


@pytest.mark.parametrize(
    ("endpoint", "events"),
    [
        (CHAT, [{"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": "x"}]} for call in CALLS]),
        (CHAT, [{"choices": [{"index": 0, "delta": {"tool_calls": CALLS}}]}]),
        (RESPONSES, [done(at, item("read", str(at))) for at in range(MANY)]),
        (RESPONSES, [done(at, item("read", str(at)), "added") for at in range(MANY)]),
        (RESPONSES, [grown(at, str(at), "{") for at in range(MANY)]),
        (MESSAGES, [each for at in range(MANY) for each in (block(at, "read"), end(at))]),
        (MESSAGES, [block(at, "read") for at in range(MANY)]),
        (GEMINI, [json.loads(json.dumps(GEMINI_DELETE).replace("delete_file", f"f{at}")) for at in range(MANY)]),
    ],
    ids=[
        "chat",
        "chat, open",
        "responses",
        "responses, open",
        "responses, pieces",
        "messages",
        "messages, open",
        "gemini",
    ],
)
def test_a_stream_that_proposes_too_many_calls_ends_with_an_error(endpoint, events):
    last = {"type": "message_stop", "x": "the end"}
    passed = got(endpoint, told(*events, last))
    assert b"too many calls" in passed
    assert b"the end" not in passed


def test_more_arguments_than_are_put_together_end_the_stream():
    text = "x" * (1 << 20)
    pieces = [{"index": 0, "function": {"name": "" if at else "read", "arguments": text}} for at in range(10)]
    passed = got(CHAT, told(*[{"choices": [{"index": 0, "delta": {"tool_calls": [each]}}]} for each in pieces]))
    assert b"result_unreadable" in passed


SECRET = {"content": [{"type": "text", "text": "the secret"}]}
ANSWER = json.dumps({"jsonrpc": "2.0", "id": 7, "result": SECRET}).encode()
OK_EVENTS = Answered(200, 0.1, EVENTS)


def judged(data: bytes, of: Answered, judge: mcp_world.Judge | None = None, **reading: Any) -> bytes:
    """What the agent gets of the answer to a tool call, or to what ``reading`` says."""
    by = mcp_world.reader(judges_results=True)
    call = mcp_world.asked(by, **(reading or {"method": "tools/call", "params": {"name": "search"}}))
    read = by.answer(call, of, judge or mcp_world.Judge(refuses="secret"))
    assert read is not None
    return mcp_world.through(read, [data])


@pytest.mark.parametrize("status", [202, 300, 400, 500])
def test_a_result_with_another_status_is_judged_since_clients_read_errors_that_are_json_rpc(status):
    assert b"the secret" not in judged(ANSWER, Answered(status, 0.1, JSON))


def test_a_result_within_a_task_is_kept_back():
    task = {"taskId": "1", "status": "completed", "result": SECRET}
    whole = json.dumps({"jsonrpc": "2.0", "id": 7, "result": task}).encode()
    asked = {"method": "tasks/get", "params": {"taskId": "1"}}
    assert b"the secret" not in judged(whole, Answered(200, 0.1, JSON), mcp_world.Judge(), **asked)
    notice = {"jsonrpc": "2.0", "method": "notifications/tasks", "params": task}
    assert b"the secret" not in judged(told(notice), OK_EVENTS)


@pytest.mark.parametrize("before", [":\u2028", "id: 1\x0b", "event: message\u0085", "data:\n: \x1d"])
def test_data_that_only_some_clients_see_in_another_line_does_not_pass_a_judged_stream_of_messages(before):
    assert b"the secret" not in judged(before.encode() + b"data: " + ANSWER + b"\n\n", OK_EVENTS)


def test_members_that_differ_from_the_protocols_only_in_case_are_no_way_around_rules():
    assert b"secret" not in judged(ANSWER.replace(b'"result"', b'"Result"'), Answered(200, 0.1, JSON))
    tools = [{"name": "good"}, {"name": "ok", "Name": "evil"}, {"name": "ok2", "Description": "evil"}]
    page = {"jsonrpc": "2.0", "id": 7, "result": {"tools": tools}}
    asked = {"method": "tools/list", "params": {}}
    passed = judged(json.dumps(page).encode(), Answered(200, 0.1, JSON), mcp_world.Judge(), **asked)
    assert [tool["name"] for tool in json.loads(passed)["result"]["tools"]] == ["good"]
    page["result"] = {"tools": [], "Tools": [{"name": "evil"}]}
    assert judged(json.dumps(page).encode(), Answered(200, 0.1, JSON), mcp_world.Judge(), **asked) == b""


def test_a_message_in_utf_16_is_no_form():
    by = mcp_world.reader()
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x"}}).encode("utf-16-be")
    form = ("Content-Type", "application/x-www-form-urlencoded")
    with pytest.raises(Refused) as refused:
        mcp_world.read(by, request("POST", "/notes", [form], length=len(body)), body)
    assert refused.value.status == 415


@pytest.mark.parametrize("asks", ["websocket", "WebSocket/13", "other"])
def test_an_mcp_endpoint_is_not_left_for_a_protocol_that_nobody_reads(asks):
    by = mcp_world.reader()
    with pytest.raises(Refused):
        mcp_world.read(by, request("GET", "/notes", [("Connection", "Upgrade"), ("Upgrade", asks)]))


def test_http_2_may_be_offered_at_an_mcp_endpoint_since_it_is_never_taken():
    by = mcp_world.reader()
    call = mcp_world.read(by, request("GET", "/notes", [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c")]))
    assert call.operation == "stream"


def test_of_annotations_only_the_hints_are_kept():
    assert hints_of({"readOnlyHint": True, "destructiveHint": "no", "title": "x" * 1000}) == {"readOnlyHint": True}
    assert hints_of([]) is None


SMALL = Caps("small", models=("small*",))


def asking(path: str, body: dict[str, Any]) -> Call:
    """The call that a request to OpenAI's API is, where a cap allows small models only."""
    one = tool("ai", protocol="openai")
    http = HttpReader(one, reads_args=False, looks_at_path=True)
    by = LlmReader(one, OpenAi(), http=http, caps=lambda *_: (SMALL,), reads_messages=False)
    raw = json.dumps(body).encode()
    came = request("POST", f"/ai{path}", [("Content-Type", JSON)], length=len(raw))
    return by.read("c", came, Router([one]).route(came), ANYBODY, Run(), raw)


CHATS = "/v1/chat/completions"


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/v1/engines/large/chat/completions", {"model": "small"}),
        ("/openai/deployments/small/large/chat/completions", {"model": "large"}),
        (CHATS, {"model": "small", "models": ["small", "large"]}),
        (CHATS, {"model": "small", "fallbacks": [{"model": "large"}]}),
        (CHATS, {"model": "small", "fallbacks": [{"small": ["large"]}]}),
        ("/v1/responses", {"model": "small", "models": ["large"]}),
        ("/v1/embeddings", {"model": "small", "models": "large"}),
    ],
)
def test_a_model_that_is_named_elsewhere_is_capped_too(path, named):
    call = asking(path, {**named, "messages": []})
    assert isinstance(call.flaw, Refusal)
    assert call.flaw.reason is Reason.CAPPED


@pytest.mark.parametrize(
    "path", [CHATS, "/openai/deployments/small/chat/completions", "/openai/deployments/small/v1/embeddings"]
)
def test_models_that_are_allowed_pass(path):
    call = asking(path, {"model": "small-2", "models": ["small"], "messages": []})
    assert call.flaw is None
    assert call.facts["llm.model"] == ("small" if "deployments" in path else "small-2")


def test_a_member_that_decoders_without_case_take_for_the_model_is_refused():
    with pytest.raises(Refused, match="'Model'"):
        asking(CHATS, {"model": "small", "Model": "large", "messages": []})


def test_a_cap_holds_back_websockets_by_which_models_are_asked():
    one = tool("ai", protocol="openai")
    http = HttpReader(one, reads_args=False, looks_at_path=True)
    by = LlmReader(one, OpenAi(), http=http, caps=lambda *_: (SMALL,), reads_messages=False)
    for fields, flawed in (((), False), ((("Upgrade", "websocket"), ("Connection", "Upgrade")), True)):
        came = request("GET", "/ai/v1/responses", fields)
        assert (by.read("c", came, Router([one]).route(came), ANYBODY, Run(), None).flaw is not None) == flawed
