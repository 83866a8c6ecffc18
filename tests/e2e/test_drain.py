"""The end of the process: TERM loses no call, KILL leaves a readable record."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .harness import http1
from .harness.gateway import Gateway, call
from .harness.net import Ended, Peer, eventually
from .harness.upstream import Upstream


@pytest.fixture
def mortal(tmp_path: Path, upstream: Upstream) -> Iterator[Gateway]:
    """A gateway of one's own, to be killed."""
    gateway = Gateway(
        tmp_path, {"raw": {"url": f"http://127.0.0.1:{upstream.port}"}}, wire={"drain": "10s"}
    ).start()  # fmt: skip
    yield gateway
    gateway.stop()


class Load:
    """Clients that call without pause, and keep count of calls that got no answer."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.answered = 0
        self.lost: list[str] = []
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, keeping: int, fresh: int) -> None:
        kinds: list[Callable[[], bool]] = [self._keep_alive] * keeping + [self._fresh] * fresh
        self._threads = [threading.Thread(target=self._repeat, args=(kind,)) for kind in kinds]
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)

    def _repeat(self, kind: Callable[[], bool]) -> None:
        while not self._stop.is_set() and kind():
            pass

    def _connect(self) -> Peer | None:
        try:
            return self.gateway.connect()
        except OSError:
            return None

    def _one(self, peer: Peer) -> http1.Message | None:
        """One call; None, and counted as lost, where it got no whole answer."""
        try:
            peer.send(http1.request("POST", "/raw/x", body=b"work"))
            answer = http1.read_response(peer)
        except (Ended, OSError) as error:
            self.lost.append(repr(error))
            return None
        if answer.status != 200:
            self.lost.append(repr(answer))
        self.answered += 1
        return answer

    def _keep_alive(self) -> bool:
        """Calls on one connection while it lasts; a client looks whether it was closed before each call."""
        peer = self._connect()
        if peer is None:
            return False
        with peer:
            while not self._stop.is_set():
                if not peer.silent(0.001):
                    return True
                answer = self._one(peer)
                if answer is None or b"close" in b",".join(answer.all("connection")).lower():
                    return answer is not None
        return True

    def _fresh(self) -> bool:
        peer = self._connect()
        if peer is None:
            return False
        with peer:
            return self._one(peer) is not None


def test_term_while_idle_ends_at_once(mortal: Gateway, upstream: Upstream) -> None:
    with upstream.recording(), mortal.connect() as idle:
        idle.send(http1.request("GET", "/raw/x"))
        http1.read_response(idle)
        mortal.signal(signal.SIGTERM)
        assert mortal.wait(5) == 0
        assert idle.at_end()


def test_int_ends_like_term(mortal: Gateway) -> None:
    mortal.signal(signal.SIGINT)
    assert mortal.wait(5) == 0


def test_a_call_in_flight_is_finished(mortal: Gateway, upstream: Upstream) -> None:
    """The tool answers only after the gateway was told to end and takes no new connections."""
    may_answer = threading.Event()

    def script(peer: Peer) -> None:
        message = http1.read_request(peer)
        assert may_answer.wait(8)
        peer.send(http1.response("200 OK", body=message.body))

    def refused() -> bool:
        try:
            mortal.connect().close()
        except ConnectionRefusedError:
            return True
        return False

    with upstream.playing(script) as seen, mortal.connect() as peer:
        peer.send(http1.request("POST", "/raw/x", body=b"in flight"))
        eventually(lambda: seen.turns)
        mortal.signal(signal.SIGTERM)
        eventually(refused, what="new connections are refused")
        may_answer.set()
        answer = http1.read_response(peer)
        assert answer.body == b"in flight"
        assert answer.all("connection") == [b"close"]
        assert peer.at_end()
    assert mortal.wait(5) == 0
    assert mortal.traces()[-1]["call"] == answer.all("x-toolgate-call")[0].decode()


def test_a_stream_in_flight_is_finished(mortal: Gateway, upstream: Upstream) -> None:
    more = threading.Semaphore(0)

    def script(peer: Peer) -> None:
        http1.read_request(peer)
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            peer.send(b"3\r\nabc\r\n")
            assert more.acquire(timeout=8)
        peer.send(b"0\r\n\r\n")

    with upstream.playing(script), mortal.connect() as peer:
        peer.send(http1.request("GET", "/raw/x"))
        http1.read_head(peer)
        assert http1.read_chunk(peer) == b"abc"
        mortal.signal(signal.SIGTERM)
        for _ in range(2):
            more.release()
            assert http1.read_chunk(peer) == b"abc"
        more.release()
        assert http1.read_chunk(peer) == b""
    assert mortal.wait(5) == 0


def test_not_ready_while_draining(mortal: Gateway, upstream: Upstream) -> None:
    """A load balancer must see it before the process is gone."""
    may_answer = threading.Event()

    def script(peer: Peer) -> None:
        http1.read_request(peer)
        may_answer.wait(8)
        peer.send(http1.response("200 OK"))

    with upstream.playing(script) as seen, mortal.connect() as peer:
        peer.send(http1.request("GET", "/raw/x"))
        eventually(lambda: seen.turns)
        mortal.signal(signal.SIGTERM)
        eventually(lambda: mortal.ask("/readyz")[0] == 503, 5, "/readyz says 503")
        assert mortal.ask("/healthz")[0] == 200
        may_answer.set()
        assert http1.read_response(peer).status == 200
    assert mortal.wait(5) == 0


def test_a_drain_is_bounded(tmp_path: Path, upstream: Upstream) -> None:
    """A call that never ends cannot keep the process for ever."""
    gateway = Gateway(tmp_path, {"raw": {"url": f"http://127.0.0.1:{upstream.port}"}}, wire={"drain": "300ms"}).start()

    def script(peer: Peer) -> None:
        http1.read_request(peer)
        peer.at_end()
        peer.close()

    try:
        with upstream.playing(script) as seen, gateway.connect() as peer:
            peer.send(http1.request("GET", "/raw/x"))
            eventually(lambda: seen.turns)
            gateway.signal(signal.SIGTERM)
            assert gateway.wait(8) == 0
    finally:
        gateway.stop()


def test_term_under_load_loses_no_call(mortal: Gateway, upstream: Upstream) -> None:
    load = Load(mortal)
    with upstream.recording():
        load.start(keeping=4, fresh=2)
        try:
            eventually(lambda: load.answered > 300 or load.lost, what="some load")
            mortal.signal(signal.SIGTERM)
            code = mortal.wait(12)
        finally:
            load.finish()
    assert code == 0
    assert not load.lost
    assert len(mortal.traces()) >= load.answered, "each answered call is in the record"


def test_kill_under_load_leaves_a_readable_record(mortal: Gateway, upstream: Upstream) -> None:
    """Every line but a torn last one is whole; the next start goes on in the same file, on a line of its own."""
    load = Load(mortal)
    with upstream.recording():
        load.start(keeping=4, fresh=0)
        try:
            eventually(lambda: mortal.trace_file.exists() and len(mortal.traces()) > 200, what="some records")
            mortal.signal(signal.SIGKILL)
            mortal.wait()
        finally:
            load.finish()
        before = mortal.trace_file.read_bytes()
        assert len([json.loads(line) for line in before.split(b"\n")[:-1]]) > 200
        with mortal.trace_file.open("ab") as file:
            file.write(b'{"ts": "torn')
        mortal.start()
        answer = call(mortal, "GET", "/raw/after")
        name = answer.all("x-toolgate-call")[0].decode()
        eventually(lambda: name in mortal.trace_file.read_text(), what="the record goes on")
    unreadable = 0
    for line in mortal.trace_file.read_bytes().split(b"\n")[:-1]:
        with contextlib.suppress(json.JSONDecodeError):
            json.loads(line)
            continue
        unreadable += 1
    assert unreadable <= 2, "at most the torn lines themselves"
    assert json.loads(mortal.trace_file.read_bytes().splitlines()[-1])["call"] == name
