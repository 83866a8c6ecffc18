"""Clients that leave, and clients that only stop talking."""

from __future__ import annotations

import threading
import time

import pytest

from .harness import http1
from .harness.gateway import Gateway
from .harness.net import Peer, eventually
from .harness.upstream import Upstream


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("when", ["before the answer", "in the answer"])
def test_a_client_that_leaves_cancels_the_call(gateway: Gateway, upstream: Upstream, how: str, when: str) -> None:
    started, ended = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        http1.read_request(peer)
        if when == "in the answer":
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        started.set()
        if peer.at_end():
            ended.set()
        peer.close()

    with upstream.playing(script), gateway.connect() as peer:
        peer.send(http1.request("GET", "/raw/slow"))
        if when == "in the answer":
            peer.read_until(b"abc")
        assert started.wait(5)
        peer.reset() if how == "reset" else peer.close()
        assert ended.wait(8), "the tool is not told that nobody waits any more"


def test_a_call_whose_client_left_is_traced_as_499(gateway: Gateway, upstream: Upstream) -> None:
    started = threading.Event()

    def script(peer: Peer) -> None:
        http1.read_request(peer)
        started.set()
        peer.at_end()
        peer.close()

    with upstream.playing(script), gateway.connect() as peer:
        peer.send(http1.request("GET", "/raw/left-alone"))
        assert started.wait(5)
        peer.close()
        record = eventually(
            lambda: [t for t in gateway.traces() if t["path"] == "/raw/left-alone"], what="the trace of the call"
        )[0]
    assert record["status"] == 499
    assert record["fault"] == "agent"


def test_a_client_that_leaves_while_sending_ends_the_call(gateway: Gateway, upstream: Upstream) -> None:
    with upstream.recording() as seen, gateway.connect() as peer:
        peer.send(http1.request("POST", "/raw/x", [("Content-Length", "1000")]) + b"part")
        eventually(lambda: seen.turns)
        peer.close()
        eventually(lambda: seen.errors, what="the tool's connection has ended")
    assert not seen.requests


def test_a_client_that_only_stops_talking_gets_its_answer(gateway: Gateway, upstream: Upstream) -> None:
    """Half-close: ``printf ... | nc -N`` and many simple clients."""

    def script(peer: Peer) -> None:
        message = http1.read_request(peer)
        time.sleep(0.2)
        peer.send(http1.response("200 OK", body=message.body))

    with upstream.playing(script), gateway.connect() as peer:
        peer.send(http1.request("POST", "/raw/x", body=b"said all"))
        peer.half_close()
        assert http1.read_response(peer).body == b"said all"
        assert peer.at_end()


def test_a_client_that_only_stopped_talking_gets_a_whole_stream(gateway: Gateway, upstream: Upstream) -> None:
    """Its end came before the answer began, so it is waiting, not leaving."""

    def script(peer: Peer) -> None:
        http1.read_request(peer)
        time.sleep(0.2)
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            peer.send(b"3\r\nabc\r\n")
            time.sleep(0.3)
        peer.send(b"0\r\n\r\n")

    with upstream.playing(script), gateway.connect() as peer:
        peer.send(http1.request("GET", "/raw/x"))
        peer.half_close()
        assert http1.read_response(peer).body == b"abc" * 3


def test_half_close_after_pipelined_requests(gateway: Gateway, upstream: Upstream) -> None:
    with upstream.recording(), gateway.connect() as peer:
        peer.send(http1.request("GET", "/raw/1") + http1.request("GET", "/raw/2") + http1.request("GET", "/raw/3"))
        peer.half_close()
        assert [http1.read_response(peer).status for _ in range(3)] == [200, 200, 200]
        assert peer.at_end()


def test_nothing_leaks_when_clients_come_and_go(gateway: Gateway, upstream: Upstream) -> None:
    """A hundred clients that leave at every point of a call leave no socket behind."""
    raw = http1.request("POST", "/raw/x", body=b"12345678")
    with upstream.recording():
        before = gateway.sockets()
        for number in range(100):
            with gateway.connect() as peer:
                peer.send(raw[: 1 + number * len(raw) // 100])
                if number % 2:
                    peer.reset()
        eventually(lambda: gateway.sockets() <= before + 4, what="sockets are closed again")
