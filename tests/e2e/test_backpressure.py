"""Whoever reads slowly slows down whoever sends: nothing piles up in between."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from .harness import http1
from .harness.gateway import Gateway
from .harness.net import Peer
from .harness.upstream import Upstream

FLOOD = 200 << 20
BLOCK = bytes(1 << 16)
IN_KERNEL = 64 << 20
"""Bytes that may be on their way: four kernel buffers, which grow by themselves, and the gateway's own."""
IN_MEMORY = 24 << 20
"""Bytes by which the process may grow meanwhile."""


class Pump:
    """Sends until it is told to stop or the other side blocks; counts."""

    def __init__(self) -> None:
        self.sent = 0
        self._stop = threading.Event()

    def run(self, send: Callable[[bytes], None], block: bytes = BLOCK) -> None:
        with contextlib.suppress(OSError):
            while self.sent < FLOOD and not self._stop.is_set():
                send(block)
                self.sent += len(block)

    def settled(self) -> int:
        """The count once it has not moved for half a second."""
        last = -1
        while last != self.sent and self.sent < FLOOD:
            last = self.sent
            time.sleep(0.5)
        self._stop.set()
        return self.sent


@contextlib.contextmanager
def _bounded_growth(gateway: Gateway) -> Iterator[None]:
    before = gateway.rss()
    yield
    assert gateway.rss() - before < IN_MEMORY


@pytest.mark.parametrize("head", ["Content-Length: 1000000000", "Connection: close", "Upgrade"])
def test_a_client_that_does_not_read_stops_the_tool(gateway: Gateway, upstream: Upstream, head: str) -> None:
    pump = Pump()
    upgrade = head == "Upgrade"

    def script(peer: Peer) -> None:
        http1.read_head(peer)
        if upgrade:
            peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
        else:
            peer.send(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode())
        pump.run(peer.send)
        peer.close()

    fields = [("Connection", "Upgrade"), ("Upgrade", "x")] if upgrade else []
    with upstream.playing(script), gateway.connect(receive_buffer=4096) as peer, _bounded_growth(gateway):
        peer.send(http1.request("GET", "/raw/flood", fields))
        http1.read_head(peer)
        assert pump.settled() < IN_KERNEL


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_tool_that_does_not_read_stops_the_client(gateway: Gateway, upstream: Upstream, framing: str) -> None:
    pump, done = Pump(), threading.Event()

    def script(peer: Peer) -> None:
        http1.read_head(peer)
        done.wait(20)
        peer.close()

    fields = [("Content-Length", str(FLOOD))] if framing == "length" else [("Transfer-Encoding", "chunked")]
    block = BLOCK if framing == "length" else b"10000\r\n" + BLOCK + b"\r\n"
    with upstream.playing(script), gateway.connect() as peer, _bounded_growth(gateway):
        peer.send(http1.request("POST", "/raw/flood", fields))
        thread = threading.Thread(target=pump.run, args=(peer.send, block))
        thread.start()
        try:
            assert pump.settled() < IN_KERNEL
        finally:
            done.set()
            peer.close()
            thread.join()


def test_a_client_that_pipelines_and_does_not_read_is_stopped(gateway: Gateway, upstream: Upstream) -> None:
    pump = Pump()
    with upstream.recording(http1.response("200 OK", body=bytes(20_000))):
        with gateway.connect(receive_buffer=4096) as peer, _bounded_growth(gateway):
            block = http1.request("GET", "/raw/x", [("X-Filler", "y" * 1000)]) * 20
            thread = threading.Thread(target=pump.run, args=(peer.send, block))
            thread.start()
            try:
                assert pump.settled() < IN_KERNEL
            finally:
                peer.close()
                thread.join()


def test_a_slow_reader_gets_everything_in_the_end(gateway: Gateway, upstream: Upstream) -> None:
    """Pausing and resuming loses nothing."""
    size = 8 << 20

    def script(peer: Peer) -> None:
        http1.read_request(peer)
        peer.send(http1.response("200 OK", body=bytes(range(256)) * (size // 256)))

    with upstream.playing(script), gateway.connect(receive_buffer=4096) as peer:
        peer.send(http1.request("GET", "/raw/x"))
        time.sleep(0.3)
        assert http1.read_response(peer).body == bytes(range(256)) * (size // 256)
