"""The kill switch and shared breakers, with real replicas on a real Redis, and over a restart."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stores.redis_server import RedisServer

from .harness import http1
from .harness.gateway import ALL, Gateway, call, problem_of
from .harness.net import Ended, Peer, eventually
from .harness.upstream import Upstream, answering

POLICIES = (
    ALL
    + """
---
apiVersion: toolgate/v1
kind: Breaker
metadata: {name: fragile}
spec: {match: {tools: [shaky]}, failures: 2, rate: 0, open: 1s}
---
apiVersion: toolgate/v1
kind: Limit
metadata: {name: slowly}
spec: {match: {tools: [slow]}, per: [tool], rate: 1/m, burst: 1, mode: wait, max_wait: 50s}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: tripwire}
spec:
  match: {tools: [bank]}
  rules:
    - {name: honeypot, when: 'request.path == "/honeypot"', then: deny, message: nobody goes there, quarantine: run}
"""
)
FAILING = answering(http1.response("500 Oh no"))


def _gateway(folder: Path, upstream: Upstream, state: str, **config: Any) -> Gateway:
    folder.mkdir()
    url = f"http://127.0.0.1:{upstream.port}"
    tools = {name: {"url": url} for name in ("bank", "shaky", "slow")}
    return Gateway(folder, tools, POLICIES, identify=[{"header": "x-agent-id"}], state=state, **config).start()


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def replicas(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, redis: RedisServer
) -> Iterator[tuple[Gateway, Gateway]]:
    """Two gateways that share everything."""
    folder = tmp_path_factory.mktemp("replicas")
    both = _gateway(folder / "one", upstream, redis.url), _gateway(folder / "two", upstream, redis.url)
    yield both
    for process in both:
        process.stop()
        assert "Traceback" not in process.output, process.output


def _toolgate(gateway: Gateway, *arguments: str, code: int = 0, token: str = "") -> str:
    """Run a command against the gateway; what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments, "--admin", f"127.0.0.1:{gateway.admin}"],
        capture_output=True, text=True, timeout=30, env=os.environ | {"TOOLGATE_ADMIN_TOKEN": token},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def _as(agent: str, run: str = "") -> list[tuple[str, str]]:
    return [("X-Agent-Id", agent), *([("X-Run-Id", run)] if run else [])]


def _status(gateway: Gateway, agent: str, target: str = "/bank/x", run: str = "") -> int:
    return call(gateway, "GET", target, _as(agent, run)).status


def test_an_agent_is_stopped_on_all_replicas_and_let_go_again(
    replicas: tuple[Gateway, Gateway], upstream: Upstream
) -> None:
    one, two = replicas
    with upstream.recording():
        assert _status(one, "eve") == _status(two, "eve") == 200
        said = _toolgate(one, "quarantine", "add", "agent", "eve", "--reason", "ran wild", "--for", "2h")
        assert said == "agent eve is quarantined for 2h\n"
        problem = problem_of(call(one, "GET", "/bank/x", _as("eve")), "quarantined", 403)
        assert problem["detail"] == "this agent is quarantined: ran wild"
        assert problem["retryable"] is False
        eventually(lambda: _status(two, "eve") == 403, 5, "the other replica knows")
        assert _status(one, "bob") == _status(two, "bob") == 200
        listed = _toolgate(two, "quarantine", "list")
        assert listed.splitlines()[1].split()[:2] == ["agent", "eve"]
        assert two.metric('toolgate_quarantines{scope="agent"}') == 1
        assert two.metric('toolgate_quarantined_calls_total{scope="agent"}') >= 1
        assert _toolgate(two, "quarantine", "lift", "agent", "eve") == "agent eve may make calls again\n"
        assert _status(two, "eve") == 200
        eventually(lambda: _status(one, "eve") == 200, 5, "the other replica knows")
    assert "agent eve for 7200 s (ran wild)" in one.output, "every change is logged"


def test_an_answer_that_streams_is_cut_by_a_kill_on_another_replica(
    replicas: tuple[Gateway, Gateway], upstream: Upstream
) -> None:
    one, two = replicas
    closed = threading.Event()

    def stream(peer: Peer) -> None:
        http1.read_request(peer)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        peer.send(b"9\r\ndata: 1\n\n\r\n")
        peer.at_end()
        closed.set()
        peer.close()

    with upstream.playing(stream), two.connect() as peer, two.connect() as other:
        peer.send(http1.request("GET", "/bank/events", _as("mallory")))
        other.send(http1.request("GET", "/bank/events", _as("trent")))
        head = http1.read_head(peer)
        http1.read_head(other)
        assert http1.read_chunk(peer) == http1.read_chunk(other) == b"data: 1\n\n"
        _toolgate(one, "quarantine", "add", "agent", "mallory", "--cut")
        with pytest.raises(Ended):
            http1.read_chunk(peer)
        assert closed.wait(5), "the tool is let go, too"
        assert other.silent(0.1), "others' answers go on"
    record = two.trace(head.get("x-toolgate-call"))
    assert (record["status"], record["fault"]) == (200, "gateway")
    assert "quarantined" in json.dumps(record)


def test_a_call_without_an_answer_yet_gets_the_refusal(replicas: tuple[Gateway, Gateway], upstream: Upstream) -> None:
    one, _ = replicas
    began = threading.Event()

    def hang(peer: Peer) -> None:
        http1.read_request(peer)
        began.set()
        peer.at_end()
        peer.close()

    with upstream.playing(hang), one.connect() as peer:
        peer.send(http1.request("GET", "/bank/x", _as("walter", "run-1")))
        assert began.wait(5)
        _toolgate(one, "quarantine", "add", "run", "walter", "run-1", "--cut", "--reason", "enough")
        problem = problem_of(http1.read_response(peer), "quarantined", 403)
    assert "enough" in problem["detail"]
    with upstream.recording():
        assert _status(one, "walter", run="run-1") == 403
        assert _status(one, "walter", run="run-2") == 200


def test_a_tunnel_is_cut(replicas: tuple[Gateway, Gateway], upstream: Upstream) -> None:
    one, _ = replicas

    def shout(peer: Peer) -> None:
        http1.read_request(peer)
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: shout\r\nConnection: Upgrade\r\n\r\nwelcome\n")
        peer.at_end()
        peer.close()

    with upstream.playing(shout), one.connect() as peer:
        fields = [*_as("peggy"), ("Connection", "Upgrade"), ("Upgrade", "shout")]
        peer.send(http1.request("GET", "/bank/shout", fields))
        head = http1.read_head(peer)
        assert peer.read_until(b"\n") == b"welcome\n"
        _toolgate(one, "quarantine", "add", "agent", "peggy", "--cut")
        assert peer.at_end()
    record = one.trace(head.get("x-toolgate-call"))
    assert record["fault"] == "gateway"
    assert record["bytes_out"] == len(b"welcome\n")


def test_a_call_that_waits_in_line_is_refused_at_once(replicas: tuple[Gateway, Gateway], upstream: Upstream) -> None:
    one, _ = replicas
    with upstream.recording() as seen, one.connect() as peer:
        assert _status(one, "bob", "/slow/x") == 200
        peer.send(http1.request("GET", "/slow/x", _as("victor")))
        assert peer.silent(0.2), "it waits"
        _toolgate(one, "quarantine", "add", "agent", "victor")
        problem_of(http1.read_response(peer), "quarantined", 403)
        assert seen.turns == 1


def test_a_rule_quarantines_the_run_that_sprang_it(replicas: tuple[Gateway, Gateway], upstream: Upstream) -> None:
    one, two = replicas
    with upstream.recording():
        assert _status(one, "oscar", "/bank/honeypot", "r1") == 403
        problem = problem_of(call(one, "GET", "/bank/x", _as("oscar", "r1")), "quarantined", 403)
        assert problem["rule"] == "tripwire/honeypot"
        assert problem["detail"] == "this run is quarantined: nobody goes there"
        assert _status(one, "oscar", run="r2") == 200
        eventually(lambda: _status(two, "oscar", run="r1") == 403, 5, "the other replica knows")
        runs = json.loads(_toolgate(one, "runs", "live", "--agent", "oscar", "--json"))["runs"]
        assert {run["run"]: run["quarantined"] for run in runs} == {"r2": False}


def test_everything_can_be_stopped(replicas: tuple[Gateway, Gateway], upstream: Upstream) -> None:
    one, two = replicas
    with upstream.recording():
        _toolgate(one, "quarantine", "add", "all", "--reason", "incident 7")
        try:
            assert _status(one, "anybody") == 403
            eventually(lambda: _status(two, "anybody") == 403, 5, "the other replica knows")
        finally:
            _toolgate(one, "quarantine", "lift", "all")
        eventually(lambda: _status(two, "anybody") == 200, 5, "the other replica knows")


def test_a_breaker_that_opens_on_one_is_open_on_both_and_one_probes(
    replicas: tuple[Gateway, Gateway], upstream: Upstream
) -> None:
    one, two = replicas
    with upstream.recording():
        assert _status(two, "bob", "/shaky/x") == 200
    with upstream.playing(FAILING):
        assert [_status(one, "bob", "/shaky/x") for _ in range(3)] == [500, 500, 503]
    with upstream.recording():
        # It has made no failing call of its own, and asks for leave to probe once it has heard.
        eventually(lambda: "open" in _toolgate(two, "breakers"), 5, "the other replica knows")
        eventually(lambda: _status(one, "bob", "/shaky/x") == 200, 10, "one of them probes")
        eventually(lambda: _status(two, "bob", "/shaky/x") == 200, 5, "it is closed for both")


def test_an_operator_holds_a_breaker_open_and_lets_it_go(replicas: tuple[Gateway, Gateway], upstream: Upstream) -> None:
    one, two = replicas
    with upstream.recording() as seen:
        shown = _toolgate(one, "breakers", "open", "fragile", "shaky", "--reason", "maintenance", "--for", "1h")
        assert "held open" in shown
        problem = problem_of(call(one, "GET", "/shaky/x", _as("bob")), "circuit_open", 503)
        assert problem["detail"] == "breaker 'fragile' is held open for shaky: maintenance"
        assert not seen.turns
        eventually(lambda: _status(two, "bob", "/shaky/x") == 503, 5, "the other replica knows")
        _toolgate(two, "breakers", "auto", "fragile", "shaky")
        eventually(lambda: _status(one, "bob", "/shaky/x") == 200, 5, "the other replica knows")


def test_mistakes_are_told_plainly(replicas: tuple[Gateway, Gateway]) -> None:
    one, _ = replicas
    said = _toolgate(one, "quarantine", "add", "tool", "bnak", code=1)
    assert said == "Error: no tool is called 'bnak'; there are bank, shaky, slow\n"
    said = _toolgate(one, "quarantine", "lift", "agent", "nobody", code=1)
    assert said.startswith("Error: agent nobody is not quarantined")
    said = _toolgate(one, "breakers", "open", "fargile", code=1)
    assert said == "Error: no breaker is called 'fargile'; there are: fragile\n"


def test_with_the_store_away_it_holds_here_and_reaches_the_others_later(tmp_path: Path, upstream: Upstream) -> None:
    store = RedisServer()
    one, two = _gateway(tmp_path / "one", upstream, store.url), _gateway(tmp_path / "two", upstream, store.url)
    try:
        with upstream.recording():
            store.stop()
            _toolgate(one, "quarantine", "add", "agent", "eve")
            assert _status(one, "eve") == 403
            assert _status(two, "eve") == 200
            store.start()
            eventually(lambda: _status(two, "eve") == 403, 15, "the other replica knows")
    finally:
        one.stop()
        two.stop()
        store.stop()


def test_a_quarantine_outlives_a_crash_and_asks_for_the_token(tmp_path: Path, upstream: Upstream) -> None:
    secret = "0123456789abcdef"
    gateway = _gateway(tmp_path / "one", upstream, "sqlite:///state.db")
    gateway.stop()
    gateway.config["admin"] = {"listen": gateway.config["admin"], "token": secret}
    gateway.start()
    try:
        with upstream.recording():
            said = _toolgate(gateway, "quarantine", "add", "agent", "eve", code=1)
            assert "the admin token is missing or wrong" in said
            _toolgate(gateway, "quarantine", "add", "agent", "eve", token=secret)
            _toolgate(gateway, "breakers", "open", "fragile", token=secret)
            gateway.signal(signal.SIGKILL)
            gateway.wait()
            gateway.start()
            assert _status(gateway, "eve") == 403
            assert _status(gateway, "bob") == 200
            assert _status(gateway, "bob", "/shaky/x") == 503
            done = subprocess.run(
                [sys.executable, "-m", "gateway", "quarantine", "list", "-c", str(gateway.file), "--json"],
                capture_output=True, text=True, timeout=30, check=True,
            )  # fmt: skip
            assert [each["key"] for each in json.loads(done.stdout)] == [["eve"]]
    finally:
        gateway.stop()
    assert secret not in gateway.output
