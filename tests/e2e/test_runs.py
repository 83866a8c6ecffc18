"""Agents that are tools of agents: bounds hold for the whole tree of runs, whatever of the headers comes through."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from .harness.gateway import ALL, Gateway, call, problem_of
from .harness.http1 import Message

BOUNDS = """
---
apiVersion: toolgate/v1
kind: Run
metadata: {name: deep}
spec: {match: {tools: [deep]}, depth: 3}
---
apiVersion: toolgate/v1
kind: Run
metadata: {name: short}
spec: {match: {tools: [short]}, steps: 5}
---
apiVersion: toolgate/v1
kind: Run
metadata: {name: narrow}
spec: {match: {tools: [narrow]}, fan_out: 2}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: reads}
spec:
  match: {tools: [read]}
  rules:
    - {name: below, when: 'run.depth == 1 && run.root == "r-read" && run.steps > 0', then: deny, message: seen}
    - {name: failing, when: 'run.errors_in_row >= 2 && run.age >= 0.0', then: deny, message: failing}
"""
NAMES = ("deep", "short", "narrow", "read")


class Relay(BaseHTTPRequestHandler):
    """An agent that is a tool: asked for ``/hop/N``, it asks for ``/hop/N-1`` through the gateway, and tells what came.

    ``X-Keeps`` names the fields that it passes on, ``X-Tool`` by which tool it asks, ``X-Times`` how often.
    """

    protocol_version = "HTTP/1.1"
    gateway: Gateway

    def do_GET(self) -> None:
        hops = int(self.path.rpartition("/")[2])
        inner = [self._ask(hops - 1, number) for number in range(int(self.headers["X-Times"]))] if hops else []
        told = json.dumps({"inner": inner, "got": {name.lower(): value for name, value in self.headers.items()}})
        status = 500 if self.headers["X-Fails"] else 200
        self.send_response(status)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told.encode())

    def _ask(self, hops: int, number: int) -> Any:
        keeps = [*self.headers["X-Keeps"].split(), "x-keeps", "x-tool", "x-times"]
        headers = {name: value for name in keeps if (value := self.headers[name]) is not None}
        headers |= {"X-Agent": f"helper-{hops}", "X-Run-Id": f"run-{hops}-{number}"}
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=10)
        try:
            connection.request("GET", f"/{self.headers['X-Tool']}/hop/{hops}", headers=headers)
            answer = connection.getresponse()
            return {"status": answer.status, **json.loads(answer.read())}
        finally:
            connection.close()

    def log_message(self, *args: object) -> None:
        """Nothing is logged."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Relay)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    folder = tmp_path_factory.mktemp("runs")
    tools = {name: {"url": url} for name in NAMES} | {"strict": {"url": url, "strip": ["baggage"]}}
    process = Gateway(folder, tools, ALL + BOUNDS, identify=[{"header": "X-Agent"}])
    Relay.gateway = process
    process.start()
    yield process
    process.stop()
    server.shutdown()
    server.server_close()
    assert "Traceback" not in process.output, process.output


def ask(gateway: Gateway, tool: str, hops: int = 0, keeps: str = "", times: int = 1, **more: str) -> Message:
    """A call of the planner to the relay."""
    fields = {"X-Agent": "planner", "X-Tool": tool, "X-Keeps": keeps, "X-Times": str(times)}
    fields |= {name.replace("_", "-"): value for name, value in more.items()}
    return call(gateway, "GET", f"/{tool}/hop/{hops}", list(fields.items()))


def statuses(told: dict[str, Any]) -> list[int]:
    """The statuses down the line of first calls."""
    return [told["inner"][0]["status"], *statuses(told["inner"][0])] if told.get("inner") else []


@pytest.mark.parametrize(
    ("keeps", "expected"),
    [
        ("traceparent baggage", [200, 200, 200, 403]),
        ("traceparent", [200, 200, 200, 403]),
        ("baggage", [200, 200, 200, 403]),
        ("", [200] * 6),
    ],
)
def test_calls_lie_only_so_deep_within_each_other(gateway: Gateway, keeps: str, expected: list[int]) -> None:
    answer = ask(gateway, "deep", 6, keeps, X_Run_Id="r-deep")
    told = answer.json()
    assert statuses(told) == expected
    if keeps:
        refused = told["inner"][0]["inner"][0]["inner"][0]["inner"][0]
        assert (refused["reason"], refused["rule"], refused["retryable"]) == ("run_limited", "run/deep", False)
        record = gateway.trace(refused["call_id"])
        assert record["depth"] == 4
        assert record["root"] == {"agent": "planner", "run": "r-deep"}
        assert (record["led_by"]["agent"], record["led_by"]["run"]) == ("helper-3", "run-3-0")


def test_steps_of_all_runs_of_the_tree_count(gateway: Gateway) -> None:
    told = ask(gateway, "short", 1, "baggage", times=6, X_Run_Id="r-short").json()
    assert [one["status"] for one in told["inner"]] == [200] * 4 + [403, 403], "one of the planner's own, four below"
    problem_of(ask(gateway, "short", X_Run_Id="r-short"), "run_limited", 403)
    assert ask(gateway, "short", X_Run_Id="r-other").status == 200


def test_a_run_leads_to_so_many_others(gateway: Gateway) -> None:
    told = ask(gateway, "narrow", 1, "traceparent", times=4, X_Run_Id="r-narrow").json()
    assert [one["status"] for one in told["inner"]] == [200, 200, 403, 403]
    again = ask(gateway, "narrow", 1, "traceparent", times=2, X_Run_Id="r-narrow").json()
    assert [one["status"] for one in again["inner"]] == [200, 200], "those that there are go on"


def test_an_agent_says_which_of_its_runs_began_another(gateway: Gateway) -> None:
    fields = {"X_Parent_Run_Id": "r-parent"}
    ran = [ask(gateway, "short", X_Run_Id=f"child-{number}", **fields).status for number in range(6)]
    assert ran == [200] * 5 + [403]


def test_rules_read_where_a_call_stands_and_what_its_run_has_done(gateway: Gateway) -> None:
    told = ask(gateway, "read", 1, "baggage", X_Run_Id="r-read").json()
    assert told["inner"][0]["detail"] == "seen"
    failing = [ask(gateway, "read", X_Run_Id="r-fails", X_Fails="1") for _ in range(3)]
    assert [answer.status for answer in failing] == [500, 500, 403]
    assert failing[2].json()["detail"] == "failing"


def test_nobody_spends_steps_of_anothers_run_by_what_he_makes_up(gateway: Gateway) -> None:
    """Neither by a run header, nor by a parent, nor by a token of his own making, nor by one that he changed."""
    real = ask(gateway, "short", X_Run_Id="r-victim").json()["got"]["baggage"]
    changed = real[:-2] + ("AA" if real[-2:] != "AA" else "BB")
    for made_up in ("toolgate.run=AAAA", changed):
        for number in range(6):
            answer = ask(
                gateway, "short", X_Agent="mallory", X_Run_Id=f"m-{number}", X_Parent_Run_Id="", Baggage=made_up
            )
            assert answer.status == 200
        assert gateway.trace(answer.get("x-toolgate-call"))["lineage"] == "rejected"
    for _ in range(5):
        ask(gateway, "short", X_Agent="mallory", X_Run_Id="r-victim")
        ask(gateway, "short", X_Agent="mallory", X_Run_Id="below", X_Parent_Run_Id="r-victim")
    assert [ask(gateway, "short", X_Run_Id="r-victim").status for _ in range(5)] == [200] * 4 + [403]


def test_the_agents_trace_goes_on_through_the_tool(gateway: Gateway) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = ask(
        gateway, "deep", Traceparent=f"00-{trace}-00f067aa0ba902b7-01", Tracestate="a=b", Baggage="user=7;p,k=%20"
    )
    got = answer.json()["got"]
    version, same, span, flags = got["traceparent"].split("-")
    assert (version, same, flags) == ("00", trace, "01")
    assert span != "00f067aa0ba902b7"
    assert got["tracestate"] == "a=b"
    assert got["baggage"].startswith("toolgate.run=")
    assert got["baggage"].endswith(",user=7;p,k=%20")
    record = gateway.trace(answer.get("x-toolgate-call"))
    assert (record["trace_id"], record["span_id"], record["parent_span_id"]) == (trace, span, "00f067aa0ba902b7")


def test_a_trace_that_is_none_ends_here_with_its_state(gateway: Gateway) -> None:
    got = ask(gateway, "deep", Traceparent="00-nonsense", Tracestate="a=b").json()["got"]
    assert "tracestate" not in got
    assert len(got["traceparent"]) == 55


def test_a_tool_from_which_baggage_is_stripped_gets_none(gateway: Gateway) -> None:
    got = ask(gateway, "strict", Baggage="a=b").json()["got"]
    assert "baggage" not in got
    assert "traceparent" in got


def test_tokens_outlive_the_process_where_its_state_does(tmp_path: Path) -> None:
    """What a tool was told before a restart still counts after it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Relay)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    tools = {"short": {"url": f"http://127.0.0.1:{server.server_address[1]}"}}
    process = Gateway(tmp_path / "kept", tools, ALL, identify=[{"header": "X-Agent"}])
    process.config |= {"state": "sqlite:///kept.db", "lineage": {"propagate": "always"}}
    try:
        told = ask(process.start(), "short", X_Run_Id="r1").json()["got"]["baggage"]
        process.stop()
        answer = ask(process.start(), "short", X_Agent="searcher", X_Run_Id="s1", Baggage=told)
        record = process.trace(answer.get("x-toolgate-call"))
    finally:
        process.stop()
        server.shutdown()
        server.server_close()
    assert (record["root"], record["depth"]) == ({"agent": "planner", "run": "r1"}, 1)
    assert "Traceback" not in process.output, process.output
