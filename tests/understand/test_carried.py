"""Trace context in an MCP message."""

from __future__ import annotations

import json

import orjson
import pytest
from msgspec import structs

from gateway.model.trace_context import LONGEST_BAGGAGE
from gateway.understand.carried import planted
from tests.understand.mcp_world import asked, reader

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_trace_context_of_a_message_is_read():
    meta = {"traceparent": TRACEPARENT, "baggage": "a=b", "tracestate": "x=y", "progressToken": 1}
    made = asked(reader(), "tools/call", {"name": "search", "arguments": {}, "_meta": meta})
    assert made.carried == ((b"traceparent", TRACEPARENT.encode()), (b"baggage", b"a=b"))


@pytest.mark.parametrize(
    "meta",
    [None, {}, [], "baggage", {"baggage": 1}, {"baggage": "a\r\nb"}, {"traceparent": "é"},
     {"baggage": "x" * (LONGEST_BAGGAGE + 1)}],
)  # fmt: skip
def test_what_no_field_could_have_is_not(meta):
    params = {"name": "search", "arguments": {}} | ({} if meta is None else {"_meta": meta})
    assert asked(reader(), "tools/call", params).carried == ()


OTHER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TOLD = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba90000-01"
ONWARD = ((b"traceparent", TOLD.encode()), (b"baggage", b"toolgate.run=token"))


def sent_with(params: dict[str, object]) -> bytes:
    return orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})


def message(meta: dict[str, object]) -> bytes:
    return sent_with({"name": "s", "_meta": meta})


def meta_of(body: bytes | None) -> dict[str, object]:
    assert body is not None
    return json.loads(body)["params"]["_meta"]


def test_the_message_tells_the_call_and_all_else_of_it_stays_byte_for_byte():
    body = b'{"id": 1e0,"jsonrpc":"2.0", "params":{ "name":"s\\u0065arch","arguments":{"q":1.50},"_meta":{"x":[ 1 ]}} }'
    told = planted(body, ((b"traceparent", TOLD.encode()),))
    assert told == (
        b'{"id":1e0,"jsonrpc":"2.0","params":{"name":"s\\u0065arch","arguments":{"q":1.50},"_meta":'
        b'{"x":[ 1 ],"traceparent":"%b"}}}' % TOLD.encode()
    )


def test_tracestate_stays_where_the_trace_goes_on_and_goes_with_another():
    same = {"traceparent": TRACEPARENT, "tracestate": "a=b"}
    assert meta_of(planted(message(same), ONWARD))["tracestate"] == "a=b"
    assert "tracestate" not in meta_of(planted(message({**same, "traceparent": OTHER}), ONWARD))
    assert "tracestate" not in meta_of(planted(message({"tracestate": "a=b"}), ONWARD))


def test_the_agents_baggage_stays_behind_ours():
    assert (
        meta_of(planted(message({"baggage": "a=b,toolgate.run=forged"}), ONWARD))["baggage"] == "toolgate.run=token,a=b"
    )
    assert meta_of(planted(message({"baggage": 7}), ONWARD))["baggage"] == "toolgate.run=token"


def test_what_a_tool_shall_not_get_is_not_in_its_messages_either():
    meta = {"baggage": "a=b", "traceparent": TRACEPARENT, "progressToken": 1}
    assert meta_of(planted(message(meta), ONWARD, frozenset({b"baggage", b"traceparent"}))) == {"progressToken": 1}


@pytest.mark.parametrize(
    "body", [b'{"method":"tools/list"}', b'{"params":[]}', b'{"params":{"_meta":[]}}', b"[]", b"x"]
)
def test_messages_without_a_place_for_it_stay(body):
    assert planted(body, ONWARD) is None


def test_where_meta_is_required_it_is_not_added():
    assert planted(b'{"params":{}}', ONWARD, adds=False) is None
    assert planted(b'{"params":{"_meta":{}}}', ONWARD, adds=False) is not None


@pytest.mark.parametrize(
    ("meta", "plants", "told"),
    [({"traceparent": TRACEPARENT}, False, True), (None, False, False), (None, True, True)],
)
def test_a_call_is_told_in_its_message_where_the_agent_did_or_always(meta, plants, told):
    params = {"name": "search", "arguments": {}} | ({} if meta is None else {"_meta": meta})
    sent, notes = sent_with(params), reader(plants=plants)
    made = asked(notes, "tools/call", params)
    assert notes.traced(made, sent) is made  # nobody has told what to tell
    call = notes.traced(structs.replace(made, onward=ONWARD), sent)
    assert (call.body is not None) == told
    assert not told or meta_of(call.body)["traceparent"] == TOLD


def test_masks_and_the_trace_context_are_in_one_message():
    params = {"name": "search", "arguments": {"pin": "1234"}, "_meta": {"traceparent": TRACEPARENT}}
    sent, notes = sent_with(params), reader()
    call = notes.traced(structs.replace(asked(notes, "tools/call", params), onward=ONWARD), sent)
    masked = notes.redact(call, ("args.pin",), sent)
    assert b"1234" not in masked.body
    assert meta_of(masked.body)["traceparent"] == TOLD
