"""Keep-alive, pipelining and messages cut anywhere."""

from __future__ import annotations

import pytest

from .harness import http1
from .harness.gateway import Gateway, call
from .harness.net import Ended, Peer
from .harness.upstream import Upstream


def _mirror(peer: Peer) -> None:
    """Answers with the target and body of the request."""
    message = http1.read_request(peer)
    peer.send(http1.response("200 OK", body=message.target + b"|" + message.body))


def test_one_connection_serves_many_calls_and_the_tool_sees_few(gateway: Gateway, upstream: Upstream) -> None:
    with upstream.playing(_mirror) as seen, gateway.connect() as peer:
        for number in range(20):
            peer.send(http1.request("POST", f"/raw/{number}", body=b"b%d" % number))
            assert http1.read_response(peer).body == b"/%d|b%d" % (number, number)
    assert seen.turns == 20
    assert len(seen.peers) == 1, "connections to the tool are reused"


def test_pipelined_calls_are_answered_in_order(gateway: Gateway, upstream: Upstream) -> None:
    bodies = [b"", b"first", b"", b"x" * 100000, b"last"]
    raw = b"".join(
        http1.request("POST", f"/raw/{i}", [("Content-Length", str(len(body)))], body) for i, body in enumerate(bodies)
    )
    with upstream.playing(_mirror), gateway.connect() as peer:
        peer.send(raw)
        for number, body in enumerate(bodies):
            assert http1.read_response(peer).body == b"/%d|%s" % (number, body)


@pytest.mark.parametrize("trailers", [b"", b"X-T: 1\r\n"])
def test_nothing_of_a_pipelined_request_leaks_into_the_one_before(
    gateway: Gateway, upstream: Upstream, trailers: bytes
) -> None:
    """All in one segment: fields of the second must not pass for trailers of the first."""
    first = http1.request("POST", "/raw/1", [("Transfer-Encoding", "chunked")]) + http1.chunked(b"x", trailers=trailers)
    second = http1.request("GET", "/raw/2", [("Authorization", "Bearer second")])
    with upstream.recording() as seen, gateway.connect() as peer:
        peer.send(first + second)
        assert [http1.read_response(peer).status for _ in range(2)] == [200, 200]
    assert [name for name, _ in seen.requests[0].trailers] == ([b"X-T"] if trailers else [])
    assert seen.raw.count(b"Bearer second") == 1


def test_a_pipelined_refusal_keeps_its_place(gateway: Gateway, upstream: Upstream) -> None:
    raw = http1.request("GET", "/raw/a") + http1.request("GET", "/nobody/b") + http1.request("GET", "/raw/c")
    with upstream.playing(_mirror), gateway.connect() as peer:
        peer.send(raw)
        statuses = [http1.read_response(peer).status for _ in range(3)]
    assert statuses == [200, 404, 200]


def test_close_is_obeyed(gateway: Gateway, upstream: Upstream) -> None:
    with upstream.playing(_mirror) as seen, gateway.connect() as peer:
        peer.send(http1.request("GET", "/raw/x", [("Connection", "close")]) + http1.request("GET", "/raw/never"))
        message = http1.read_response(peer)
        assert message.body == b"/x|"
        assert b"close" in b",".join(message.all("connection")).lower()
        assert peer.at_end()
    assert seen.turns == 1


def test_http10_keeps_the_connection_only_where_asked(gateway: Gateway, upstream: Upstream) -> None:
    with upstream.playing(_mirror), gateway.connect() as peer:
        peer.send(b"GET /raw/x HTTP/1.0\r\nHost: gateway.test\r\nConnection: keep-alive\r\n\r\n")
        message = http1.read_response(peer)
        if b"keep-alive" in b",".join(message.all("connection")).lower():
            peer.send(b"GET /raw/y HTTP/1.0\r\nHost: gateway.test\r\n\r\n")
            assert http1.read_response(peer).body == b"/y|"
        assert peer.at_end()


def test_a_request_cut_at_every_byte_is_one_request(gateway: Gateway, upstream: Upstream) -> None:
    raw = http1.request("POST", "/raw/cut?q=1", [("X-A", "b"), ("Transfer-Encoding", "chunked")])
    raw += http1.chunked(b"hello", b"world", trailers=b"X-T: 1\r\n")
    with upstream.recording() as seen:
        for cut in range(1, len(raw)):
            with gateway.connect() as peer:
                peer.send(raw[:cut])
                peer.send(raw[cut:])
                assert http1.read_response(peer).status == 200, cut
    assert len(seen.requests) == len(raw) - 1
    assert {(m.line, m.body, m.trailers) for m in seen.requests} == {
        (b"POST /cut?q=1 HTTP/1.1", b"helloworld", ((b"X-T", b"1"),))
    }


def test_a_request_byte_by_byte_is_one_request(gateway: Gateway, upstream: Upstream) -> None:
    raw = http1.request("POST", "/raw/slow", body=b"body")
    with upstream.recording() as seen, gateway.connect() as peer:
        peer.send_bytewise(raw + raw)
        assert [http1.read_response(peer).status for _ in range(2)] == [200, 200]
    assert [message.body for message in seen.requests] == [b"body", b"body"]


def test_an_answer_byte_by_byte_is_one_answer(gateway: Gateway, upstream: Upstream) -> None:
    answer = http1.response("200 OK", [("Transfer-Encoding", "chunked")], http1.chunked(b"he", b"llo"))

    def script(peer: Peer) -> None:
        http1.read_request(peer)
        peer.send_bytewise(answer)

    with upstream.playing(script), gateway.connect() as peer:
        peer.send(http1.request("GET", "/raw/x"))
        assert http1.read_response(peer).body == b"hello"


@pytest.mark.parametrize("lead", [b"\r\n", b"\r\n\r\n"])
def test_empty_lines_before_a_request_are_passed_over(gateway: Gateway, upstream: Upstream, lead: bytes) -> None:
    """RFC 9112, 2.2: old clients send one after a body."""
    with upstream.recording() as seen, gateway.connect() as peer:
        peer.send(lead + http1.request("GET", "/raw/x"))
        assert http1.read_response(peer).status == 200
    assert len(seen.requests) == 1


def test_a_refusal_of_head_has_no_body_and_keeps_step(gateway: Gateway, upstream: Upstream) -> None:
    with upstream.playing(_mirror), gateway.connect() as peer:
        peer.send(http1.request("HEAD", "/nobody/x") + http1.request("GET", "/raw/next"))
        assert http1.read_response(peer, "HEAD").status == 404
        assert http1.read_response(peer).body == b"/next|"


def test_a_refusal_of_an_old_client_ends_with_the_connection(gateway: Gateway) -> None:
    with gateway.connect() as peer:
        peer.send(b"GET /nobody/x HTTP/1.0\r\n\r\n")
        answer = http1.read_response(peer)
        assert answer.status == 404
        assert not answer.chunked
        assert peer.at_end()


def test_an_early_answer_does_not_bring_the_connections_out_of_step(gateway: Gateway, upstream: Upstream) -> None:
    """The tool answers on the head and reads the body afterwards; the client sends it after the answer."""
    bodies = []

    def script(peer: Peer) -> None:
        message = http1.read_head(peer)
        peer.send(http1.response("200 OK", body=message.target))
        bodies.append(http1.read_body(peer, message, until_close=False).body)

    body = http1.request("GET", "/raw/inside")
    with upstream.playing(script), gateway.connect() as peer:
        peer.send(http1.request("POST", "/raw/early", [("Content-Length", str(len(body)))]))
        answer = http1.read_response(peer)
        assert answer.body == b"/early"
        try:
            peer.send(body + http1.request("GET", "/raw/after"))
            after = http1.read_response(peer).body
        except (Ended, OSError):
            after = b"/after"
    assert after == b"/after"
    with upstream.playing(_mirror):
        assert call(gateway, "GET", "/raw/other").body == b"/other|"
    assert body not in bodies[1:]
