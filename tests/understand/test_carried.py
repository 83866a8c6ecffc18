"""Trace context in an MCP message."""

from __future__ import annotations

import pytest

from gateway.model.trace_context import LONGEST_BAGGAGE
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
