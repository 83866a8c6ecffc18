"""Pools through the real process: a greedy agent and polite ones, agents that go, a pool that changes."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from .harness import http1
from .harness.gateway import ALL, Gateway, call, problem_of
from .harness.net import Ended, Peer, eventually
from .harness.upstream import Upstream

PLACES = 4
GREEDY, POLITE = [("X-Agent-Id", "greedy")], [("X-Agent-Id", "polite")]
POOL = """
---
apiVersion: toolgate/v1
kind: Pool
metadata: {name: crm}
spec: {match: {tools: [crm]}, concurrency: %d, queue: 120, max_wait: %s, charge: calls, per_agent: 100%%}
"""


class Desk:
    """The tool: each call that reaches it is noted, and answered when the test lets one more of its agent go."""

    def __init__(self) -> None:
        self.came: list[str] = []
        self._may_go = {"greedy": threading.Semaphore(0), "polite": threading.Semaphore(0)}

    def __call__(self, peer: Peer) -> None:
        message = http1.read_request(peer)
        agent = (message.get("x-agent-id") or b"").decode()
        self.came.append(agent)
        assert self._may_go[agent].acquire(timeout=20)
        peer.send(http1.response("200 OK", body=agent.encode()))

    def answer(self, agent: str, calls: int = 1) -> None:
        """Let so many calls of the agent be answered."""
        self._may_go[agent].release(calls)


@pytest.fixture
def pooled(tmp_path: Path, upstream: Upstream) -> Iterator[Gateway]:
    gateway = Gateway(
        tmp_path,
        {"crm": {"url": f"http://127.0.0.1:{upstream.port}"}},
        ALL + POOL % (PLACES, "30s"),
        identify=[{"header": "x-agent-id"}],
    ).start()
    yield gateway
    gateway.stop()
    assert "Traceback" not in gateway.output, gateway.output


def waiting(gateway: Gateway) -> float:
    return gateway.metric('toolgate_pool_waiting{pool="crm",tool="crm"}')


def in_flight(gateway: Gateway) -> float:
    return gateway.metric('toolgate_pool_in_flight{pool="crm",tool="crm"}')


def sent(gateway: Gateway, agent: list[tuple[str, str]]) -> Peer:
    """A call that nobody has answered yet."""
    peer = gateway.connect()
    peer.send(http1.request("GET", "/crm/x", agent))
    return peer


def test_a_greedy_agent_with_a_hundred_calls_keeps_a_polite_one_waiting_for_one_place_only(
    pooled: Gateway, upstream: Upstream
) -> None:
    """The polite one has one call at a time, which gets the next place that becomes free, or the one after it."""
    desk, rounds = Desk(), 10
    with upstream.playing(desk):
        greedy = [sent(pooled, GREEDY) for _ in range(100)]
        eventually(lambda: waiting(pooled) == 100 - PLACES, what="the greedy agent's calls wait")
        for _ in range(rounds):
            line, came = waiting(pooled), len(desk.came)
            polite = sent(pooled, POLITE)
            eventually(lambda line=line: waiting(pooled) == line + 1, what="the polite call waits")
            desk.answer("greedy")
            eventually(lambda came=came: len(desk.came) == came + 1, what="a place became free")
            if desk.came[-1] != "polite":
                desk.answer("greedy")
                eventually(lambda came=came: len(desk.came) == came + 2, what="another place became free")
            assert desk.came[-1] == "polite"
            desk.answer("polite")
            assert http1.read_response(polite).body == b"polite"
            polite.close()
            eventually(lambda: desk.came[-1] == "greedy", what="no place is empty while calls wait")
        assert desk.came.count("polite") == rounds
        assert desk.came.count("greedy") <= PLACES + 3 * rounds
        desk.answer("greedy", 100)
        for peer in greedy:
            assert http1.read_response(peer).status == 200
            peer.close()
    eventually(lambda: in_flight(pooled) == 0, what="all places are free again")
    assert len(desk.came) == 100 + rounds, "nothing was lost, and nothing sent twice"
    records = eventually(lambda: found if len(found := pooled.traces()) == 100 + rounds else None, what="all records")
    queued = [record for record in records if record["guards"][0]["state"] == "queued"]
    assert len(queued) == 100 + rounds - PLACES
    assert all(record["timings"]["queue_ms"] > 0 for record in queued)


def test_an_agent_that_reads_no_answers_leaves_a_place_to_the_others(tmp_path: Path, upstream: Upstream) -> None:
    """By default it has three of four places; its answers are larger than what is kept on the way."""
    answered: list[str] = []

    def answer(peer: Peer) -> None:
        message = http1.read_request(peer)
        agent = (message.get("x-agent-id") or b"").decode()
        answered.append(agent)
        with suppress(Ended, OSError):  # nobody reads it
            peer.send(http1.response("200 OK", body=agent.encode() * (4_000_000 if agent == "greedy" else 1)))

    pool = (ALL + POOL % (PLACES, "20s")).replace(", per_agent: 100%", "")
    gateway = Gateway(
        tmp_path, {"crm": {"url": f"http://127.0.0.1:{upstream.port}"}}, pool, identify=[{"header": "x-agent-id"}]
    ).start()
    with upstream.playing(answer):
        greedy = [sent(gateway, GREEDY) for _ in range(PLACES)]
        eventually(lambda: waiting(gateway) == 1, what="its fourth call waits")
        for _ in range(5):
            polite = sent(gateway, POLITE)
            assert http1.read_response(polite).body == b"polite"
            polite.close()
        assert (in_flight(gateway), waiting(gateway)) == (PLACES - 1, 1)
        for peer in greedy:
            peer.close()
        eventually(lambda: in_flight(gateway) == 0, what="all places are free again")
    gateway.stop()
    assert answered.count("polite") == 5


def test_agents_that_go_while_they_wait_leave_no_call_and_no_place_behind(pooled: Gateway, upstream: Upstream) -> None:
    desk = Desk()
    with upstream.playing(desk):
        held = [sent(pooled, GREEDY) for _ in range(PLACES)]
        eventually(lambda: len(desk.came) == PLACES, what="all places are taken")
        gone = [sent(pooled, POLITE) for _ in range(10)]
        eventually(lambda: waiting(pooled) == 10, what="ten calls wait")
        command = [sys.executable, "-m", "gateway", "pools", "--admin", f"127.0.0.1:{pooled.admin}"]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.splitlines()
        assert [line.split()[2:5] for line in shown[1:]] == [
            ["*", "4/4", "10"],
            ["polite", "0", "10"],
            ["greedy", "4", "0"],
        ]
        for peer in gone:
            peer.reset()
        eventually(lambda: waiting(pooled) == 0, what="nobody waits")
        desk.answer("greedy", PLACES)
        for peer in held:
            assert http1.read_response(peer).status == 200
            peer.close()
        eventually(lambda: in_flight(pooled) == 0, what="all places are free")
        assert desk.came == ["greedy"] * PLACES


def test_a_call_that_waits_in_vain_is_told_when_to_come_back(pooled: Gateway, upstream: Upstream) -> None:
    pooled.policy_file.write_text(ALL + POOL % (1, "300ms"))
    version = pooled.ready()["policy_version"]
    eventually(lambda: pooled.ready()["policy_version"] != version, what="the new settings are in force")
    desk = Desk()
    with upstream.playing(desk):
        held = sent(pooled, GREEDY)
        eventually(lambda: desk.came == ["greedy"])
        answer = call(pooled, "GET", "/crm/x", POLITE)
        problem = problem_of(answer, "queue_timeout", 503)
        assert problem["rule"] == "pool/crm"
        assert problem["retryable"] is True
        assert 1 <= int(answer.get("retry-after") or 0) <= 60
        assert pooled.metric('toolgate_pool_turned_away_total{pool="crm",tool="crm",why="timeout"}') == 1
        desk.answer("greedy")
        assert http1.read_response(held).status == 200
        held.close()


def test_a_pool_that_grows_by_a_reload_lets_in_those_who_wait(pooled: Gateway, upstream: Upstream) -> None:
    desk = Desk()
    with upstream.playing(desk):
        peers = [sent(pooled, GREEDY) for _ in range(PLACES + 3)]
        eventually(lambda: waiting(pooled) == 3, what="three calls wait")
        pooled.policy_file.write_text(ALL + POOL % (PLACES + 3, "30s"))
        eventually(lambda: len(desk.came) == PLACES + 3, what="the new places are given to those who wait")
        desk.answer("greedy", PLACES + 3)
        for peer in peers:
            assert http1.read_response(peer).status == 200
            peer.close()


def test_calls_that_wait_are_served_while_the_gateway_drains(pooled: Gateway, upstream: Upstream) -> None:
    desk = Desk()
    with upstream.playing(desk):
        peers = [sent(pooled, GREEDY) for _ in range(PLACES + 2)]
        eventually(lambda: waiting(pooled) == 2, what="two calls wait")
        pooled.signal(signal.SIGTERM)
        desk.answer("greedy", PLACES + 2)
        answered = 0
        for peer in peers:
            try:
                answered += http1.read_response(peer).status == 200
            except Ended:
                continue
            finally:
                peer.close()
        assert answered == PLACES + 2
    assert pooled.wait() == 0
