"""Notes in the results of MCP tools, all else byte for byte."""

from __future__ import annotations

import orjson
import pytest

from gateway.understand.mcp_notes import noted

NOTES = ("plan was merged",)
HEAD = b'{"jsonrpc":"2.0","id":123456789012345678901234567890,"result":'
BIG = HEAD + b'{"content":[{"type":"text","text":"ok","n":1.10}],"x":1e2}}'
WITH = (
    HEAD + b'{"content":[{"type":"text","text":"ok","n":1.10},'
    b'{"type":"text","text":"Note of the gateway: plan was merged."}],"x":1e2,'
    b'"_meta":{"toolgate/notes":["plan was merged"]}}}'
)


def test_a_note_is_a_text_more():
    assert noted(BIG, "application/json", NOTES) == WITH


def test_of_a_stream_the_result_is_noted_and_other_events_stay():
    stream = b'event: message\r\ndata: {"method":"notifications/progress"}\r\n\r\n: hello\nid: 7\ndata:%b\n\n' % BIG
    told = b'event: message\r\ndata: {"method":"notifications/progress"}\r\n\r\n: hello\nid: 7\ndata: %b\n\n' % WITH
    assert noted(stream, "text/event-stream; charset=utf-8", NOTES) == told


def test_what_the_server_tells_in_meta_stays():
    body = b'{"result":{"_meta":{"a/b":1},"content":[]}}'
    assert orjson.loads(noted(body, "application/json", NOTES))["result"]["_meta"] == {
        "a/b": 1,
        "toolgate/notes": [*NOTES],
    }


@pytest.mark.parametrize(
    "body", [b"", b"x", b"[]", b'{"error":{}}', b'{"result":{}}', b'{"result":{"content":"x"}}', b'{"result":1}']
)
def test_what_has_no_content_stays_as_it_is(body):
    assert noted(body, "application/json", NOTES) == body
