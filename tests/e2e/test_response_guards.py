"""Answers that are read, beside the rest of the gateway: drain, reload, many at once, breakers, shadow modes."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .harness import http1
from .harness.gateway import ALL, Gateway, call, problem_of
from .harness.net import Peer, eventually
from .harness.upstream import Upstream

JSON = ("Content-Type", "application/json")
RULES = """
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: results}
spec:
  match: {tools: [judged]}
  rules:
    - {name: secret, phase: response, when: 'has(result.secret)', then: deny, message: a secret}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: shadow}
spec:
  match: {tools: [shadowed]}
  mode: Audit
  rules:
    - {name: secret, phase: response, when: 'has(result.secret)', then: deny, message: a secret}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: early}
spec:
  match: {tools: [both]}
  rules:
    - {name: by-args, when: 'has(args.no)', then: deny, message: not this}
    - {name: by-both, phase: response, when: 'result.owner != args.me', then: deny, message: not yours}
---
apiVersion: toolgate/v1
kind: Breaker
metadata: {name: fragile}
spec: {match: {tools: [fragile]}, failures: 2, open: 10m, result_errors: true}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: watch}
spec:
  match: {tools: [fragile]}
  rules:
    - {name: failed, phase: response, when: response.isError, then: warn}
"""


def json_answer(body: bytes, status: str = "200 OK") -> bytes:
    return http1.response(status, [JSON], body)


@pytest.fixture
def tool() -> Iterator[Upstream]:
    server = Upstream()
    yield server
    server.close()


@pytest.fixture
def guarded(tmp_path: Path, tool: Upstream) -> Iterator[Gateway]:
    url = f"http://127.0.0.1:{tool.port}"
    names = ("judged", "shadowed", "both", "fragile")
    process = Gateway(tmp_path, {name: {"url": url} for name in names}, ALL + RULES).start()
    yield process
    process.stop()
    assert "Traceback" not in process.output, process.output


def test_what_is_gathered_when_the_gateway_is_told_to_end_still_arrives(guarded: Gateway, tool: Upstream) -> None:
    half, go_on = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        http1.read_request(peer)
        answer = json_answer(b'{"x": 1}')
        peer.send(answer[:-3])
        half.set()
        go_on.wait(10)
        peer.send(answer[-3:])

    with tool.playing(script), guarded.connect() as peer:
        peer.send(http1.request("GET", "/judged/x"))
        assert half.wait(5)
        guarded.signal(signal.SIGTERM)
        eventually(lambda: not _accepts(guarded), what="the gateway takes no more connections")
        go_on.set()
        answer = http1.read_response(peer)
        assert (answer.status, answer.body, answer.all("connection")) == (200, b'{"x": 1}', [b"close"])
        assert peer.at_end()
    assert guarded.wait() == 0
    assert [record["status"] for record in guarded.traces()] == [200]


def _accepts(gateway: Gateway) -> bool:
    try:
        gateway.connect().close()
    except OSError:
        return False
    return True


def test_a_rule_that_is_loaded_later_judges_the_next_answer_and_not_one_under_way(
    guarded: Gateway, tool: Upstream
) -> None:
    half, go_on = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        http1.read_request(peer)
        answer = json_answer(b'{"late": 1}')
        peer.send(answer[:-3])
        half.set()
        go_on.wait(10)
        peer.send(answer[-3:])

    with tool.playing(script), guarded.connect() as peer:
        peer.send(http1.request("GET", "/judged/x"))
        assert half.wait(5)
        before = guarded.ready()["policy_version"]
        guarded.policy_file.write_text((ALL + RULES).replace("has(result.secret)", "has(result.late)"))
        guarded.signal(signal.SIGHUP)
        eventually(lambda: guarded.ready()["policy_version"] != before, what="the new version")
        go_on.set()
        assert http1.read_response(peer).status == 200
        peer.send(http1.request("GET", "/judged/x"))
        problem_of(http1.read_response(peer), "result_denied", 403)


def test_many_answers_at_once_are_not_mixed_up(guarded: Gateway, tool: Upstream) -> None:
    def script(peer: Peer) -> None:
        target = http1.read_request(peer).target.decode()
        number = int(target.rpartition("/")[2])
        body = b'{"secret": %d}' % number if number % 3 == 0 else b'{"n": %d, "pad": "%b"}' % (number, b"x" * number)
        framing = [JSON, ("Transfer-Encoding", "chunked")]
        peer.send(
            http1.response("200 OK", framing, http1.chunked(*(body[at : at + 50] for at in range(0, len(body), 50))))
        )

    def ask(number: int) -> tuple[int, object]:
        answer = call(guarded, "GET", f"/judged/{number}")
        return answer.status, answer.json().get("n")

    with tool.playing(script), ThreadPoolExecutor(16) as pool:
        got = list(pool.map(ask, range(300)))
    assert got == [(403, None) if number % 3 == 0 else (200, number) for number in range(300)]


def test_shadow_rules_record_what_they_would_have_kept_back(guarded: Gateway, tool: Upstream) -> None:
    with tool.recording(json_answer(b'{"secret": 1}')):
        answer = call(guarded, "GET", "/shadowed/x")
    assert answer.json() == {"secret": 1}
    assert not answer.all("x-toolgate-warning")
    record = guarded.trace(answer.get("x-toolgate-call"))
    assert [(rule["verdict"], rule["mode"]) for rule in record["rules"]] == [("deny", "Audit")]
    assert record["withheld"] is None


def test_a_rule_compares_the_result_with_the_arguments(guarded: Gateway, tool: Upstream) -> None:
    with tool.recording(json_answer(b'{"owner": "ada"}')) as seen:
        assert call(guarded, "POST", "/both/x", [JSON], b'{"me": "ada"}').status == 200
        problem_of(call(guarded, "POST", "/both/x", [JSON], b'{"me": "bob"}'), "result_denied", 403)
        problem_of(call(guarded, "POST", "/both/x", [JSON], b'{"no": 1}'), "policy_denied", 403)
        unclear = problem_of(call(guarded, "POST", "/both/x", [JSON], b"{}"), "policy_error", 403)
    assert "do not repeat" in unclear["advice"]
    assert seen.turns == 3


def test_answers_that_say_that_they_failed_open_a_circuit_by_choice(guarded: Gateway, tool: Upstream) -> None:
    with tool.recording(json_answer(b'{"error": "no"}', "404 Not Found")) as seen:
        for _ in range(2):
            assert call(guarded, "GET", "/fragile/x").status == 404
        problem_of(call(guarded, "GET", "/fragile/x"), "circuit_open", 503)
    assert seen.turns == 2


def test_an_agent_that_asks_ahead_and_reads_nothing_does_not_fill_the_memory(guarded: Gateway, tool: Upstream) -> None:
    """Answers that are gathered are written at once, so the next one must wait until the last has been taken."""
    body = b'{"x": "' + b"y" * 1_000_000 + b'"}'
    with tool.recording(json_answer(body)) as seen, guarded.connect(receive_buffer=4096) as peer:
        before = guarded.rss()
        peer.send(http1.request("GET", "/judged/x") * 60)
        assert peer.wait_for_bytes()
        turns = -1
        while turns != seen.turns:  # until nothing more is asked of the tool
            turns = seen.turns
            time.sleep(0.3)
        assert seen.turns < 20
        assert guarded.rss() - before < 30_000_000
        for _ in range(60):
            assert http1.read_response(peer).body == body
    assert seen.turns == 60
