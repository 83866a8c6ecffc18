"""People's attention through the real process: checks with a known answer, budgets, and verdicts that are kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from .harness import http1
from .harness.gateway import ALL, Gateway, problem_of
from .harness.http1 import Message
from .harness.net import PATIENCE, eventually
from .harness.upstream import Upstream

POLICY = """
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: money}
spec:
  match: {tools: [bank]}
  rules:
    - {name: large, when: args.amount > 500, then: approve, message: more than 500 needs a person}
---
apiVersion: toolgate/v1
kind: Approval
metadata: {name: people}
spec: {hold: 100ms, expires: 10m, MORE}
"""
CHECK = {"to": "mallory", "amount": 99_000}


@pytest.fixture
def start(tmp_path: Path, upstream: Upstream) -> Iterator[Callable[..., Gateway]]:
    """Starts a gateway before a bank, with these terms of approvals; the same again where there was one."""
    started: list[Gateway] = []

    def begin(more: str) -> Gateway:
        tools = {"bank": {"url": f"http://127.0.0.1:{upstream.port}", "operations": ["POST /pay"]}}
        canaries = [{"operation": "POST /pay", "args": CHECK}]
        gateway = Gateway(
            tmp_path / "gateway",
            tools,
            ALL + POLICY.replace("MORE", more),
            state="sqlite:///state.db",
            identify=[{"header": "x-agent-id"}],
            approvals={"canaries": canaries, "priority": "impact * waiting"},
        )
        started.append(gateway)
        return gateway.start()

    yield begin
    for gateway in started:
        gateway.stop()
        assert "Traceback" not in gateway.output, gateway.output


def pay(gateway: Gateway, to: str = "bob", amount: int = 900, agent: str = "ann") -> Message:
    body = json.dumps({"to": to, "amount": amount}).encode()
    with gateway.connect() as peer:
        fields = [("X-Agent-Id", agent), ("Content-Type", "application/json"), ("Connection", "close")]
        peer.send(http1.request("POST", "/bank/pay", fields, body))
        return http1.read_response(peer, "POST")


def admin(gateway: Gateway, method: str, path: str, body: Any = None) -> Any:
    """The JSON that the admin API answers."""
    connection = HTTPConnection("127.0.0.1", gateway.admin, timeout=PATIENCE)
    try:
        fields = {"X-Toolgate-Admin": "1", "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), fields)
        answer = connection.getresponse()
        data = answer.read()
    finally:
        connection.close()
    assert answer.status == 200, data
    return json.loads(data)


def waiting(gateway: Gateway) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = admin(gateway, "GET", "/api/approvals?state=all&order=age")["approvals"]
    return found


def test_a_check_looks_like_a_call_and_nothing_can_be_made_of_it(
    start: Callable[..., Gateway], upstream: Upstream
) -> None:
    gateway = start("canary: 1.0")
    with upstream.recording() as seen:
        real = problem_of(pay(gateway), "approval_pending", 403)["approval_id"]
        assert eventually(lambda: len(waiting(gateway)) == 2, what="the check")
        both = {one["id"]: admin(gateway, "GET", f"/api/approvals/{one['id']}") for one in waiting(gateway)}
        (check,) = both.keys() - {real}
        assert both[check].keys() == both[real].keys()
        assert both[check]["payload"]["args"] == CHECK
        assert {**both[check]["payload"], "args": None} == {**both[real]["payload"], "args": None}
        assert "canary" not in json.dumps(both)

        after = admin(gateway, "POST", f"/api/approvals/{check}/decide", {"verb": "approve"})
        assert after["state"] == "approved"
        assert "This was a check" in after["note"]
        asked = problem_of(pay(gateway, **CHECK), "approval_pending", 403)
        assert asked["approval_id"] != check, "the very same call of the very same agent is another matter"
        assert seen.turns == 0

        assert admin(gateway, "POST", f"/api/approvals/{real}/decide", {"verb": "approve"})["note"] == ""
        assert pay(gateway).status == 200
        assert seen.turns == 1
    assert eventually(lambda: gateway.metric("toolgate_approvals_canary_catch_ratio") == 0.0, what="the ratio")
    told = admin(gateway, "GET", "/api/calibration")
    assert [(one["canaries"], one["caught"]) for one in told["people"]] == [(1, 0)]
    assert [(one["rule"], one["n"]) for one in told["rules"]] == [("money/large", 1)]


def test_beyond_what_people_have_time_for_calls_are_refused_and_verdicts_outlive_the_process(
    start: Callable[..., Gateway], upstream: Upstream
) -> None:
    gateway = start("attention: {per_hour: 2}")
    first = problem_of(pay(gateway, "a"), "approval_pending", 403)["approval_id"]
    problem_of(pay(gateway, "b"), "approval_pending", 403)
    refused = problem_of(pay(gateway, "c"), "approval_denied", 403)
    assert "asked too much" in refused["detail"]
    assert problem_of(pay(gateway, "a"), "approval_pending", 403)["approval_id"] == first
    admin(gateway, "POST", f"/api/approvals/{first}/decide", {"verb": "deny", "message": "no"})
    assert gateway.metric('toolgate_approvals_beyond_attention_total{budget="people",outcome="refused"}') == 1.0
    assert gateway.metric('toolgate_approvals_opened_total{rule="money/large"}') == 2.0
    assert eventually(lambda: admin(gateway, "GET", "/api/calibration")["samples"] == 1, what="the sample")
    gateway.stop()
    gateway.start()
    assert admin(gateway, "GET", "/api/calibration")["samples"] == 1
    problem_of(pay(gateway, "d"), "approval_denied", 403)
