"""Calls that wait for people, made by real agents at a real gateway with real tools."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

from tests.console.scene import Tools
from tests.e2e.harness.gateway import Gateway
from tests.e2e.harness.http1 import Message, read_response, request
from tests.e2e.harness.net import PATIENCE, eventually

POLICIES = """
apiVersion: toolgate/v1
kind: Grant
metadata: {name: office}
spec: {agents: ["*"], tools: [bank, mail, web]}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: payments}
spec:
  match: {tools: [bank], operations: ["POST /transfers"]}
  rules:
    - {name: large, when: 'double(args.amount) > 500.0', then: approve, message: a transfer of more than 500}
    - {name: huge, when: 'double(args.amount) > 50000.0', then: approve, message: two people look at more than 50000}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: outgoing}
spec:
  match: {tools: [mail]}
  rules:
    - {name: strangers, when: '!args.to.endsWith("@acme.example")', then: approve, message: mail to somebody outside}
    - {name: board, when: 'args.to == "board@acme.example"', then: approve, message: mail to the board}
---
apiVersion: toolgate/v1
kind: Approval
metadata: {name: money}
spec:
  match: {tools: [bank]}
  impact: double(args.amount)
  hold: 40s
  expires: 30m
---
apiVersion: toolgate/v1
kind: Approval
metadata: {name: four-eyes}
spec: {rules: [payments/huge], approvers: 2}
---
apiVersion: toolgate/v1
kind: Approval
metadata: {name: letters}
spec: {match: {tools: [mail]}, impact: "20.0", hold: 40s}
---
apiVersion: toolgate/v1
kind: Approval
metadata: {name: for-the-board}
spec: {rules: [outgoing/board], who: 'approver.id == "secretary"'}
"""


class Asking:
    """A gateway at which agents ask. ``close`` ends it, and lets go whoever waits."""

    def __init__(self, folder: Path, policies: str = POLICIES, **config: Any) -> None:
        self.tools = Tools()
        url = self.tools.url
        tools = {
            "bank": {"url": url, "operations": ["POST /transfers"]},
            "mail": {"url": url, "operations": ["POST /messages"]},
            "web": {"url": url, "operations": ["GET /pages/{name}"]},
        }
        trace = {"file": str(folder / "trace.jsonl"), "args": True, "store": {"path": str(folder / "traces.db")}}
        given = {"identify": [{"header": "x-agent-id"}], "trace": trace, **config}
        self._agents = ThreadPoolExecutor(32)
        self.gateway = Gateway(folder, tools, policies, **given).start()
        self._runs = (f"run-{number}" for number in count(1))

    def close(self) -> None:
        self.gateway.stop()
        self._agents.shutdown(wait=True)
        self.tools.shutdown()
        self.tools.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.gateway.admin}"

    def post(self, agent: str, run: str, target: str, body: Any, why: Any = None) -> Message:
        """Make a call and wait for its answer."""
        data = json.dumps(body).encode()
        fields = [("X-Agent-Id", agent), ("Content-Type", "application/json"), ("Content-Length", str(len(data)))]
        if run:
            fields.append(("X-Run-Id", run))
        if why is not None:
            fields.append(("Agent-Why", json.dumps(why)))
        with self.gateway.connect(timeout=60) as peer:
            peer.send(request("POST", target, [*fields, ("Connection", "close")], data))
            return read_response(peer, "POST")

    def recorded(self, agent: str, run: str) -> None:
        """Wait until the console knows the run: pages tell what stood in the store when they were made."""
        eventually(lambda: self.gateway.ask(f"/runs/{agent}/{run}")[0] == 200, what="the run is in the store")

    def pay(self, amount: float, to: str = "DE02-ACME", agent: str = "treasurer", run: str = "", **rest: Any) -> Held:
        """An agent pays, and is held until somebody decides; in a run of its own, since a verdict is remembered."""
        body = {"to": to, "amount": amount, "currency": "EUR", **rest}
        why = {"step": "4", "reason": "the invoice is due", "goal": "pay the open invoices"}
        return self.held(lambda: self.post(agent, run or next(self._runs), "/bank/transfers", body, why))

    def write(self, to: str, text: str, agent: str = "assistant", run: str = "") -> Held:
        """An agent writes a letter, and is held."""
        body = {"to": to, "subject": "Your invoice", "text": text}
        return self.held(lambda: self.post(agent, run or next(self._runs), "/mail/messages", body))

    def held(self, make: Callable[[], Message]) -> Held:
        """Let an agent make a call that waits; returns once people can see it."""
        before = self.waiting()
        made = Held(self._agents.submit(make))
        eventually(lambda: self.waiting() > before or made.answered, what="the call waits")
        return made

    def clear(self) -> None:
        """Deny all that still waits."""
        for approval in self.approvals():
            self.decide(approval["id"], "deny", "secretary")

    def waiting(self) -> int:
        """How many approvals wait."""
        return len(self.approvals())

    def approvals(self) -> list[dict[str, Any]]:
        """Those that wait, the oldest first."""
        status, body = self.api("GET", "/api/approvals?order=age&limit=1000")
        assert status == 200, body
        found: list[dict[str, Any]] = body["approvals"]
        return found

    def decide(self, ident: str, verb: str, by: str, **members: Any) -> int:
        """Somebody else decides; the status."""
        status, _ = self.api("POST", f"/api/approvals/{ident}/decide", {"verb": verb, "by": by, **members})
        return status

    def api(self, method: str, target: str, body: Any = None) -> tuple[int, Any]:
        """Ask the admin API, as whoever is on this machine."""
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.admin, timeout=PATIENCE)
        try:
            fields = {"X-Toolgate-Admin": "1", "Content-Type": "application/json"}
            connection.request(method, target, None if body is None else json.dumps(body), fields)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


class Held:
    """A call that an agent has made and waits for."""

    def __init__(self, answer: Future[Message]) -> None:
        self._answer = answer

    @property
    def answered(self) -> bool:
        """Whether the agent has its answer."""
        return self._answer.done()

    @property
    def answer(self) -> Message:
        """What the agent got, as soon as it has come."""
        return self._answer.result(30)
