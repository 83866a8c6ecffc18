"""What is left behind of a call: the trace, the answer's own fields, health and metrics."""

from __future__ import annotations

import re
import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from .harness import http1
from .harness.gateway import Gateway, call
from .harness.net import Peer, eventually
from .harness.upstream import Upstream

WHO = ("X-Agent-Id", "tester-1")
JSON = ("Content-Type", "application/json")


def test_a_call_is_one_line_with_everything(governed: Gateway, upstream: Upstream) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    fields = [WHO, JSON, ("X-Run-Id", "run-7"), ("traceparent", parent)]
    with upstream.recording(http1.response("201 Created", body=b"12345")) as seen:
        answer = call(governed, "POST", "/bank/transfers?q=1", fields, b'{"amount": 0.5}')
    assert seen.requests[0].all("traceparent"), "the tool may join the trace"
    record = governed.trace(answer.get("x-toolgate-call"))
    expected = {
        "run": "run-7", "traceparent": parent, "agent": "tester-1", "tool": "bank", "method": "POST",
        "operation": "POST /transfers", "path": "/bank/transfers", "decision": "allow", "reason": None,
        "status": 201, "upstream_status": 201, "bytes_in": 15, "bytes_out": 5, "grant": "testers",
    }  # fmt: skip
    assert {key: record[key] for key in expected} == expected
    assert [rule["rule"] for rule in record["rules"]] == ["small"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["ts"])
    assert re.fullmatch(r"[0-9a-f]{8,64}", record["policy_version"])
    timings = record["timings"]
    assert timings["total_ms"] >= timings["upstream_first_byte_ms"] > 0
    assert timings["decide_ms"] > 0
    assert timings["queue_ms"] == 0
    assert len([line for line in governed.traces() if line["call"] == record["call"]]) == 1


def test_a_refused_call_says_why(governed: Gateway) -> None:
    answer = call(governed, "POST", "/bank/transfers", [WHO, JSON], b'{"amount": 2000}')
    record = governed.trace(answer.get("x-toolgate-call"))
    assert (record["decision"], record["reason"], record["rule"]) == ("refuse", "policy_denied", "payments/large")
    assert (record["status"], record["upstream_status"]) == (403, None)
    assert [(rule["policy"], rule["rule"], rule["verdict"]) for rule in record["rules"]] == [
        ("payments", "large", "deny")
    ]


def test_the_guards_numbers_are_in_the_record(governed: Gateway, upstream: Upstream) -> None:
    with upstream.recording():
        records = [
            governed.trace(
                call(governed, "GET", "/limited/x", [("X-Agent-Id", "tester-counted")]).get("x-toolgate-call")
            )
            for _ in range(4)
        ]
        healthy = governed.trace(call(governed, "GET", "/picky/counted", [WHO]).get("x-toolgate-call"))
    guards = [record["guards"][0] for record in records]
    assert [guard["guard"] for guard in guards] == ["three"] * 4
    assert [guard["granted"] for guard in guards] == [True, True, True, False]
    assert [int(guard["left"]) for guard in guards[:3]] == [2, 1, 0]
    assert guards[3]["retry_after"] > 0
    assert [guard["state"] for guard in healthy["guards"]] == ["closed"]


@pytest.mark.parametrize("raw", [b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"])
def test_a_malformed_request_names_its_call_too(governed: Gateway, raw: bytes) -> None:
    with governed.connect() as peer:
        peer.send(raw)
        answer = http1.read_response(peer)
    assert answer.status == 400
    assert answer.json()["call_id"].encode() == answer.get("x-toolgate-call")


@pytest.mark.parametrize("together", [True, False])
def test_a_call_that_breaks_in_its_body_is_in_the_record(governed: Gateway, upstream: Upstream, together: bool) -> None:
    """A call id that the agent was given can be found again, whatever became of the call."""
    head = http1.request("POST", "/open/x", [WHO, ("Transfer-Encoding", "chunked")]) + b"3\r\nabc\r\n"
    with upstream.recording() as seen, governed.connect() as peer:
        if together:
            peer.send(head + b"broken\r\n")
        else:
            peer.send(head)
            eventually(lambda: seen.turns, what="the call is under way")
            peer.send(b"broken\r\n")
        answer = http1.read_response(peer)
    assert answer.status == 400
    record = governed.trace(answer.get("x-toolgate-call"))
    assert (record["status"], record["fault"]) == (400, "agent")


def test_call_ids_are_unique(governed: Gateway, upstream: Upstream) -> None:
    with upstream.recording():
        names = [call(governed, "GET", "/open/x", [WHO]).get("x-toolgate-call") for _ in range(20)]
    assert len(set(names)) == 20


def test_server_timing_is_well_formed(governed: Gateway, upstream: Upstream) -> None:
    with upstream.recording():
        value = call(governed, "GET", "/open/x", [WHO]).get("server-timing")
    assert value is not None
    for metric in value.split(b","):
        assert re.fullmatch(rb'[a-z_-]+;dur=\d+(\.\d+)?(;desc="[^"]*")?', metric.strip())


def test_an_agent_cannot_forge_a_line(governed: Gateway, upstream: Upstream) -> None:
    """Whatever an agent writes, a line is a line, and its own id stays its own."""
    with upstream.recording():
        answer = call(
            governed, "GET", '/open/%0A{"call":"forged"}', [WHO, ("X-Run-Id", 'a"}\\n{"call":"forged"'),
            ("X-Toolgate-Call", "forged")],
        )  # fmt: skip
        record = governed.trace(answer.get("x-toolgate-call"))
    assert record["call"] != "forged"
    assert not [line for line in governed.traces() if line["call"] == "forged"]


def test_health_readiness_and_metrics(governed: Gateway, upstream: Upstream) -> None:
    with upstream.recording():
        call(governed, "GET", "/open/x", [WHO])
    assert governed.ask("/healthz")[0] == 200
    ready = governed.ready()
    assert ready["policy_version"]
    assert ready["last_reload_error"] is None
    status, body = governed.ask("/metrics")
    assert status == 200
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    assert {"toolgate_calls", "toolgate_upstream_responses", "toolgate_call_seconds"} <= families.keys()
    assert not [name for name in families if not name.startswith(("toolgate_", "python_", "process_"))]
    calls = {tuple(sorted(sample.labels.items())) for sample in families["toolgate_calls"].samples}
    assert any(("tool", "open") in labels and ("decision", "allow") in labels for labels in calls)


def test_calls_in_flight_are_counted_and_uncounted(governed: Gateway, upstream: Upstream) -> None:
    may_answer = threading.Event()

    def script(peer: Peer) -> None:
        http1.read_request(peer)
        assert may_answer.wait(8)
        peer.send(http1.response("200 OK"))

    def in_flight() -> float:
        return governed.metric('toolgate_in_flight_calls{tool="open"}')

    with upstream.playing(script), governed.connect() as peer:
        peer.send(http1.request("GET", "/open/x", [WHO]))
        eventually(lambda: in_flight() == 1, what="one in flight")
        may_answer.set()
        http1.read_response(peer)
        eventually(lambda: in_flight() == 0, what="none in flight")


def test_unknown_tools_do_not_grow_the_metrics(governed: Gateway) -> None:
    """Labels are bounded: what an agent makes up is no label."""
    for number in range(30):
        call(governed, "GET", f"/made-up-{number}/x", [WHO])
    assert b"made-up" not in governed.ask("/metrics")[1]


def test_the_admin_address_is_not_for_agents(governed: Gateway) -> None:
    """And the agents' address does not serve the admin's pages."""
    for path in ("/metrics", "/healthz", "/readyz"):
        assert call(governed, "GET", path, [WHO]).status == 404
