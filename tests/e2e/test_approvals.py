"""Approvals through the real process: bound to the call, used once, and kept, whenever which process is killed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.stores.redis_server import RedisServer

from .harness import http1
from .harness.gateway import ALL, Gateway, problem_of
from .harness.http1 import Message
from .harness.net import Peer, eventually
from .harness.upstream import Upstream

KILLS = int(os.environ.get("TOOLGATE_KILLS", "4"))
"""Times that a process is killed, for each store; see tests/approvals/test_crashes.py for more in less time."""
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
    - {name: large, when: args.amount > 500, then: approve, message: more than 500 needs a person}
---
apiVersion: toolgate/v1
kind: Approval
metadata: {name: people}
spec: {hold: 100ms, expires: 10m, valid: 10m}
"""
)
SEES = {"X-Toolgate-Admin": "1"}


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.stop()


@pytest.fixture
def start(tmp_path: Path, upstream: Upstream) -> Iterator[Callable[[str, str], Gateway]]:
    """Starts a gateway with this name and state before a bank. What is written is the same for all: replicas."""
    started: list[Gateway] = []

    def begin(name: str, state: str) -> Gateway:
        tools = {"bank": {"url": f"http://127.0.0.1:{upstream.port}"}}
        identify = [{"header": "x-agent-id"}, {"anonymous": "tester"}]
        gateway = Gateway(tmp_path / name, tools, POLICIES, state=state, identify=identify)
        for key, port in (("listen", gateway.port), ("admin", gateway.admin)):
            (gateway.folder / key).write_text(str(port))
            gateway.config[key] = f"127.0.0.1:${{file:{key}}}"
        gateway.config["trace"] = {"file": "trace.jsonl"}
        started.append(gateway)
        return gateway.start()

    yield begin
    for gateway in started:
        gateway.stop()
        assert "Traceback" not in gateway.output, gateway.output


def pay(gateway: Gateway, to: str = "mallory", amount: int = 900, agent: str = "ann", **fields: str) -> Message:
    """One call, on a connection of its own."""
    body = json.dumps({"to": to, "amount": amount}).encode()
    named = [(name.replace("_", "-"), value) for name, value in fields.items()]
    with gateway.connect() as peer:
        peer.send(http1.request(
            "POST", "/bank/pay",
            [("X-Agent-Id", agent), ("Content-Type", "application/json"), ("Connection", "close"), *named], body,
        ))  # fmt: skip
        return http1.read_response(peer, "POST")


def pending(answer: Message) -> str:
    """The approval at which a call waits."""
    problem = problem_of(answer, "approval_pending", 403)
    return str(problem["approval_id"])


async def _decide(gateway: Gateway, ident: str, verb: str) -> int:
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(5)) as session,
        session.post(
            f"http://127.0.0.1:{gateway.admin}/api/approvals/{ident}/decide",
            json={"verb": verb, "message": "said so"}, headers=SEES,
        ) as answer,
    ):  # fmt: skip
        return answer.status


def decide(gateway: Gateway, ident: str, verb: str = "approve") -> int:
    return asyncio.run(_decide(gateway, ident, verb))


def state_of(gateway: Gateway, ident: str) -> str:
    status, body = gateway.ask(f"/api/approvals/{ident}")
    return str(json.loads(body)["state"]) if status == 200 else ""


# -- pending, then once ------------------------------------------------------------------------------------------


def test_a_call_that_is_repeated_after_it_was_approved_is_made_once(
    start: Callable[[str, str], Gateway], upstream: Upstream
) -> None:
    gateway = start("one", "memory:")
    with upstream.recording() as seen:
        first = pending(pay(gateway))
        assert pending(pay(gateway)) == first, "it waits at the same approval"
        assert seen.turns == 0
        assert decide(gateway, first) == 200
        assert pay(gateway).status == 200
        assert seen.turns == 1
        assert eventually(lambda: state_of(gateway, first) == "done", what="its end")
        assert pending(pay(gateway)) != first, "once more is asked about once more"
        assert seen.turns == 1


def test_what_was_approved_is_no_approval_of_anything_else(
    start: Callable[[str, str], Gateway], upstream: Upstream
) -> None:
    gateway = start("one", "memory:")
    with upstream.recording() as seen:
        first = pending(pay(gateway))
        assert decide(gateway, first) == 200
        others = [
            pay(gateway, amount=901), pay(gateway, to="bob"), pay(gateway, agent="eve"), pay(gateway, x_run_id="other"),
            pay(gateway, x_account="7"),
        ]  # fmt: skip
        assert first not in {pending(answer) for answer in others}
        assert seen.turns == 0
        assert pay(gateway, x_request_id="another").status == 200
        assert seen.turns == 1


def test_what_ends_at_the_gateway_is_no_part_of_what_was_approved(
    start: Callable[[str, str], Gateway], upstream: Upstream
) -> None:
    """A field that ``Connection`` names reaches no tool, and nobody was shown trailers."""
    gateway = start("one", "memory:")
    with upstream.recording() as seen:
        first = pending(pay(gateway, x_dry_run="1"))
        assert decide(gateway, first) == 200
        head = b"POST /bank/pay HTTP/1.1\r\nHost: gateway.test\r\nX-Agent-Id: ann\r\nContent-Type: application/json\r\n"
        body = b'{"to": "mallory", "amount": 900}'
        with gateway.connect() as peer:
            drifted = b"X-Dry-Run: 1\r\nConnection: close, X-Dry-Run\r\n"
            peer.send(head + drifted + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            assert pending(http1.read_response(peer, "POST")) != first
        assert seen.turns == 0
        chunked = b"X-Dry-Run: 1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        with gateway.connect() as peer:
            peer.send(head + chunked + b"%x\r\n%b\r\n0\r\nX-To: eve\r\n\r\n" % (len(body), body))
            assert http1.read_response(peer, "POST").status == 200
        assert seen.turns == 1
        assert b"eve" not in seen.raw


def test_a_reload_voids_what_is_held_on_the_line(start: Callable[[str, str], Gateway], upstream: Upstream) -> None:
    gateway = start("one", "memory:")
    gateway.policy_file.write_text(POLICIES.replace("hold: 100ms", "hold: 20s"))
    gateway.running.send_signal(signal.SIGHUP)
    eventually(lambda: gateway.output.count("reloaded:") == 1, what="the first reload")
    answers: list[Message] = []
    with upstream.recording() as seen:
        calling = threading.Thread(target=lambda: answers.append(pay(gateway)))
        calling.start()
        eventually(lambda: json.loads(gateway.ask("/api/approvals")[1])["approvals"], what="the call is held")
        ident = json.loads(gateway.ask("/api/approvals")[1])["approvals"][0]["id"]
        gateway.policy_file.write_text(POLICIES.replace("then: approve", "then: deny"))
        gateway.running.send_signal(signal.SIGHUP)
        calling.join(10)
        assert problem_of(answers[0], "approval_required", 403)["approval_state"] == "withdrawn"
        assert eventually(lambda: state_of(gateway, ident) == "withdrawn", what="nobody is asked any more")
        assert decide(gateway, ident) == 409
        problem_of(pay(gateway), "policy_denied", 403)
        assert seen.turns == 0


def test_replicas_share_approvals(start: Callable[[str, str], Gateway], upstream: Upstream, redis: RedisServer) -> None:
    one, other = (start(name, f"{redis.url}?prefix=e2e:") for name in ("one", "other"))
    with upstream.recording() as seen:
        first = pending(pay(one))
        assert pending(pay(other)) == first
        assert decide(other, first) == 200
        assert eventually(lambda: state_of(one, first) == "approved", what="that it was approved elsewhere")
        peers: list[Peer] = [gateway.connect() for gateway in (one, other) * 4]
        body = b'{"to": "mallory", "amount": 900}'
        for peer in peers:
            fields = [("X-Agent-Id", "ann"), ("Content-Type", "application/json"), ("Connection", "close")]
            peer.send(http1.request("POST", "/bank/pay", fields, body))
        answers = [http1.read_response(peer, "POST").status for peer in peers]
        assert answers.count(200) == 1
        assert seen.turns == 1
        for peer in peers:
            peer.close()


def test_a_quarantine_takes_approvals_back(start: Callable[[str, str], Gateway], upstream: Upstream) -> None:
    gateway = start("one", "memory:")
    with upstream.recording() as seen:
        first = pending(pay(gateway))
        assert decide(gateway, first) == 200

        async def quarantine() -> int:
            body = {"scope": "agent", "key": ["ann"], "reason": "it pays strangers"}
            url = f"http://127.0.0.1:{gateway.admin}/api/quarantines"
            async with aiohttp.ClientSession() as session, session.post(url, json=body, headers=SEES) as answer:
                return answer.status

        assert asyncio.run(quarantine()) in (200, 201)
        assert eventually(lambda: state_of(gateway, first) == "withdrawn", what="that it was taken back")
        assert pay(gateway).status == 403
        assert seen.turns == 0


# -- kill -9 -----------------------------------------------------------------------------------------------------


class Bank:
    """A tool that counts what it was asked to do, and takes a moment for it."""

    def __init__(self, chance: random.Random) -> None:
        self.made: Counter[str] = Counter()
        self.early: list[str] = []
        self.approved: dict[str, str] = {}
        """Who may be paid, and by which approval: noted before it is said."""
        self._chance = chance

    def __call__(self, peer: Peer) -> None:
        to = json.loads(http1.read_request(peer).body)["to"]
        self.made[to] += 1
        if to not in self.approved:
            self.early.append(to)
        time.sleep(self._chance.choice([0.0, 0.0, 0.01, 0.03]))
        peer.send(http1.response("200 OK", body=b"paid"))


class Fire:
    """Agents that call until they know what became of it, a person who decides, and processes that are killed."""

    def __init__(self, gateways: list[Gateway], bank: Bank, chance: random.Random) -> None:
        self.gateways, self.bank, self.chance = gateways, bank, chance
        self.living = list(gateways)
        self.over = False
        self.first: dict[str, str] = {}
        """Of each payee the approval at which the first call waited."""
        self.told: dict[str, str] = {}

    async def agent(self, to: str, session: aiohttp.ClientSession) -> None:
        body = json.dumps({"to": to, "amount": 900}).encode()
        while to not in self.told:
            try:
                gateway = self.chance.choice(self.living)
                fields = {"Host": "gateway.test", "X-Agent-Id": "ann", "Content-Type": "application/json"}
                async with session.post(f"{gateway.url}/bank/pay", data=body, headers=fields) as answer:
                    said = await answer.read()
                    self.hear(to, answer.status, json.loads(said) if answer.status != 200 else {})
            except (aiohttp.ClientError, TimeoutError, OSError, IndexError):
                pass  # it was killed, or is not there yet
            await asyncio.sleep(self.chance.random() * 0.05)

    def hear(self, to: str, status: int, problem: dict[str, Any]) -> None:
        ident = problem.get("approval_id") or ""
        if status == 200:
            self.told[to] = "paid"
        elif problem["reason"] == "approval_denied":
            self.told[to] = "denied"
        elif "being made now or has ended in a way nobody knows" in problem["detail"]:
            self.told[to] = "unknown"
        elif problem["reason"] == "approval_pending" and self.first.setdefault(to, ident) != ident:
            self.told[to] = "asked anew"

    async def person(self) -> None:
        """Says yes at most to one approval of each payee; no to every fourth."""
        while not self.over:
            for to, ident in list(self.first.items()):
                if to in self.told or not self.living:
                    continue
                verb = "deny" if to.endswith(("0", "4", "8")) else "approve"
                if verb == "approve":
                    self.bank.approved.setdefault(to, ident)
                try:
                    await _decide(self.chance.choice(self.living), ident, verb)
                except (aiohttp.ClientError, TimeoutError, OSError):
                    continue
            await asyncio.sleep(0.01)

    async def kill(self, gateway: Gateway) -> None:
        """At once, and start it again."""
        await asyncio.sleep(self.chance.random() * 0.3)
        self.living.remove(gateway)
        gateway.running.kill()
        gateway.running.wait()
        await asyncio.to_thread(gateway.start)
        self.living.append(gateway)

    async def burn(self, rounds: int) -> None:
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True), timeout=aiohttp.ClientTimeout(5)
        ) as session:
            person = asyncio.create_task(self.person())
            agents = []
            for number in range(rounds):
                agents += [asyncio.create_task(self.agent(f"p{number}-{each}", session)) for each in range(12)]
                await asyncio.gather(*[self.kill(gateway) for gateway in self.gateways])
            await asyncio.wait_for(asyncio.gather(*agents), 60)
            self.over = True
            await person


def burnt(gateways: list[Gateway], upstream: Upstream) -> None:
    chance = random.Random(7)
    bank = Bank(chance)
    fire = Fire(gateways, bank, chance)
    with upstream.playing(bank) as seen:
        asyncio.run(fire.burn(KILLS // len(gateways)))
    assert not seen.errors
    assert bank.early == [], "made without an approval"
    assert [to for to, count in bank.made.items() if count > 1] == [], "made twice by one approval"
    for to, told in fire.told.items():
        if told == "denied":
            assert bank.made[to] == 0
        elif told in ("paid", "asked anew"):
            assert bank.made[to] == 1, f"{to}: told {told}, and never made"
        else:
            assert state_of(gateways[0], fire.first[to]) in ("running", "done")
    counts = Counter(fire.told.values())
    assert counts["paid"] + counts["asked anew"] >= KILLS, counts
    assert counts["denied"] > KILLS, counts


def test_kill_9_of_two_processes_on_one_file(
    start: Callable[[str, str], Gateway], upstream: Upstream, tmp_path: Path
) -> None:
    """Nothing is made without an approval, nothing twice, and nothing is lost."""
    burnt([start(name, f"sqlite:///{tmp_path}/state.db") for name in ("one", "other")], upstream)


def test_kill_9_of_two_replicas_on_redis(
    start: Callable[[str, str], Gateway], upstream: Upstream, redis: RedisServer
) -> None:
    burnt([start(name, f"{redis.url}?prefix=e2e:") for name in ("one", "other")], upstream)
