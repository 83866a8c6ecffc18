"""Calls of a real gateway as spans at a collector, joined with the spans of those who call and who are called."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.observe.otel.collector import Collector, named

from .harness.gateway import Gateway, call, no_wiping
from .harness.net import eventually
from .harness.upstream import Upstream

POLICIES = no_wiping("raw")
SECRET = "held-by-the-gateway-0123456789"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "b7ad6b7169203331"


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector()
    yield found
    found.close()


@pytest.fixture(scope="module")
def module_collector() -> Iterator[Collector]:
    found = Collector()
    yield found
    found.close()


def gateway_to(collector: Collector, folder: Path, upstream: Upstream) -> Gateway:
    credential = {"header": "Authorization", "value": f"Bearer {SECRET}"}
    tools = {"raw": {"url": f"http://127.0.0.1:{upstream.port}", "credential": credential}}
    trace = {"file": str(folder / "trace.jsonl"), "otlp": {"endpoint": collector.url}}
    return Gateway(folder, tools, POLICIES, trace=trace).start()


@pytest.fixture(scope="module")
def module_gateway(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, module_collector: Collector
) -> Iterator[Gateway]:
    process = gateway_to(module_collector, tmp_path_factory.mktemp("otlp"), upstream)
    yield process
    process.stop()
    assert "Traceback" not in process.output, process.output


@pytest.fixture
def kept(module_collector: Collector) -> Collector:
    """What the collector of the shared gateway gets during the test."""
    module_collector.requests.clear()
    return module_collector


def test_a_call_joins_the_spans_of_its_agent_and_of_its_tool(
    module_gateway: Gateway, upstream: Upstream, kept: Collector
) -> None:
    parent = ("traceparent", f"00-{TRACE}-{SPAN}-01")
    with upstream.recording() as seen:
        answer = call(module_gateway, "GET", "/raw/report", [parent, ("X-Run-Id", "r1")])
    eventually(lambda: kept.spans)
    server, client = kept.spans
    assert seen.requests[0].get("traceparent") == f"00-{TRACE}-{client.span_id.hex()}-01".encode()
    assert server.parent_span_id.hex() == SPAN
    assert client.parent_span_id == server.span_id
    assert {span.trace_id.hex() for span in (server, client)} == {TRACE}
    assert named(server.attributes)["toolgate.call"] == answer.get("x-toolgate-call").decode()
    assert named(server.attributes)["gen_ai.conversation.id"] == "r1"
    assert named(client.attributes)["server.port"] == upstream.port


def test_what_the_gateway_holds_is_in_no_span(module_gateway: Gateway, upstream: Upstream, kept: Collector) -> None:
    with upstream.recording() as seen:
        call(module_gateway, "GET", f"/raw/{SECRET}", [("X-Run-Id", f"r-{SECRET}"), ("Agent-Why", f"reason={SECRET}")])
    assert seen.requests[0].get("authorization") == f"Bearer {SECRET}".encode()
    eventually(lambda: kept.spans)
    assert kept.spans[0].name == "execute_tool raw"
    assert not [data for _, _, data in kept.requests if SECRET.encode() in data]


def test_refusals_are_exported_and_all_of_it_is_counted(
    module_gateway: Gateway, upstream: Upstream, kept: Collector
) -> None:
    before = module_gateway.metric("toolgate_otel_records_exported_total")
    assert call(module_gateway, "GET", "/raw/wipe/all").status == 403
    eventually(lambda: kept.spans)
    (span,) = kept.spans
    assert named(span.attributes)["toolgate.rule"] == "safety/no-wiping"
    assert [event.name for event in span.events] == ["toolgate.decision", "toolgate.rule"]
    eventually(lambda: module_gateway.metric("toolgate_otel_records_exported_total") == before + 1)
    assert module_gateway.metric("toolgate_otel_records_dropped_total") == 0
    assert module_gateway.ready()["trace"]["otlp"] == {"exported": before + 1, "dropped": 0, "error": None}


def test_what_waits_is_exported_before_the_end_and_a_collector_that_is_gone_keeps_no_call_from_being_made(
    request: pytest.FixtureRequest, tmp_path: Path, upstream: Upstream, collector: Collector
) -> None:
    gateway = gateway_to(collector, tmp_path, upstream)
    request.addfinalizer(gateway.stop)
    with upstream.recording():
        call(gateway, "GET", "/raw/report")
    gateway.stop()
    assert [span.name for span in collector.spans] == ["execute_tool raw", "GET"]
    collector.close()
    gateway.start()
    with upstream.recording():
        assert call(gateway, "GET", "/raw/report").status == 200
        eventually(lambda: gateway.ready()["trace"]["otlp"]["error"])
        assert call(gateway, "GET", "/raw/report").status == 200
    gateway.stop()


def test_exemplars_lead_from_the_metrics_to_the_trace(module_gateway: Gateway, upstream: Upstream) -> None:
    trace, openmetrics = TRACE[::-1], {"Accept": "application/openmetrics-text; version=1.0.0"}

    def rich() -> str:
        return module_gateway.ask("/metrics", openmetrics)[1].decode()

    with upstream.recording():
        call(module_gateway, "GET", "/raw/report", [("traceparent", f"00-{trace}-{SPAN}-01")])
    eventually(lambda: trace in rich())
    plain = module_gateway.ask("/metrics")[1].decode()
    assert f'",trace_id="{trace}"}} ' in rich()
    assert trace not in plain


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
