"""What is kept of an answer, what people are shown of it, and what the same call gets later."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from msgspec import structs

from gateway.model import Answered, Call, Kept
from gateway.understand.keeping import kept_of, packed, payload_with, phrase_kept, unpacked
from tests.builders import call

EVENTS, JSON = b"text/event-stream", b"application/json"
RESPONSE = b'{"jsonrpc":"2.0","result":{"n":1.50,"content":[]},"id":"first"}'
SENT = b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read"}}'


def kept(body: bytes, kind: bytes = JSON) -> Kept:
    return Kept(200, ((b"Content-Type", kind),), body)


def over_mcp() -> Call:
    return structs.replace(call(), facts={"mcp.method": "tools/call"})


def shown(of: Kept) -> dict[str, Any]:
    result: dict[str, Any] = orjson.loads(payload_with(call(), b"", of))["result"]
    return result


def test_fields_that_say_what_the_body_is_are_kept_and_validators_only_of_the_bytes_that_came() -> None:
    fields = ((b"content-type", JSON), (b"ETag", b'"1"'), (b"Set-Cookie", b"a=b"), (b"Content-Length", b"2"))
    answered = Answered(203, 0.1, fields=fields)
    same, changed = kept_of(answered, b"{}", changed=False), kept_of(answered, b"[]", changed=True)
    assert unpacked(packed(same)) == same == Kept(203, fields[:2], b"{}")
    assert changed == Kept(203, fields[:1], b"[]")


def test_people_see_json_as_it_is_read_and_everything_else_as_text() -> None:
    assert shown(kept(b'{"a":[1]}'))["value"] == {"a": [1]}
    for body in (b'{"a":1,"a":2}', b"<p>", b'"text"', b"\xff", b"", b'{"a":%d}' % 2**70):
        assert shown(kept(body))["body"] == body.decode("utf-8", "replace")


def test_people_see_all_of_a_stream_not_only_its_response() -> None:
    one = b"data: " + RESPONSE + b"\n\n"
    assert shown(kept(one, EVENTS))["value"] == orjson.loads(RESPONSE)
    two = b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":"ignore"}}\n\n' + one
    assert shown(kept(two, EVENTS))["body"] == two.decode()


@pytest.mark.parametrize("events", [False, True])
def test_over_mcp_only_the_id_is_another(events: bool) -> None:
    body = b": ping\n\ndata: " + RESPONSE + b"\n\n" if events else RESPONSE
    told = phrase_kept(kept(body, EVENTS if events else JSON), over_mcp(), "call-9", SENT)
    assert told.status == 200
    assert told.body == b'{"jsonrpc":"2.0","result":{"n":1.50,"content":[]},"id":7}'
    assert dict(told.fields)[b"Content-Type"] == JSON


def test_all_other_answers_are_given_byte_for_byte() -> None:
    told = phrase_kept(kept(b"data: x\n\n", EVENTS), call(), "call-9", SENT)
    assert told.body == b"data: x\n\n"
    assert told.fields == ((b"Content-Type", EVENTS), (b"X-Toolgate-Call", b"call-9"))
    assert phrase_kept(kept(b"<p>no message"), over_mcp(), "call-9", SENT).body == b"<p>no message"
