"""Limits, breakers and bulkheads, as an agent meets them."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

import pytest

from .harness import http1
from .harness.gateway import Gateway, call, problem_of
from .harness.net import Peer, eventually
from .harness.upstream import Upstream, answering


def _as(agent: str) -> list[tuple[str, str]]:
    return [("X-Agent-Id", agent)]


WHO = _as("tester-1")


def test_a_limit_refuses_with_all_that_a_client_needs(governed: Gateway, upstream: Upstream) -> None:
    with upstream.recording() as seen:
        agent = _as("tester-limited")
        assert [call(governed, "GET", "/limited/x", agent).status for _ in range(3)] == [200, 200, 200]
        answer = call(governed, "GET", "/limited/x", agent)
    problem = problem_of(answer, "rate_limited", 429)
    assert seen.turns == 3
    assert problem["rule"] == "limit/three"
    assert problem["retryable"] is True
    assert 0 < problem["retry_after"] <= 2
    retry_after = answer.get("retry-after")
    assert retry_after is not None
    assert 1 <= int(retry_after) <= 60
    assert re.fullmatch(rb'"three";r=0;t=[12]', answer.get("ratelimit") or b"")
    assert re.fullmatch(rb'"three";q=3;w=6', answer.get("ratelimit-policy") or b"")
    assert answer.all("x-should-retry") != [b"false"], "a short wait helps"


def test_a_limit_per_agent_leaves_others_alone(governed: Gateway, upstream: Upstream) -> None:
    with upstream.recording():
        for _ in range(4):
            last = call(governed, "GET", "/limited/x", _as("tester-greedy"))
        assert last.status == 429
        assert call(governed, "GET", "/limited/x", _as("tester-modest")).status == 200


def test_a_limit_refills(governed: Gateway, upstream: Upstream) -> None:
    agent = _as("tester-patient")
    with upstream.recording():
        while (answer := call(governed, "GET", "/limited/x", agent)).status == 200:
            pass
        time.sleep(answer.json()["retry_after"])
        assert call(governed, "GET", "/limited/x", agent).status == 200


def test_waiting_lets_every_call_through(governed: Gateway, upstream: Upstream) -> None:
    with upstream.recording() as seen:
        answers = [call(governed, "GET", "/waiting/x", WHO) for _ in range(5)]
    assert [answer.status for answer in answers] == [200] * 5
    assert seen.turns == 5
    waits = [governed.trace(answer.get("x-toolgate-call"))["timings"]["queue_ms"] for answer in answers]
    assert max(waits) > 0


def test_waiting_has_an_end(governed: Gateway, upstream: Upstream) -> None:
    with upstream.recording() as seen:
        assert call(governed, "GET", "/busy/x", WHO).status == 200
        answer = call(governed, "GET", "/busy/x", WHO)
    problem_of(answer, "rate_limited", 429)
    assert 1 <= int(answer.get("retry-after") or 0) <= 60
    assert seen.turns == 1


def test_a_client_that_leaves_while_waiting_leaves_no_call_behind(governed: Gateway, upstream: Upstream) -> None:
    with upstream.recording() as seen:
        for _ in range(3):
            with governed.connect() as peer:
                peer.send(http1.request("GET", "/waiting/left", WHO))
                peer.reset()
        assert call(governed, "GET", "/waiting/stayed", WHO).status == 200
    assert b"/stayed" in [message.target for message in seen.requests]


def _trip(governed: Gateway, upstream: Upstream, failing: Callable[[Peer], None], times: int = 3) -> None:
    with upstream.playing(failing):
        for _ in range(times):
            assert call(governed, "GET", "/fragile/x", WHO).status in (500, 502)


def _recover(governed: Gateway, upstream: Upstream) -> None:
    """Waits for the probe that closes the circuit."""
    with upstream.recording():
        eventually(lambda: call(governed, "GET", "/fragile/x", WHO).status == 200, 10, "the circuit closes")


@pytest.mark.parametrize(
    "failing",
    [answering(http1.response("500 Oh no")), answering(b"", close=True), answering(b"nonsense\r\n\r\n", close=True)],
    ids=["500", "silence", "nonsense"],
)
def test_a_breaker_opens_and_recovers(governed: Gateway, upstream: Upstream, failing: Callable[[Peer], None]) -> None:
    _trip(governed, upstream, failing)
    with upstream.recording() as seen:
        answer = call(governed, "GET", "/fragile/x", WHO)
        problem = problem_of(answer, "circuit_open", 503)
        assert not seen.turns, "an open circuit calls nobody"
    assert problem["rule"] == "breaker/fragile"
    assert 1 <= int(answer.get("retry-after") or 0) <= 60
    assert 0 < problem["retry_after"] <= 1.2, "what `open` says, and up to a fifth more"
    _recover(governed, upstream)
    with upstream.recording():
        assert [call(governed, "GET", "/fragile/x", WHO).status for _ in range(3)] == [200, 200, 200]


def test_a_failed_probe_opens_the_circuit_again(governed: Gateway, upstream: Upstream) -> None:
    failing = answering(http1.response("500 Oh no"))
    _trip(governed, upstream, failing)
    with upstream.playing(failing) as seen:
        eventually(lambda: call(governed, "GET", "/fragile/x", WHO).status == 500, 5, "a probe is let through")
        assert call(governed, "GET", "/fragile/x", WHO).status == 503
        assert seen.turns == 1, "one probe, not more"
    _recover(governed, upstream)


def test_a_probe_whose_client_leaves_does_not_jam_the_circuit(governed: Gateway, upstream: Upstream) -> None:
    _trip(governed, upstream, answering(http1.response("500 Oh no")))
    started = threading.Event()

    def hang(peer: Peer) -> None:
        http1.read_request(peer)
        started.set()
        peer.at_end()
        peer.close()

    def leave() -> bool:
        with governed.connect() as peer:
            peer.send(http1.request("GET", "/fragile/x", WHO))
            if not started.wait(0.2):
                return False
            peer.reset()
            return True

    with upstream.playing(hang):
        eventually(leave, 5, "a probe reached the tool")
    _recover(governed, upstream)


@pytest.mark.parametrize("status", ["404 Not Found", "429 Too Many Requests", "400 Bad Request"])
def test_faults_of_the_agent_do_not_open_a_breaker(governed: Gateway, upstream: Upstream, status: str) -> None:
    with upstream.recording(http1.response(status)) as seen:
        for _ in range(6):
            assert call(governed, "GET", "/fragile/x", WHO).status == int(status[:3])
    assert seen.turns == 6


def test_a_breaker_per_operation_leaves_others_alone(governed: Gateway, upstream: Upstream) -> None:
    with upstream.playing(answering(http1.response("503 Down"))):
        for _ in range(2):
            call(governed, "GET", "/picky/a", WHO)
    with upstream.recording():
        problem_of(call(governed, "GET", "/picky/a", WHO), "circuit_open", 503)
        assert call(governed, "GET", "/picky/b", WHO).status == 200
        assert call(governed, "POST", "/picky/a", WHO).status == 200


@pytest.mark.parametrize("end", ["answer", "reset"])
def test_a_bulkhead_has_its_places_back(governed: Gateway, upstream: Upstream, end: str) -> None:
    """One place: while it is taken others are refused at once, and it is free again however the call ends."""
    may_answer = threading.Event()

    def script(peer: Peer) -> None:
        message = http1.read_request(peer)
        if message.target == b"/slow":
            if end == "answer":
                assert may_answer.wait(8)
            else:
                peer.at_end()
                peer.close()
                return
        peer.send(http1.response("200 OK"))

    with upstream.playing(script) as seen, governed.connect() as holding:
        holding.send(http1.request("GET", "/narrow/slow", WHO))
        eventually(lambda: seen.turns)
        answer = call(governed, "GET", "/narrow/x", WHO)
        assert answer.status in (429, 503)
        problem_of(answer, "concurrency_limited", answer.status)
        may_answer.set()
        if end == "answer":
            assert http1.read_response(holding).status == 200
        else:
            holding.reset()
        eventually(lambda: call(governed, "GET", "/narrow/x", WHO).status == 200, 8, "the place is free")


def test_a_refused_call_takes_no_token(governed: Gateway, upstream: Upstream) -> None:
    """A call that a grant refuses must not use up what others may need; a refused limit holds no place."""
    with upstream.recording():
        for _ in range(5):
            problem_of(call(governed, "GET", "/limited/x", _as("stranger")), "not_granted", 403)
        for _ in range(3):
            assert call(governed, "GET", "/limited/x", _as("tester-fresh")).status == 200
