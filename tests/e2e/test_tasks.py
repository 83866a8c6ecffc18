"""Tasks through the real process: by header, by signature, by the admin API; lists, budgets, and what is recorded."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from .harness import http1
from .harness.gateway import ALL, Gateway, call, problem_of
from .harness.upstream import Upstream

KEY = "k" * 32
POLICIES = f"""
{ALL}
---
apiVersion: toolgate/v1
kind: Task
metadata: {{name: refund}}
spec:
  agents: [tester]
  labels: [moves-money]
  budget: {{calls: 4}}
  allow:
    - {{tools: [bank], operations: ["GET *"]}}
    - {{tools: [bank], operations: ["POST /refunds"], when: args.amount <= 50}}
    - {{tools: [mcp], operations: [search]}}
---
apiVersion: toolgate/v1
kind: Task
metadata: {{name: audit}}
spec: {{agents: ["*"], assigned: platform, allow: [{{tools: [bank], operations: ["GET *"]}}]}}
"""
JSON = ("Content-Type", "application/json")


@pytest.fixture(scope="module")
def tasked(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gateway]:
    url = f"http://127.0.0.1:{upstream.port}"
    process = Gateway(
        tmp_path_factory.mktemp("tasked"),
        {"bank": {"url": url}, "mail": {"url": url}, "mcp": {"url": url, "protocol": "mcp"}},
        POLICIES,
        flow={"prompt_key": KEY},
    ).start()
    yield process
    process.stop()
    assert "Traceback" not in process.output, process.output


def go(gateway: Gateway, run: str, target: str, *fields: tuple[str, str], value: Any = None) -> http1.Message:
    method, body = ("GET", b"") if value is None else ("POST", json.dumps(value).encode())
    return call(gateway, method, target, [("X-Run-Id", run), JSON, *fields], body, host="127.0.0.1")


REFUND = ("X-Toolgate-Task", "refund")


def test_a_task_that_an_agent_names_once_holds_for_the_run(tasked: Gateway, upstream: Upstream) -> None:
    with upstream.recording() as seen:
        assert go(tasked, "one", "/mail/x").status == 200
        assert go(tasked, "one", "/bank/refunds", REFUND, value={"amount": 50}).status == 200
        too_much = go(tasked, "one", "/bank/refunds", value={"amount": 51})
        elsewhere = go(tasked, "one", "/mail/x")
        other = go(tasked, "one", "/bank/x", ("X-Toolgate-Task", "audit"))
        assert go(tasked, "another", "/mail/x").status == 200
    assert seen.turns == 3
    for answer in (too_much, elsewhere, other):
        problem = problem_of(answer, "outside_task", 403)
        assert problem["rule"] == "task/refund"
    record = tasked.trace(problem_of(elsewhere, "outside_task", 403)["call_id"])
    assert record["facts"]["run.task"] == "refund"
    assert "moves-money" in record["labels"]


def test_a_task_has_a_budget_for_each_run(tasked: Gateway, upstream: Upstream) -> None:
    with upstream.recording():
        assert [go(tasked, "spends", "/bank/x", REFUND).status for _ in range(4)] == [200] * 4
        problem = problem_of(go(tasked, "spends", "/bank/x"), "budget_exhausted", 402)
        assert go(tasked, "fresh", "/bank/x", REFUND).status == 200
    assert problem["rule"] == "budget/task/refund"


def test_lists_of_an_mcp_server_show_what_the_task_allows(tasked: Gateway, upstream: Upstream) -> None:
    tools = [{"name": name, "inputSchema": {"type": "object"}} for name in ("search", "wipe")]
    listed = {"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}
    asking = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    wiping = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "wipe", "arguments": {}}}
    with upstream.recording(http1.response("200 OK", [JSON], json.dumps(listed).encode())) as seen:
        free = go(tasked, "free", "/mcp/mcp", value=asking).json()
        bound = go(tasked, "bound", "/mcp/mcp", REFUND, value=asking).json()
        refused = go(tasked, "bound", "/mcp/mcp", value=wiping).json()
    assert [tool["name"] for tool in free["result"]["tools"]] == ["search", "wipe"]
    assert [tool["name"] for tool in bound["result"]["tools"]] == ["search"]
    assert refused["result"]["isError"]
    assert seen.turns == 2


def test_the_platform_puts_a_run_in_a_task_by_a_signature(tasked: Gateway, upstream: Upstream) -> None:
    signature = hmac.new(KEY.encode(), b"task\0tester\0signed\0audit", hashlib.sha256).hexdigest()
    signed = (("X-Toolgate-Task", "audit"), ("X-Toolgate-Task-Signature", signature))
    with upstream.recording() as seen:
        problem_of(go(tasked, "forged", "/bank/x", *signed), "outside_task", 403)
        assert go(tasked, "signed", "/bank/x", *signed).status == 200
        problem_of(go(tasked, "signed", "/mail/x"), "outside_task", 403)
    assert seen.turns == 1


def test_the_platform_puts_a_run_in_a_task_over_the_admin_api(tasked: Gateway, upstream: Upstream) -> None:
    assert assigned(tasked, "tester", "api", {"task": "audit", "reason": "ticket 7"}) == 200
    assert assigned(tasked, "tester", "api", {"task": "unheard-of"}) == 404
    assert assigned(tasked, "tester", "api", {}) == 400
    with upstream.recording():
        assert go(tasked, "api", "/bank/x").status == 200
        problem_of(go(tasked, "api", "/mail/x"), "outside_task", 403)
        problem_of(go(tasked, "api", "/bank/x", REFUND), "outside_task", 403)
    assert "put run api of agent tester in task audit" in tasked.output


def assigned(gateway: Gateway, agent: str, run: str, wanted: dict[str, str]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.admin, timeout=10)
    body, fields = json.dumps(wanted), {"Content-Type": "application/json", "X-Toolgate-Admin": "1"}
    connection.request("POST", f"/api/runs/{agent}/{run}/task", body, fields)
    status = connection.getresponse().status
    connection.close()
    return status
