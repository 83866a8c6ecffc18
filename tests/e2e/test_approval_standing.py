"""What stands because of a verdict: values and calls that pass, over restarts and reloads; and whose verdict it may be.
People log in with tokens of their own."""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from .harness.gateway import ALL, Gateway, call, problem_of
from .harness.net import eventually
from .harness.upstream import Upstream

POLICIES = (
    ALL
    + """
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: money}
spec:
  match: {tools: [bank]}
  rules:
    - {name: payee, when: args.amount > 0, then: approve, message: somebody looks at it}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: vault}
spec:
  match: {tools: [bank], operations: ["POST /vault"]}
  rules:
    - {name: open, when: 'args.amount > 0', then: approve, message: two people open it}
---
apiVersion: toolgate/v1
kind: Approval
metadata: {name: at-once}
spec: {hold: 0s}
---
apiVersion: toolgate/v1
kind: Approval
metadata: {name: four-eyes}
spec: {match: {tools: [bank], operations: ["POST /vault"]}, approvers: 2, who: '"keys" in approver.roles'}
"""
)
PEOPLE = {"ada": ["approver", "keys"], "bob": ["approver", "keys"], "eve": ["approver"], "vic": ["viewer"]}


@pytest.fixture
def gateway(tmp_path: Any, upstream: Upstream) -> Iterator[Gateway]:
    users = [
        {"name": name, "sha256": hashlib.sha256(_token(name).encode()).hexdigest(), "roles": roles}
        for name, roles in (PEOPLE | {"agent-9": ["approver", "keys"]}).items()
    ]
    process = Gateway(
        tmp_path,
        {"bank": {"url": f"http://127.0.0.1:{upstream.port}"}},
        POLICIES,
        identify=[{"header": "x-agent-id"}],
        state=f"sqlite:///{tmp_path / 'state.db'}",
        trace={"file": str(tmp_path / "trace.jsonl"), "store": {"path": str(tmp_path / "traces.db")}, "args": True},
    )
    process.config["admin"] = {"listen": f"127.0.0.1:{process.admin}", "users": users}
    process.start()
    yield process
    process.stop()
    assert "Traceback" not in process.output, process.output


def _token(name: str) -> str:
    return f"a-token-of-{name}-that-is-long"


def _admin(gateway: Gateway, who: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.admin, timeout=10)
    try:
        fields = {"Authorization": f"Bearer {_token(who)}", "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), fields)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def _pay(
    gateway: Gateway, to: str, amount: int, *, run: str = "r1", path: str = "/transfer", agent: str = "ann"
) -> Any:
    fields = [("X-Agent-Id", agent), ("X-Run-Id", run), ("Content-Type", "application/json")]
    return call(gateway, "POST", f"/bank{path}", fields, json.dumps({"to": to, "amount": amount}).encode())


def _held(gateway: Gateway, to: str, amount: int, **rest: Any) -> str:
    """The id of the approval at which this call waits."""
    ident: str = problem_of(_pay(gateway, to, amount, **rest), "approval_pending", 403)["approval_id"]
    return ident


def _decide(gateway: Gateway, who: str, ident: str, verb: str, **more: Any) -> tuple[int, Any]:
    return _admin(gateway, who, "POST", f"/api/approvals/{ident}/decide", {"verb": verb, **more})


def test_a_value_that_was_endorsed_may_be_used_in_its_run_after_a_restart_too(
    gateway: Gateway, upstream: Upstream
) -> None:
    with upstream.recording() as seen:
        ident = _held(gateway, "shop", 70)
        assert _decide(gateway, "ada", ident, "endorse")[0] == 200
        assert _pay(gateway, "shop", 70).status == 200
        other = _pay(gateway, "another shop", 70)
        assert other.status == 200
        record = gateway.trace(other.all("x-toolgate-call")[0])["approval"]
        assert (record["verb"], record["by"]) == ("endorsed", ["ada"])
        _held(gateway, "shop", 70, run="r2")
        _held(gateway, "shop", 71)
        gateway.stop()
        gateway.start()
        assert _pay(gateway, "a third shop", 70).status == 200
        assert seen.turns == 3


def test_calls_like_one_pass_over_restarts_and_reloads_until_they_are_used_up(
    gateway: Gateway, upstream: Upstream
) -> None:
    with upstream.recording() as seen:
        first = _held(gateway, "shop", 50)
        second = _held(gateway, "shop", 60)
        eventually(lambda: _preview(gateway, second)["held"] == 2, what="both are in the store")
        assert _preview(gateway, second)["passed"] == {"run": 2, "agent": 2, "everybody": 2}
        assert _preview(gateway, first)["passed"] == {"run": 1, "agent": 1, "everybody": 1}
        like = {"when": 'args.amount <= 60 && args.to == "shop"', "scope": "agent", "uses": 3}
        assert _decide(gateway, "ada", second, "approve", like=like)[0] == 200
        passed = _pay(gateway, "shop", 1, run="r2")
        assert passed.status == 200
        record = gateway.trace(passed.all("x-toolgate-call")[0])["approval"]
        (exemption,) = _admin(gateway, "vic", "GET", "/api/exemptions")[1]["exemptions"]
        assert (record["verb"], record["why"], record["by"]) == ("exempt", exemption["id"], ["ada"])
        gateway.stop()
        gateway.start()
        assert _pay(gateway, "shop", 2, run="r3").status == 200
        before = gateway.ready()["policy_version"]
        gateway.policy_file.write_text(POLICIES.replace("somebody looks at it", "somebody looks at this"))
        eventually(lambda: gateway.ready()["policy_version"] != before, what="the reload")
        assert _pay(gateway, "shop", 3, run="r4").status == 200
        _held(gateway, "shop", 4, run="r4")
        _held(gateway, "elsewhere", 1, run="r4")
        assert seen.turns == 3


def _preview(gateway: Gateway, ident: str) -> Any:
    """What the middle proposal for this call would have let pass."""
    proposed = _admin(gateway, "vic", "GET", f"/api/approvals/{ident}/proposals")[1]["proposals"]
    return proposed[1]["preview"]


def test_four_eyes_are_two_people_who_may_and_none_of_them_the_agent(gateway: Gateway, upstream: Upstream) -> None:
    with upstream.recording() as seen:
        ident = _held(gateway, "vault", 5, path="/vault", agent="agent-9")
        assert _decide(gateway, "vic", ident, "approve")[0] == 403
        status, problem = _decide(gateway, "eve", ident, "approve")
        assert (status, problem["detail"]) == (
            403, 'eve is not among those who may decide on this: ("keys" in approver.roles)',
        )  # fmt: skip
        status, problem = _decide(gateway, "agent-9", ident, "approve")
        assert (status, problem["detail"]) == (403, "agent-9 may not decide on calls of its own")
        assert _decide(gateway, "ada", ident, "approve", by="bob")[0] == 400, "nobody says to be somebody else"
        assert _decide(gateway, "ada", ident, "approve", like={"when": "true"})[0] == 403
        assert _decide(gateway, "ada", ident, "approve")[1]["state"] == "waiting"
        assert _decide(gateway, "ada", ident, "approve")[0] == 409
        _held(gateway, "vault", 5, path="/vault", agent="agent-9")
        assert _decide(gateway, "bob", ident, "approve")[1]["state"] == "approved"
        assert not seen.turns
        assert _pay(gateway, "vault", 5, path="/vault", agent="agent-9").status == 200
        assert seen.turns == 1
