"""Streams and large bodies: each piece goes on when it comes."""

from __future__ import annotations

import hashlib
import http.client
import json
import threading

import pytest

from .harness import http1
from .harness.echo import EchoServer, blocks, digest_of
from .harness.gateway import Gateway
from .harness.net import Peer
from .harness.upstream import Upstream

LARGE = 50 << 20


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_each_event_arrives_before_the_next_is_sent(gateway: Gateway, upstream: Upstream, framing: str) -> None:
    """No timing: the tool sends the next event only when the client has the one before. A buffering proxy hangs."""
    received = threading.Semaphore(0)
    events = [b"data: %d\n\n" % number for number in range(5)]
    head = {
        "chunked": "Transfer-Encoding: chunked\r\n",
        "length": f"Content-Length: {sum(map(len, events))}\r\n",
        "close": "Connection: close\r\n",
    }[framing]

    def script(peer: Peer) -> None:
        http1.read_request(peer)
        peer.send(f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{head}\r\n".encode())
        for event in events:
            peer.send(b"%x\r\n%s\r\n" % (len(event), event) if framing == "chunked" else event)
            assert received.acquire(timeout=8)
        peer.send(b"0\r\n\r\n" if framing == "chunked" else b"")
        if framing == "close":
            peer.close()

    with upstream.playing(script) as seen, gateway.connect() as peer:
        peer.send(http1.request("GET", "/raw/events"))
        answer = http1.read_head(peer)
        chunked = bool(answer.all("transfer-encoding"))
        for event in events:
            got = b""
            while len(got) < len(event):
                got += http1.read_chunk(peer) if chunked else peer.read_exactly(len(event))
            assert got == event
            received.release()
        assert not chunked or http1.read_chunk(peer) == b""
    assert not seen.errors


def test_the_head_of_an_answer_arrives_before_its_body(gateway: Gateway, upstream: Upstream) -> None:
    received = threading.Event()

    def script(peer: Peer) -> None:
        http1.read_request(peer)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        assert received.wait(8)
        peer.send(b"ok")

    with upstream.playing(script) as seen, gateway.connect() as peer:
        peer.send(http1.request("GET", "/raw/x"))
        assert http1.read_head(peer).status == 200
        received.set()
        assert peer.read_exactly(2) == b"ok"
    assert not seen.errors


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "length"])
def test_each_piece_of_a_request_arrives_before_the_next_is_sent(
    gateway: Gateway, upstream: Upstream, chunked: bool
) -> None:
    received = threading.Semaphore(0)

    def script(peer: Peer) -> None:
        http1.read_head(peer)
        received.release()
        for _ in range(3):
            got = b""
            while len(got) < 5:
                got += http1.read_chunk(peer) if chunked else peer.read_exactly(5)
            received.release()
        if chunked:
            assert http1.read_chunk(peer) == b""
            http1.read_trailers(peer)
        peer.send(http1.response("200 OK", body=b"all"))

    framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", "15")
    with upstream.playing(script) as seen, gateway.connect() as peer:
        peer.send(http1.request("POST", "/raw/x", [framing]))
        for _ in range(3):
            assert received.acquire(timeout=8), "the piece before has not arrived"
            peer.send(b"5\r\nhello\r\n" if chunked else b"hello")
        peer.send(b"0\r\n\r\n" if chunked else b"")
        assert http1.read_response(peer).body == b"all"
    assert not seen.errors


def test_both_directions_flow_at_once(gateway: Gateway, upstream: Upstream) -> None:
    """A tool that answers while the request is still coming (bidirectional streaming over HTTP/1.1)."""

    def script(peer: Peer) -> None:
        http1.read_head(peer)
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while chunk := http1.read_chunk(peer):
            peer.send(b"%x\r\n%s\r\n" % (len(chunk), chunk.upper()))
        http1.read_trailers(peer)
        peer.send(b"0\r\n\r\n")

    with upstream.playing(script) as seen, gateway.connect() as peer:
        peer.send(http1.request("POST", "/raw/x", [("Transfer-Encoding", "chunked")]))
        assert http1.read_head(peer).status == 200
        for word in (b"one", b"two", b"three"):
            peer.send(b"%x\r\n%s\r\n" % (len(word), word))
            assert http1.read_chunk(peer) == word.upper()
        peer.send(b"0\r\n\r\n")
        assert http1.read_chunk(peer) == b""
    assert not seen.errors


@pytest.mark.parametrize("query", ["", "?chunked"])
def test_a_large_download_is_whole(gateway: Gateway, echo: EchoServer, query: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    connection.request("GET", f"/echo/bytes/{LARGE}{query}")
    answer = connection.getresponse()
    seen, length = hashlib.sha256(), 0
    while block := answer.read(1 << 20):
        seen.update(block)
        length += len(block)
    connection.close()
    assert (length, seen.hexdigest()) == (LARGE, digest_of(LARGE))


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_large_upload_is_whole(gateway: Gateway, echo: EchoServer, chunked: bool) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    headers = {} if chunked else {"Content-Length": str(LARGE)}
    connection.request("POST", "/echo/digest", iter(blocks(LARGE)), headers, encode_chunked=chunked)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    assert answer == {"sha256": digest_of(LARGE), "length": LARGE}
