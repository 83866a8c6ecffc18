"""The real process records some hundred calls. A replay of its own log under its own policies changes nothing; under
others it names exactly the calls that these would have decided otherwise."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli.root import toolgate

from .harness import http1
from .harness.gateway import Gateway, call
from .harness.net import Peer, eventually
from .harness.upstream import Upstream

POLICIES = """
apiVersion: toolgate/v1
kind: Approval
metadata: {name: later}
spec: {hold: 0s}
---
apiVersion: toolgate/v1
kind: Grant
metadata: {name: clerks}
spec: {agents: ["clerk-*"], tools: [bank, flaky, queue, narrow]}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: payments}
spec:
  match: {tools: [bank]}
  rules:
    - {name: large, when: "has(args.amount) && double(args.amount) > LARGE", then: deny, message: too large}
    - {name: ask, when: "has(args.amount) && double(args.amount) > 400.0", then: approve, message: ask first}
    - {name: header, when: "'x-danger' in request.headers && request.headers['x-danger'] == 'yes'", then: deny}
    - {name: dear, when: "run.cost_usd > 0.3", then: deny}
---
apiVersion: toolgate/v1
kind: Limit
metadata: {name: each}
spec: {match: {tools: [bank]}, per: [agent], rate: 20/s, burst: BURST}
---
apiVersion: toolgate/v1
kind: Limit
metadata: {name: turn}
spec: {match: {tools: [queue]}, per: [tool], rate: 20/s, burst: 1, mode: wait, max_wait: 120ms}
---
apiVersion: toolgate/v1
kind: Breaker
metadata: {name: flaky}
spec: {match: {tools: [flaky]}, failures: 2, rate: 50%, window: 1s, minimum: 6, open: 100ms, probes: 1}
"""


def policies(large: str = "900.0", burst: int = 8) -> str:
    return POLICIES.replace("LARGE", large).replace("BURST", str(burst))


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that has had a busy time and has ended."""
    tool = Upstream()
    url = f"http://127.0.0.1:{tool.port}"
    tools: dict[str, Any] = {name: {"url": url} for name in ("bank", "flaky", "queue")}
    tools["bank"]["cost"] = 0.01
    tools["narrow"] = {"url": url, "limits": {"concurrency": 2}}
    folder = tmp_path_factory.mktemp("day")
    trace = {"file": str(folder / "trace.jsonl"), "args": True, "headers": ["x-danger"]}
    identify = [{"header": "x-agent-id"}]
    process = Gateway(folder, tools, policies(), identify=identify, trace=trace).start()
    _work(process, tool)
    process.stop()
    tool.close()
    assert "Traceback" not in process.output, process.output
    yield process


def _work(gateway: Gateway, tool: Upstream) -> None:
    def serve(peer: Peer) -> None:
        target = http1.read_request(peer).target
        if target.endswith(b"/slow"):
            time.sleep(0.02)
        peer.send(http1.response("500 Oops" if target.endswith(b"/fail") else "200 OK", body=b"{}"))

    with tool.playing(serve):
        agents = [threading.Thread(target=_agent, args=(gateway, number)) for number in range(4)]
        for agent in agents:
            agent.start()
        for agent in agents:
            agent.join()
    eventually(lambda: len(gateway.traces()) >= 4 * CALLS, what="all calls are recorded")


CALLS = 80
LATE = "limit/turn"
"""The limit that waits: its timers are real."""


def _agent(gateway: Gateway, number: int) -> None:
    """One agent's calls, from a seed of its own."""
    chance = random.Random(number)
    who = ("X-Agent-Id", f"clerk-{number}")
    for at in range(CALLS):
        run = ("X-Run-Id", f"run-{at // 30}")
        kind = chance.choice(
            ["pay", "pay", "pay", "look", "danger", "flaky", "flaky", "queue", "narrow", "narrow", "other", "odd"]
        )
        if kind == "pay":
            body = json.dumps({"amount": chance.randrange(1, 1000), "to": "x"}).encode()
            call(gateway, "POST", "/bank/pay", [who, run, ("Content-Type", "application/json")], body)
        elif kind == "look":
            call(gateway, "GET", f"/bank/accounts?amount={chance.randrange(1, 1000)}", [who, run])
        elif kind == "danger":
            call(gateway, "GET", "/bank/x", [who, run, ("X-Danger", chance.choice(["yes", "no"]))])
        elif kind == "flaky":
            call(gateway, "GET", chance.choice(["/flaky/fail", "/flaky/fail", "/flaky/fail", "/flaky/fine"]), [who])
        elif kind == "odd":
            call(gateway, "POST", "/bank/pay", [who, run, ("Content-Type", "application/json")], b'{"a":1,"a":2}')
        elif kind == "other":
            call(gateway, "GET", "/nothing/here", [who])
        else:
            call(gateway, "GET", f"/{kind}/slow", [who])


def replayed(day: Gateway, *more: str) -> dict[str, Any]:
    done = CliRunner().invoke(
        toolgate, ["replay", "-c", str(day.file), *more, "--format", "json", "--limit", "10000", str(day.trace_file)]
    )
    assert done.exit_code == 0, done.output
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_under_its_own_policies_nothing_changes(day: Gateway) -> None:
    report = replayed(day)
    assert report["unknowns"] == []
    assert [group for group in report["changes"] if group["rule"] != LATE] == []
    assert report["changed"] <= 2, "turns that a busy machine's timers had later than a replay allows for"
    assert report["same"] + report["changed"] + report["not_decided"] == report["log"]["calls"] == len(day.traces())
    assert report["refused_by_another_rule"] == 0
    reasons = {record["reason"] for record in day.traces()}
    assert reasons >= {None, "policy_denied", "approval_pending", "unreadable_body"}
    assert reasons >= {"rate_limited", "circuit_open", "concurrency_limited"}
    assert any(record["timings"]["queue_ms"] > 0 for record in day.traces())


def test_a_planted_change_is_named_call_by_call(day: Gateway, tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(policies(large="300.0"))
    report = replayed(day, "--policies", str(tmp_path))
    assert report["unknowns"] == []
    changes = [group for group in report["changes"] if group["rule"] != LATE]
    named = {one["call"]: group for group in changes for one in group["examples"]}
    planted = {
        record["call"]
        for record in day.traces()
        if record["tool"] == "bank"
        and record["reason"] in (None, "approval_pending")
        and float((record["args"] or {}).get("amount", 0)) > 300
    }
    refused = {ident for ident, group in named.items() if group["change"] == "deny"}
    assert refused == planted
    assert {group["rule"] for group in named.values() if group["change"] == "deny"} == {"payments/large"}
    # What is refused now takes no token and costs nothing: others get through that did not.
    assert {group["rule"] for group in named.values() if group["change"] != "deny"} <= {"limit/each", "payments/dear"}


def test_the_old_policies_as_baseline_give_the_same_changes(day: Gateway, tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(policies(large="300.0"))
    recorded = replayed(day, "--policies", str(tmp_path))
    baseline = replayed(day, "--policies", str(tmp_path), "--baseline", str(day.policy_file.parent))
    assert baseline["changes"] == [group for group in recorded["changes"] if group["rule"] != LATE] != []
