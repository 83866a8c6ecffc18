"""Tools that answer nonsense, die, or say more than they were asked."""

from __future__ import annotations

import pytest

from .harness import http1
from .harness.gateway import Gateway, call, problem_of
from .harness.net import Ended, Peer, eventually
from .harness.upstream import Script, Upstream, answering

MALFORMED = {
    "garbage": b"what?\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "TLS alert": bytes.fromhex("15030100020228"),
    "no status": b"HTTP/1.1 \r\n\r\n",
    "status of letters": b"HTTP/1.1 abc OK\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "version 2": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "length and coding": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc",
    "length of letters": b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nabc",
    "unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: cow\r\n\r\nabc",
    "NUL in a field": b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "bare CR in a field": b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
    "space before colon": b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
    "no colon": b"HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 0\r\n\r\n",
    "nothing at all": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "endless head": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_answer_is_a_502(gateway: Gateway, upstream: Upstream, name: str) -> None:
    """The agent is told whose fault it was, on a connection that goes on."""
    with upstream.playing(answering(MALFORMED[name], close=True)), gateway.connect() as peer:
        peer.send(http1.request("GET", "/raw/x"))
        answer = http1.read_response(peer)
        reason = answer.json()["reason"]
        assert reason in ("upstream_protocol", "upstream_unreachable")
        problem_of(answer, reason, 502)
    with upstream.recording():
        assert call(gateway, "GET", "/raw/next").body == b"ok"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXX",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
    ],
    ids=["length cut", "chunks cut", "no CRLF after data", "bad size", "bare LF"],
)
def test_a_body_that_breaks_off_never_looks_whole(gateway: Gateway, upstream: Upstream, answer: bytes) -> None:
    with upstream.playing(answering(answer, close=True)), gateway.connect() as peer:
        peer.send(http1.request("GET", "/raw/x"))
        try:
            message = http1.read_response(peer)
        except Ended:
            return
        assert message.status == 502, "what came could pass for the whole answer"


def test_a_tool_that_resets_in_the_middle(gateway: Gateway, upstream: Upstream) -> None:
    def script(peer: Peer) -> None:
        http1.read_request(peer)
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        peer.reset()

    with upstream.playing(script), gateway.connect() as peer:
        peer.send(http1.request("GET", "/raw/x"))
        try:
            assert http1.read_response(peer).status == 502, "what came could pass for the whole answer"
        except Ended as end:
            assert b"0\r\n\r\n" not in end.partial


@pytest.mark.parametrize("extra", [b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", b"trailing junk"])
def test_what_a_tool_says_unasked_reaches_nobody(gateway: Gateway, upstream: Upstream, extra: bytes) -> None:
    """A second answer to one request would be the answer to the next agent's call."""
    with upstream.playing(answering(http1.response("200 OK", body=b"mine") + extra)):
        assert call(gateway, "GET", "/raw/first").body == b"mine"
    with upstream.recording(http1.response("200 OK", body=b"yours")):
        for _ in range(3):
            assert call(gateway, "GET", "/raw/next").body == b"yours"


def test_what_a_tool_says_later_reaches_nobody(gateway: Gateway, upstream: Upstream) -> None:
    """The same, while the connection lies idle in the pool."""
    with upstream.recording(http1.response("200 OK", body=b"mine")) as seen:
        call(gateway, "GET", "/raw/first")
        seen.peers[0].send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    with upstream.recording(http1.response("200 OK", body=b"yours")):
        for _ in range(3):
            assert call(gateway, "GET", "/raw/next").body == b"yours"


def test_a_body_after_head_reaches_nobody(gateway: Gateway, upstream: Upstream) -> None:
    """Some tools send a body to HEAD; it must not become the next answer."""
    with upstream.playing(answering(http1.response("200 OK", body=b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!"))):
        assert call(gateway, "HEAD", "/raw/first").status == 200
    with upstream.recording(http1.response("200 OK", body=b"yours")):
        for _ in range(3):
            assert call(gateway, "GET", "/raw/next").body == b"yours"


def _warm(gateway: Gateway, upstream: Upstream) -> None:
    """Leaves one idle connection in the pool."""
    with upstream.recording():
        assert call(gateway, "GET", "/raw/warm").status == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_pooled_connection_that_the_tool_closed_is_not_used(
    gateway: Gateway, upstream: Upstream, method: str
) -> None:
    _warm(gateway, upstream)
    upstream.drop_connections()
    with upstream.recording() as seen:
        answer = call(gateway, method, "/raw/x", body=b"pay" if method == "POST" else b"")
        assert answer.status == 200
    assert len(seen.requests) == 1


def _closing_once(answer: bytes) -> tuple[list[bytes], Script]:
    """A script that reads the first request and closes without a word, and answers from then on."""
    lines: list[bytes] = []

    def script(peer: Peer) -> None:
        lines.append(http1.read_request(peer).line)
        if len(lines) == 1:
            peer.close()
        else:
            peer.send(answer)

    return lines, script


def test_a_get_on_a_connection_that_dies_is_sent_again_once(gateway: Gateway, upstream: Upstream) -> None:
    """The pool's connection was good when chosen, and closed as the request arrived: the usual race of keep-alive."""
    _warm(gateway, upstream)
    lines, script = _closing_once(http1.response("200 OK", body=b"second"))
    with upstream.playing(script):
        answer = call(gateway, "GET", "/raw/x")
    assert answer.body == b"second"
    assert len(lines) == 2


def test_a_post_that_may_have_been_processed_is_never_sent_again(gateway: Gateway, upstream: Upstream) -> None:
    _warm(gateway, upstream)
    lines, script = _closing_once(http1.response("200 OK"))
    with upstream.playing(script):
        answer = call(gateway, "POST", "/raw/pay", body=b"100")
    assert answer.status == 502
    assert len(lines) == 1


def test_nothing_is_sent_again_on_a_fresh_connection(gateway: Gateway, upstream: Upstream) -> None:
    upstream.drop_connections()
    eventually(lambda: not upstream.open, what="the pool is empty")
    lines, script = _closing_once(http1.response("200 OK"))
    with upstream.playing(script):
        assert call(gateway, "POST", "/raw/pay", body=b"100").status == 502
    assert len(lines) == 1


def test_an_answer_that_closes_ends_the_pooled_connection(gateway: Gateway, upstream: Upstream) -> None:
    with upstream.playing(answering(http1.response("200 OK", [("Connection", "close")], b"ok"))) as seen:
        for _ in range(3):
            assert call(gateway, "GET", "/raw/x").status == 200
        assert len(seen.peers) == 3, "a connection that the tool will close must not be used again"
        eventually(lambda: not upstream.open, what="the gateway closed its ends")
