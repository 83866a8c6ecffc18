"""Every call that a tool saw has exactly one record, whatever goes wrong: under load, with tools that break off, agents
that vanish, reloads, a drain; and after kill -9 only a tail is missing."""

from __future__ import annotations

import contextlib
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.observe.store.file import open_for_reading
from gateway.observe.store.reader import TraceReader

from .harness import http1
from .harness.gateway import ALL, Gateway
from .harness.net import Ended, Peer, eventually
from .harness.upstream import Upstream

LIMITED = (
    ALL
    + """
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: some}
spec:
  match: {tools: [raw]}
  rules: [{name: no-nines, when: 'request.path.endsWith("9")', then: deny, message: no nines}]
"""
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"


class Tool:
    """Notes which calls it saw, by the last part of their paths, and breaks in the ways that tools break."""

    def __init__(self) -> None:
        self.saw: Counter[str] = Counter()

    def __call__(self, peer: Peer) -> None:
        token = http1.read_request(peer).target.decode().rpartition("/")[2]
        self.saw[token] += 1
        fault = int(token) % 13
        if fault == 1:
            peer.reset()
        elif fault == 2:
            peer.close()
        elif fault == 3:
            peer.send(OK + b"half")
            peer.close()
        elif fault == 4:
            peer.send(OK + b"half")
            peer.reset()
        elif fault == 5:
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nnonsense")
            peer.close()
        else:
            if fault == 6:
                time.sleep(0.03)
            peer.send(OK + b"0123456789")


class Agents:
    """Agents that make numbered calls, some of which they abandon at a point of their own choice."""

    def __init__(self, gateway: Gateway, count: int) -> None:
        self.gateway = gateway
        self.sent: dict[str, float] = {}
        self.answered: dict[str, float] = {}
        self.stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(count)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join(20)

    def _work(self, number: int) -> None:
        chance = random.Random(number)
        made = 0
        while not self.stop.is_set():
            with contextlib.suppress(OSError, Ended), self.gateway.connect() as peer:
                for _ in range(chance.randint(1, 12)):
                    made += 1
                    if self.stop.is_set() or not self._call(peer, str(number * 1_000_000 + made), chance):
                        break

    def _call(self, peer: Peer, token: str, chance: random.Random) -> bool:
        """One call; whether the agent makes another on this connection."""
        raw = http1.request(chance.choice(["GET", "POST"]), f"/raw/n/{token}", [("X-Run-Id", "r")])
        self.sent[token] = time.monotonic()
        whim = chance.random()
        if whim < 0.03:
            peer.send(raw[: chance.randint(1, len(raw) - 1)])
            peer.reset()
            return False
        peer.send(raw)
        if whim < 0.12:
            time.sleep(chance.choice([0.0, 0.0, 0.001, 0.01]))
            peer.reset()
            return False
        http1.read_response(peer)
        self.answered[token] = time.monotonic()
        return True


@pytest.fixture
def tool(upstream: Upstream) -> Iterator[Tool]:
    made = Tool()
    with upstream.playing(made):
        yield made


@pytest.fixture
def gateway(tmp_path: Path, upstream: Upstream) -> Iterator[Gateway]:
    tools = {"raw": {"url": f"http://127.0.0.1:{upstream.port}"}}
    trace = {"file": str(tmp_path / "trace.jsonl"), "store": {"path": "traces.db"}}
    process = Gateway(tmp_path, tools, LIMITED, trace=trace, wire={"drain": "5s"}).start()
    yield process
    process.stop()
    assert "Traceback" not in process.output, process.output


def recorded(gateway: Gateway) -> Counter[str]:
    """How many records each call has, by the last part of its path."""
    return Counter(record["path"].rpartition("/")[2] for record in gateway.traces() if record["tool"] == "raw")


def made_at_least(agents: Agents, count: int) -> Callable[[], bool]:
    return lambda: len(agents.answered) >= count


def test_every_call_that_the_tool_saw_has_one_record(gateway: Gateway, tool: Tool) -> None:
    agents = Agents(gateway, 6)
    agents.start()
    try:
        for number in range(1, 4):
            eventually(made_at_least(agents, 150 * number), 20, "calls are made")
            gateway.policy_file.write_text(LIMITED + f"# version {number}\n")
            gateway.signal(signal.SIGHUP)
        eventually(made_at_least(agents, 600), 20, "calls are made")
        gateway.signal(signal.SIGTERM)
        assert gateway.wait() == 0
    finally:
        agents.finish()
    found = recorded(gateway)
    assert len(tool.saw) > 300
    assert {token: found[token] for token in tool.saw if found[token] != 1} == {}
    assert {token: count for token, count in found.items() if count != 1} == {}
    assert set(agents.answered) <= set(found)
    assert len({record["call"] for record in gateway.traces()}) == len(gateway.traces())
    reader = TraceReader(open_for_reading(gateway.folder / "traces.db"))
    assert reader.extent().calls == len(gateway.traces())
    reader.close()


@pytest.mark.parametrize("calls", [40, 137, 300])
def test_after_kill_9_only_a_tail_is_missing(gateway: Gateway, tool: Tool, calls: int) -> None:
    """Records are written in the order in which calls ended: where one is there, none that ended before it is lost."""
    agents = Agents(gateway, 4)
    agents.start()
    try:
        eventually(made_at_least(agents, calls), 20, "calls are made")
        eventually(lambda: len(gateway.traces()) > 0, 20, "something is written")
        gateway.signal(signal.SIGKILL)
        gateway.wait()
    finally:
        agents.finish()
    found = recorded(gateway)
    assert {token: count for token, count in found.items() if count != 1} == {}
    newest = max(agents.sent[token] for token in found)
    before = {token for token, answered in agents.answered.items() if answered < newest}
    assert before - set(found) == set()
    assert before
