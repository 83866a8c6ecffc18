"""Loops and retry storms through the real process, counted where it matters: at the tool."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from .harness import http1
from .harness.gateway import ALL, Gateway, call, problem_of
from .harness.net import Peer, eventually
from .harness.upstream import Upstream

POLICIES = (
    ALL
    + """
---
apiVersion: toolgate/v1
kind: Loop
metadata: {name: circles}
spec: {match: {tools: [notes, server]}, ignore: [args.attempt]}
---
apiVersion: toolgate/v1
kind: Loop
metadata: {name: watched}
spec: {match: {tools: [audited]}, mode: Audit}
---
apiVersion: toolgate/v1
kind: Retry
metadata: {name: storms}
spec: {match: {tools: [storm, server, faulty]}}
"""
)


class Script:
    """What the tool answers: a status and a JSON value, by path; and how often each was asked for."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[str, object]] = {}
        self.reached: Counter[str] = Counter()
        self.lock = threading.Lock()

    def __call__(self, peer: Peer) -> None:
        request = http1.read_request(peer)
        path = request.line.split(b" ")[1].decode().partition("?")[0]
        with self.lock:
            self.reached[path] += 1
            status, value = self.answers.get(path, ("200 OK", {"path": path}))
        if value is None:
            peer.close()
            return
        if path == "/mcp":
            value = {"jsonrpc": "2.0", "id": json.loads(request.body)["id"], "result": value}
        fields = [("Content-Type", "application/json")]
        peer.send(http1.response(status, fields, json.dumps(value).encode()))


@pytest.fixture(scope="module")
def tool() -> Iterator[tuple[Upstream, Script]]:
    upstream, script = Upstream(), Script()
    with upstream.playing(script):
        yield upstream, script
    upstream.close()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, tool: tuple[Upstream, Script]) -> Iterator[Gateway]:
    at = {"url": f"http://127.0.0.1:{tool[0].port}"}
    tools = {"notes": at, "audited": at, "storm": at, "faulty": at, "server": {**at, "protocol": "mcp"}}
    identify = [{"header": "X-Agent-Id"}]
    process = Gateway(tmp_path_factory.mktemp("loops"), tools, POLICIES, identify=identify).start()
    yield process
    process.stop()
    assert "Traceback" not in process.output, process.output


def who(agent: str, run: str = "") -> list[tuple[str, str]]:
    return [("X-Agent-Id", agent), *([("X-Run-Id", run)] if run else [])]


def test_a_run_that_repeats_itself_is_advised_refused_and_stopped(
    guarded: Gateway, tool: tuple[Upstream, Script]
) -> None:
    agent = who("tester-1", "loop")
    answers = [call(guarded, "GET", "/notes/a", agent) for _ in range(6)]
    assert [answer.status for answer in answers] == [200, 200, 200, 403, 403, 403]
    assert [answer.get("x-toolgate-warning") is not None for answer in answers[:3]] == [False, False, True]
    assert tool[1].reached["/a"] == 3
    first, second, last = (problem_of(answer, "loop_detected", 403) for answer in answers[3:])
    assert first["rule"] == "loop/circles"
    assert "3 times with the same result" in first["detail"]
    assert len(second["message"]) < len(first["message"])
    assert "stopped" in last["detail"]
    problem_of(call(guarded, "GET", "/notes/b", agent), "quarantined", 403)
    assert call(guarded, "GET", "/notes/b", who("tester-1", "other")).status == 200


def test_a_result_that_changes_is_no_loop(guarded: Gateway, tool: tuple[Upstream, Script]) -> None:
    for number in range(10):
        tool[1].answers["/changing"] = ("200 OK", {"number": number})
        assert call(guarded, "GET", "/notes/changing", who("tester-2", "r")).status == 200


def test_arguments_that_are_ignored_make_no_other_call(guarded: Gateway) -> None:
    statuses = [call(guarded, "GET", f"/notes/i?attempt={n}&q=1", who("tester-3", "r")).status for n in range(4)]
    assert statuses == [200, 200, 200, 403]
    assert call(guarded, "GET", "/notes/i?attempt=9&q=2", who("tester-3", "r")).status == 200


def test_in_audit_nothing_is_refused_and_all_recorded(guarded: Gateway) -> None:
    answers = [call(guarded, "GET", "/audited/a", who("tester-4", "r")) for _ in range(5)]
    assert [answer.status for answer in answers] == [200] * 5
    (guard,) = guarded.trace(answers[-1].get("x-toolgate-call"))["guards"]
    assert (guard["guard"], guard["granted"], guard["state"]) == ("watched", True, "repeats")
    assert guarded.metric('toolgate_loops_total{guard="watched",kind="repeats"}') == 2


def test_a_failed_call_is_answered_from_memory_with_the_tools_own_words(
    guarded: Gateway, tool: tuple[Upstream, Script]
) -> None:
    tool[1].answers["/bad"] = ("422 Unprocessable Content", {"message": "a project is missing"})
    answers = [call(guarded, "POST", "/faulty/bad", who("tester-5", "r"), b"{}") for _ in range(4)]
    assert [answer.status for answer in answers] == [422] * 4
    assert tool[1].reached["/bad"] == 1
    assert "a project is missing" in problem_of(answers[1], "repeated_failure", 422)["message"]
    assert "a project is missing" not in problem_of(answers[3], "repeated_failure", 422)["message"]
    assert call(guarded, "POST", "/faulty/bad", who("tester-5", "r"), b'{"a":1}').json() == {
        "message": "a project is missing"
    }


def test_a_failed_tool_of_an_mcp_server_too(guarded: Gateway, tool: tuple[Upstream, Script]) -> None:
    tool[1].answers["/mcp"] = ("200 OK", {"content": [{"type": "text", "text": "no such file"}], "isError": True})
    before = tool[1].reached["/mcp"]
    texts = []
    for number in range(3):
        message = {
            "jsonrpc": "2.0",
            "id": number,
            "method": "tools/call",
            "params": {"name": "read", "arguments": {"p": 1}},
        }
        fields = [*who("tester-6", "r"), ("Content-Type", "application/json"), ("Accept", "application/json")]
        answer = call(guarded, "POST", "/server/mcp", fields, json.dumps(message).encode(), f"127.0.0.1:{guarded.port}")
        assert answer.status == 200
        texts.append((answer.json()["id"], answer.json()["result"]["content"][0]["text"]))
    assert tool[1].reached["/mcp"] == before + 1
    assert texts[0] == (0, "no such file")
    assert texts[1][0] == 1
    assert "no such file" in texts[1][1]
    assert "not made again" in texts[1][1]


def test_fifty_agents_that_hammer_hardly_reach_a_tool_that_is_down_and_all_get_through_when_it_is_back(
    guarded: Gateway, tool: tuple[Upstream, Script]
) -> None:
    script = tool[1]
    script.answers["/s"] = ("503 Service Unavailable", {"error": "down"})
    served: set[str] = set()
    stop = threading.Event()

    def hammer(agent: str) -> None:
        """Tries again at once, whatever it is told, until it has its answer."""
        while not stop.is_set():
            if call(guarded, "GET", "/storm/s", who(agent, "r")).status == 200:
                served.add(agent)
                return
            stop.wait(0.05)

    agents = [f"storm-{number}" for number in range(50)]
    threads = [threading.Thread(target=hammer, args=(agent,)) for agent in agents]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    try:
        time.sleep(4)
        reached, seconds = script.reached["/s"], time.monotonic() - began
        assert served == set()
        # Each agent once, what passes before three of them have failed, and probes; a second of reserve.
        assert reached <= 1.1 * 50 + 10 + seconds
        script.answers["/s"] = ("200 OK", {"error": None})
        eventually(lambda: len(served) == 50, what="every agent has its answer")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert script.reached["/s"] <= reached + 50 + 10, "each of them once more, and no stampede"
