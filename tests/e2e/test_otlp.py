"""Calls of a real gateway as spans at a collector, joined with the spans of those who call and who are called."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.observe.otel.collector import Collector, named

from .harness.gateway import ALL, Gateway, call
from .harness.net import eventually
from .harness.upstream import Upstream

POLICIES = (
    ALL
    + """
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: safety}
spec:
  match: {tools: [raw]}
  rules:
    - {name: no-wiping, when: 'request.path.startsWith("/wipe")', then: deny, message: nothing is wiped here}
"""
)
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "b7ad6b7169203331"


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector()
    yield found
    found.close()


@pytest.fixture
def exporting(tmp_path: Path, upstream: Upstream, collector: Collector) -> Iterator[Gateway]:
    tools = {"raw": {"url": f"http://127.0.0.1:{upstream.port}"}}
    trace = {"file": str(tmp_path / "trace.jsonl"), "otlp": {"endpoint": collector.url}}
    process = Gateway(tmp_path, tools, POLICIES, trace=trace).start()
    yield process
    process.stop()
    assert "Traceback" not in process.output, process.output


def test_a_call_joins_the_spans_of_its_agent_and_of_its_tool(
    exporting: Gateway, upstream: Upstream, collector: Collector
) -> None:
    parent = ("traceparent", f"00-{TRACE}-{SPAN}-01")
    with upstream.recording() as seen:
        answer = call(exporting, "GET", "/raw/report", [parent, ("X-Run-Id", "r1")])
    eventually(lambda: collector.spans)
    server, client = collector.spans
    assert seen.requests[0].get("traceparent") == f"00-{TRACE}-{client.span_id.hex()}-01".encode()
    assert server.parent_span_id.hex() == SPAN
    assert client.parent_span_id == server.span_id
    assert {span.trace_id.hex() for span in (server, client)} == {TRACE}
    assert named(server.attributes)["toolgate.call"] == answer.get("x-toolgate-call").decode()
    assert named(server.attributes)["gen_ai.conversation.id"] == "r1"
    assert named(client.attributes)["server.port"] == upstream.port


def test_refusals_are_exported_and_all_of_it_is_counted(
    exporting: Gateway, upstream: Upstream, collector: Collector
) -> None:
    assert call(exporting, "GET", "/raw/wipe/all").status == 403
    eventually(lambda: collector.spans)
    (span,) = collector.spans
    assert named(span.attributes)["toolgate.rule"] == "safety/no-wiping"
    assert [event.name for event in span.events] == ["toolgate.decision", "toolgate.rule"]
    eventually(lambda: exporting.metric("toolgate_otel_records_exported_total") == 1)
    assert exporting.metric("toolgate_otel_records_dropped_total") == 0
    assert exporting.ready()["trace"]["otlp"] == {"exported": 1, "dropped": 0, "error": None}


def test_what_waits_is_exported_before_the_end(exporting: Gateway, upstream: Upstream, collector: Collector) -> None:
    with upstream.recording():
        call(exporting, "GET", "/raw/report")
    exporting.stop()
    assert [span.name for span in collector.spans] == ["execute_tool raw", "GET"]


def test_a_collector_that_is_gone_keeps_no_call_from_being_made(
    exporting: Gateway, upstream: Upstream, collector: Collector
) -> None:
    collector.close()
    with upstream.recording():
        assert call(exporting, "GET", "/raw/report").status == 200
        eventually(lambda: exporting.ready()["trace"]["otlp"]["error"])
        assert call(exporting, "GET", "/raw/report").status == 200


def test_exemplars_lead_from_the_metrics_to_the_trace(exporting: Gateway, upstream: Upstream) -> None:
    with upstream.recording():
        call(exporting, "GET", "/raw/report", [("traceparent", f"00-{TRACE}-{SPAN}-01")])
    eventually(lambda: exporting.metric('toolgate_call_seconds_count{tool="raw"}') == 1)
    plain = exporting.ask("/metrics")[1].decode()
    rich = exporting.ask("/metrics", {"Accept": "application/openmetrics-text; version=1.0.0"})[1].decode()
    assert f'",trace_id="{TRACE}"}} ' in rich
    assert TRACE not in plain


@pytest.mark.parametrize("propagate", ["auto", "always"])
def test_an_mcp_message_tells_its_server_which_call_it_is(
    request: pytest.FixtureRequest, tmp_path: Path, upstream: Upstream, collector: Collector, propagate: str
) -> None:
    tools = {"notes": {"url": f"http://127.0.0.1:{upstream.port}/mcp", "protocol": "mcp"}}
    trace = {"file": str(tmp_path / "trace.jsonl"), "otlp": {"endpoint": collector.url}}
    gateway = Gateway(tmp_path, tools, trace=trace, lineage={"propagate": propagate}).start()
    request.addfinalizer(gateway.stop)
    meta = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=b", "progressToken": 7}
    with_meta = {"name": "search", "arguments": {"q": 1.50}, "_meta": meta}
    got = []
    for params in (with_meta, {"name": "search", "arguments": {}}):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
        fields = [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")]
        with upstream.recording() as seen:
            assert call(gateway, "POST", "/notes", fields, body, "localhost").status == 200
        (came,) = seen.requests
        got.append((came.json()["params"], came.body == body))
    gateway.stop()
    first, second = got
    server, client = (span for span in collector.spans if span.trace_id.hex() == TRACE)
    assert first[0]["_meta"]["traceparent"] == f"00-{TRACE}-{client.span_id.hex()}-01"
    assert first[0]["_meta"]["tracestate"] == "a=b"
    assert first[0]["_meta"]["progressToken"] == 7
    assert first[0]["_meta"]["baggage"].startswith("toolgate.run=")
    assert server.parent_span_id.hex() == SPAN
    assert ("_meta" in second[0], second[1]) == ((True, False) if propagate == "always" else (False, True))
