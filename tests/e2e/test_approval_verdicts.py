"""People decide on calls that are held, over the admin API and the command line; real clients make the calls."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp_types import CallToolResult

from tests.conformance.places import TOOL, everything, tool

from .harness import http1
from .harness.gateway import ALL, Gateway, call, problem_of
from .harness.net import Peer, eventually
from .harness.upstream import Upstream
from .test_mcp_sdk import connected, text

pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")

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
    - name: large
      when: args.amount > 500
      then: approve
      message: more than 500 needs a person
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: texts}
spec:
  match: {tools: [everything]}
  rules:
    - name: simple
      when: tool.operation in ["test_simple_text", "test_error_handling"]
      then: approve
      message: somebody looks at texts
---
apiVersion: toolgate/v1
kind: Approval
metadata: {name: people}
spec: {hold: 30s, expires: 10m}
"""
)
JSON = ("Content-Type", "application/json")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gateway]:
    """A gateway before a bank and an MCP server, with rules that ask people; it has no token."""
    with everything() as server:
        tools = {"bank": {"url": f"http://127.0.0.1:{upstream.port}"}, TOOL: tool(server.removesuffix("/mcp"))}
        folder = tmp_path_factory.mktemp("people")
        process = Gateway(folder, tools, POLICIES, identify=[{"header": "x-agent-id"}, {"anonymous": "tester"}],
                          audit={"dir": str(folder / "audit")}).start()  # fmt: skip
        yield process
        process.stop()
        assert "Traceback" not in process.output, process.output


def _toolgate(gateway: Gateway, *arguments: str, code: int = 0) -> str:
    """Run a command against the gateway; what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "approvals", *arguments, "--admin", f"127.0.0.1:{gateway.admin}"],
        capture_output=True, text=True, timeout=30, env=os.environ | {"TOOLGATE_ADMIN_TOKEN": ""},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def _decide(gateway: Gateway, ident: str, decision: dict[str, Any]) -> tuple[int, Any]:
    """POST as curl would."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.admin, timeout=10)
    try:
        fields = {"Content-Type": "application/json", "X-Toolgate-Admin": "1"}
        connection.request("POST", f"/api/approvals/{ident}/decide", json.dumps(decision), fields)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def _waiting(gateway: Gateway, **query: str) -> Any:
    """The only approval that waits, waited for."""
    more = "".join(f"&{name}={value}" for name, value in query.items())

    def found() -> list[Any]:
        told: list[Any] = json.loads(gateway.ask(f"/api/approvals?state=waiting{more}")[1])["approvals"]
        return told

    (one,) = eventually(found, what="something waits")
    return one


def _transfer(peer: Peer, amount: int, agent: str) -> None:
    body = json.dumps({"to": "mallory", "amount": amount}).encode()
    peer.send(http1.request("POST", "/bank/transfer", [("X-Agent-Id", agent), ("X-Run-Id", "r1"), JSON], body))


def test_a_held_call_goes_on_at_once_when_it_is_approved(gateway: Gateway, upstream: Upstream) -> None:
    with upstream.recording() as seen, gateway.connect() as peer:
        _transfer(peer, 900, "ann")
        one = _waiting(gateway, agent="ann")
        eventually(lambda: _waiting(gateway, agent="ann")["connected"], what="the agent is held on the line")
        shown = _toolgate(gateway, "show", one["id"][:12])
        assert "money/large: more than 500 needs a person" in shown
        assert "args.amount = 900" in shown
        assert '"to": "mallory"' in shown
        assert peer.silent(0.1), "it waits"
        assert not seen.turns
        assert _toolgate(gateway, "approve", one["id"], "--by", "ada") == f"{one['id']} approved\n"
        answer = http1.read_response(peer)
        assert answer.status == 200
        assert seen.turns == 1
        assert json.loads(seen.requests[0].body) == {"to": "mallory", "amount": 900}
    ended = eventually(
        lambda: [each for each in _all(gateway) if each["id"] == one["id"] and each["state"] == "done"], what="its end"
    )
    assert ended[0]["outcome"] == "200"
    assert _toolgate(gateway, "approve", one["id"], code=1).startswith("Error: nothing has changed by this")


def _all(gateway: Gateway) -> list[Any]:
    told: list[Any] = json.loads(gateway.ask("/api/approvals?state=all")[1])["approvals"]
    return told


def test_what_is_denied_never_reaches_the_tool_and_the_agent_is_told_why(gateway: Gateway, upstream: Upstream) -> None:
    with upstream.recording() as seen, gateway.connect() as peer:
        _transfer(peer, 901, "bea")
        one = _waiting(gateway, agent="bea")
        status, after = _decide(gateway, one["id"], {"verb": "deny", "message": "ask for 500 or less", "by": "ada"})
        assert (status, after["state"]) == (200, "denied")
        problem = problem_of(http1.read_response(peer), "approval_denied", 403)
        assert "ask for 500 or less" in problem["detail"]
        status, late = _decide(gateway, one["id"], {"verb": "approve", "by": "bob"})
        assert (status, late["detail"]) == (409, "nothing has changed by this: it was denied by ada")
        assert not seen.turns
    eventually(lambda: f'"what":"deny {one["id"]}' in _audit(gateway), what="the audit has it")


def _audit(gateway: Gateway) -> str:
    return "".join(file.read_text() for file in Path(gateway.folder / "audit").glob("*.jsonl"))


def test_an_edited_call_reaches_the_tool_as_the_person_put_it(gateway: Gateway, upstream: Upstream) -> None:
    with upstream.recording() as seen, gateway.connect() as peer:
        _transfer(peer, 902, "cid")
        one = _waiting(gateway, agent="cid")
        said = _toolgate(gateway, "edit", one["id"], "--set", "args.amount=400", "--yes")
        assert '-  "amount": 902' in said
        assert http1.read_response(peer).status == 200
        assert json.loads(seen.requests[0].body) == {"to": "mallory", "amount": 400}


def test_calls_like_one_that_was_approved_are_not_held_until_that_is_revoked(
    gateway: Gateway, upstream: Upstream
) -> None:
    def at_once(amount: int) -> int:
        body = json.dumps({"to": "mallory", "amount": amount}).encode()
        answer = call(gateway, "POST", "/bank/transfer", [("X-Agent-Id", "dan"), ("X-Run-Id", "r1"), JSON], body)
        return answer.status

    with upstream.recording(), gateway.connect() as peer:
        _transfer(peer, 903, "dan")
        one = _waiting(gateway, agent="dan")
        said = _toolgate(gateway, "approve", one["id"], "--like-this", "2", "--for", "run", "--uses", "5")
        assert said.startswith("calls like it pass from now on where")
        assert http1.read_response(peer).status == 200
        assert [at_once(600), at_once(902)] == [200, 200]
        (made,) = json.loads(_toolgate(gateway, "exemptions", "ls", "--json"))
        assert (made["used"], made["uses"]) == (2, 3)
        assert "is revoked; it was used 2 times" in _toolgate(gateway, "exemptions", "revoke", made["id"])
        _transfer(peer, 601, "dan")
        again = _waiting(gateway, agent="dan")
        _toolgate(gateway, "answer", again["id"], "it has been paid by hand")
        answer = http1.read_response(peer)
        assert (answer.status, b"it has been paid by hand" in answer.body) == (200, True)


async def test_a_model_reads_a_persons_words_and_goes_on_when_it_is_let(gateway: Gateway) -> None:
    async with connected(f"{gateway.url}/{TOOL}/mcp", "legacy") as client:

        async def decided(**decision: Any) -> CallToolResult:
            """What a program gets for a call that somebody decides on while it is held."""
            calling = asyncio.create_task(client.call_tool("test_simple_text"))
            one = await asyncio.to_thread(_waiting, gateway, tool=TOOL)
            status, _ = await asyncio.to_thread(_decide, gateway, one["id"], {"by": "ada", **decision})
            assert status == 200
            return await calling

        made = await decided(verb="approve")
        assert text(made) == "This is a simple text response for testing."
        answered = await decided(verb="answer", answer={"result": "nothing to see"})
        assert (answered.is_error, answered.structured_content) == (False, {"result": "nothing to see"})
    async with connected(f"{gateway.url}/{TOOL}/mcp", "auto") as client:
        calling = asyncio.create_task(client.call_tool("test_error_handling"))
        one = await asyncio.to_thread(_waiting, gateway, tool=TOOL)
        await asyncio.to_thread(
            _decide, gateway, one["id"], {"verb": "deny", "message": "read the manual", "by": "ada"}
        )
        result = await calling
        assert result.is_error
        assert "read the manual" in str(result.content)
