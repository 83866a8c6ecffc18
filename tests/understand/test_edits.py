"""Arguments that a person puts in the place of a call's own: the tool gets exactly these, and nothing else changes."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Refused
from gateway.model import Call, Caps, Question, Reason, Refusal, Run
from gateway.policy.redaction import MASK
from gateway.understand.edits import EDITED
from gateway.understand.http import HttpReader
from gateway.understand.llm import ModelCall
from gateway.understand.route import Router
from tests.builders import ANYBODY, request, tool
from tests.understand.mcp_world import Offered, post
from tests.understand.mcp_world import read as read_mcp
from tests.understand.mcp_world import reader as mcp_reader
from tests.understand.test_llm import CHAT
from tests.understand.test_llm import read as read_llm
from tests.understand.test_llm import reader as llm_reader

BANK = tool("bank")
JSON, FORM = ("Content-Type", "application/json"), ("Content-Type", "application/x-www-form-urlencoded")

names = st.text(min_size=1, max_size=8)
texts = st.dictionaries(names, st.text(max_size=12), max_size=5)
leaves = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    leaves | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(names, values, max_size=5)


def http(*, reads: bool = True) -> HttpReader:
    return HttpReader(BANK, reads_args=reads, looks_at_path=True)


def read(
    body: bytes = b"", *fields: tuple[str, str], query: str = "", method: str = "POST", reads: bool = True
) -> Call:
    of = request(method, f"/bank/transfers{query}", fields, length=len(body))
    return http(reads=reads).read("call-7", of, Router([BANK]).route(of), ANYBODY, Run(), body or None)


def pairs(text: str) -> dict[str, str]:
    return dict(parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text)))


# -- plain HTTP ---------------------------------------------------------------------------------------------------


@given(objects.filter(bool), objects)
def test_a_json_body_is_exactly_what_was_put_in(before: dict[str, Any], after: dict[str, Any]):
    body = orjson.dumps(before)
    call = read(body, JSON)
    edited = http().edit(call, after, body)
    assert edited.args == after
    assert orjson.loads(edited.body if edited.body is not None else body) == after
    assert (edited.target, edited.query, edited.request) == (call.target, call.query, call.request)
    assert edited.amendments == (EDITED,)


@given(texts.filter(bool), texts)
def test_a_form_is_exactly_what_was_put_in(before: dict[str, str], after: dict[str, str]):
    body = urlencode(before).encode()
    edited = http().edit(read(body, FORM), after, body)
    assert edited.args == after
    assert pairs((edited.body if edited.body is not None else body).decode()) == after


@given(texts.filter(bool), texts)
def test_a_query_is_exactly_what_was_put_in(before: dict[str, str], after: dict[str, str]):
    call = read(query="?" + urlencode(before), method="GET")
    edited = http().edit(call, after, None)
    path, _, query = edited.target.partition("?")
    assert (path, query, edited.body) == ("/transfers", edited.query, None)
    assert pairs(query) == edited.args == after


@given(texts.filter(bool), objects.filter(bool), st.data())
def test_what_was_in_the_query_stays_there_and_what_is_new_goes_into_the_body(query, below, data):
    below = {name: value for name, value in below.items() if name not in query} or {"n\0": 1}
    body = orjson.dumps(below)
    kept = data.draw(st.lists(st.sampled_from([*query, *below]), unique=True))
    after = {name: "x" if name in query else below[name] for name in kept} | {"new\0": [1, {"a": None}]}
    edited = http().edit(read(body, JSON, query="?" + urlencode(query)), after, body)
    assert edited.args == after
    assert pairs(edited.query) == {name: "x" for name in kept if name in query}
    assert orjson.loads(edited.body or b"") == {name: after[name] for name in after if name not in query}


def test_pairs_that_stay_the_same_stay_as_they_were_written():
    call = read(query="?q=a%20b&flag&n=1&z=~", method="GET")
    edited = http().edit(call, {"q": "a b", "flag": "", "n": "2", "z": "~"}, None)
    assert edited.query == "q=a%20b&flag=&n=2&z=~"


def test_arguments_that_stay_the_same_change_no_byte():
    body = b'{ "amount": 1e2 , "to":"ann" }'
    call = read(body, JSON, query="?dry=1")
    edited = http().edit(call, dict(call.args), body)
    assert (edited.body, edited.target, edited.args) == (None, call.target, call.args)


@pytest.mark.parametrize("value", [50, True, None, {"a": "b"}, [1]])
def test_what_is_no_text_cannot_stand_in_a_query(value: object):
    with pytest.raises(Refused, match="not a text"):
        http().edit(read(query="?n=1", method="GET"), {"n": value}, None)


def test_what_tools_read_in_different_ways_cannot_be_put_in():
    body = b'{"n":1}'
    with pytest.raises(Refused, match="beyond"):
        http().edit(read(body, JSON), {"n": 2**60}, body)


@pytest.mark.parametrize(("call", "args"), [(read(), {"n": "1"}), (read(b'{"n":1}', JSON, reads=False), {"n": 2})])
def test_a_call_without_arguments_has_none_to_edit(call: Call, args: dict[str, Any]):
    with pytest.raises(Refused) as refused:
        http().edit(call, args, b'{"n":1}' if call.request.length else None)
    assert refused.value.reason is Reason.APPROVAL_REQUIRED
    assert refused.value.status == 403


def test_masks_are_put_on_what_the_person_put_in_not_on_what_the_agent_sent():
    body = b'{"amount":100,"iban":"DE1"}'
    edited = http().edit(read(body, JSON), {"amount": 5, "iban": "DE2"}, body)
    masked = http().redact(edited, ("args.iban",), edited.body)
    assert orjson.loads(masked.body or b"") == {"amount": 5, "iban": MASK}


# -- MCP ----------------------------------------------------------------------------------------------------------


def tool_call(arguments: dict[str, Any] | None, **params: Any) -> dict[str, Any]:
    given = {} if arguments is None else {"arguments": arguments}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "pay", **given, **params}}


@given(st.none() | objects, objects)
def test_only_the_arguments_of_a_message_change(before: dict[str, Any] | None, after: dict[str, Any]):
    came = tool_call(before, _meta={"progressToken": "t"}, task={"ttl": 5})
    of, body = post(came)
    call = read_mcp(mcp_reader(), of, body)
    edited = mcp_reader().edit(call, after, body)
    assert orjson.loads(edited.body or b"") == {**came, "params": {**came["params"], "arguments": after}}
    assert (edited.args, edited.operation, edited.facts) == (after, "pay", call.facts)
    assert edited.amendments == (EDITED,)


def test_what_the_person_put_in_is_held_to_the_schema_and_a_pin_still_asks():
    of, body = post(tool_call({"n": 1}))
    call = read_mcp(mcp_reader(), of, body)
    wrong = mcp_reader(catalogue=Offered(wrong="$.n: too large")).edit(call, {"n": 9}, body)
    assert isinstance(wrong.flaw, Refusal)
    assert wrong.flaw.reason is Reason.INVALID_ARGUMENTS
    pinned = mcp_reader(catalogue=Offered(verdicts={"pay": ("approve", "it changed")}))
    assert pinned.edit(call, {"n": 9}, body).flaw == Question("pins", "it changed")


def test_a_header_that_repeats_arguments_would_tell_others():
    of, body = post(tool_call({"n": 1}), ("Mcp-Param-N", "1"))
    with pytest.raises(Refused, match="Mcp-Param"):
        mcp_reader().edit(read_mcp(mcp_reader(), of, body), {"n": 2}, body)


def test_what_calls_no_tool_cannot_be_edited():
    of, body = post({"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": "file:///a"}})
    with pytest.raises(Refused, match="only arguments of tools"):
        mcp_reader().edit(read_mcp(mcp_reader(), of, body), {"uri": "file:///b"}, body)


# -- requests to models ---------------------------------------------------------------------------------------------


def edited_llm(args: dict[str, Any], body: dict[str, Any], *caps: Caps) -> ModelCall:
    call = read_llm(body, *caps)
    edited = llm_reader(*caps).edit(call, {**call.args, **args}, orjson.dumps(body))
    assert isinstance(edited, ModelCall)
    return edited


def test_members_of_a_request_to_a_model_change_and_the_facts_with_them():
    edited = edited_llm({"model": "gpt-6-mini"}, {**CHAT, "max_tokens": 9})
    assert orjson.loads(edited.body or b"") == {**CHAT, "max_tokens": 9, "model": "gpt-6-mini"}
    assert edited.facts["llm.model"] == "gpt-6-mini"
    assert edited.amendments == (EDITED,)


def test_what_a_person_puts_in_is_held_to_the_caps_as_well():
    body = {**CHAT, "max_tokens": 9000}
    edited = edited_llm({"messages": [{"role": "user", "content": "ho"}]}, body, Caps("few", (), 100))
    assert edited.args["max_tokens"] == edited.facts["llm.max_tokens"] == 100
    assert edited.args["messages"][0]["content"] == "ho"
    assert edited.args == orjson.loads(edited.body or b"")
    assert len(edited.amendments) == 2
    refused = edited_llm({"model": "gpt-9"}, body, Caps("ours", ("gpt-6",)))
    assert isinstance(refused.flaw, Refusal)


def test_usage_that_the_gateway_asked_for_is_not_taken_for_the_agents_wish():
    body = {**CHAT, "stream": True}
    edited = edited_llm({"temperature": 0}, body)
    assert orjson.loads(edited.raw) == {**body, "temperature": 0}
    assert orjson.loads(edited.body or b"")["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("args", [{"stream": True}, {"model": 7}, {"messages": "hi"}, {"Model": "gpt-6"}, {"n": 2**70}])
def test_a_request_that_the_api_does_not_document_is_refused(args: dict[str, Any]):
    with pytest.raises(Refused):
        edited_llm(args, CHAT)
