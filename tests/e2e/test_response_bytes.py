"""Answers through the gateway arrive at the client as the tool sent them."""

from __future__ import annotations

import pytest

from .harness import http1
from .harness.compare import Pair
from .harness.gateway import Gateway
from .harness.net import Peer
from .harness.upstream import Upstream, answering


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "404 Not Found", "500 Oh No", "299 ", "599 Custom reason"])
def test_status_line_arrives(pair: Pair, status: str) -> None:
    pair.same_response("GET", "/", answer=http1.response(status, body=b"text"))


def test_fields_keep_order_repeats_case_and_values(pair: Pair) -> None:
    fields = [
        ("Set-Cookie", "a=1; Expires=Wed, 09 Jun 2027 10:18:14 GMT"),
        ("X-Empty", ""),
        ("set-cookie", "b=2"),
        ("Server", "Tool/1"),
        ("Date", "Tue, 15 Nov 1994 08:12:31 GMT"),
        ("WWW-Authenticate", 'Basic realm="a, b"'),
        ("WWW-Authenticate", "Bearer"),
        ("X-Latin", "caf\xe9"),
        ("Content-Encoding", "zstd"),
        ("Location", "https://other.test/elsewhere"),
    ]
    direct, through = pair.same_response("GET", "/", answer=http1.response("302 Found", fields, b"\x28\xb5\x2f\xfd"))
    assert through.answer.all("set-cookie") == direct.answer.all("set-cookie")


def test_every_answer_names_its_call(pair: Pair) -> None:
    _, through = pair.play("GET", "/")
    assert len(through.answer.all("x-toolgate-call")) == 1
    assert through.answer.all("server-timing")


def test_hop_by_hop_fields_of_the_tool_end_at_the_gateway(pair: Pair) -> None:
    answer = http1.response("200 OK", [("Connection", "X-Inner, close"), ("X-Inner", "1"), ("Keep-Alive", "x")], b"a")
    _, through = pair.play("GET", "/", answer=answering(answer, close=True))
    assert not through.answer.all("x-inner")
    assert not through.answer.all("keep-alive")


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answers_without_a_body_keep_the_connection(gateway: Gateway, upstream: Upstream, status: str) -> None:
    answer = f'HTTP/1.1 {status}\r\nETag: "x"\r\n\r\n'.encode()
    with upstream.recording(answer) as seen, gateway.connect() as peer:
        for _ in range(2):
            peer.send(http1.request("GET", "/raw/x"))
            message = http1.read_response(peer)
            assert (message.status, message.body) == (int(status[:3]), b"")
            assert message.all("etag") == [b'"x"']
            assert not message.all("transfer-encoding")
    assert len(seen.requests) == 2


def test_304_may_tell_the_length_of_what_it_does_not_send(gateway: Gateway, upstream: Upstream) -> None:
    with upstream.recording(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n"), gateway.connect() as peer:
        for _ in range(2):
            peer.send(http1.request("GET", "/raw/x"))
            assert http1.read_response(peer).status == 304


@pytest.mark.parametrize("framing", [("Content-Length", "1234"), ("Transfer-Encoding", "chunked")])
def test_head_has_the_fields_of_get_and_no_body(gateway: Gateway, upstream: Upstream, framing: tuple[str, str]) -> None:
    with upstream.recording(http1.response("200 OK", [framing])) as seen, gateway.connect() as peer:
        for _ in range(2):
            peer.send(http1.request("HEAD", "/raw/x"))
            message = http1.read_response(peer, "HEAD")
            assert message.all(framing[0]) == [framing[1].encode()] or framing[0] == "Transfer-Encoding"
    assert len(seen.requests) == 2


@pytest.mark.parametrize("sizes", [[3], [1, 100000, 2]], ids=str)
def test_a_chunked_answer_arrives(pair: Pair, sizes: list[int]) -> None:
    body = http1.chunked(*(bytes([65 + i]) * size for i, size in enumerate(sizes)))
    _, through = pair.same_response(
        "GET", "/", answer=http1.response("200 OK", [("Transfer-Encoding", "chunked")], body)
    )
    assert through.answer.chunked


def test_trailers_of_an_answer_arrive(pair: Pair) -> None:
    body = http1.chunked(b"data", trailers=b"Grpc-Status: 0\r\nX-T: a\r\n")
    fields = [("Transfer-Encoding", "chunked"), ("Trailer", "Grpc-Status")]
    _, through = pair.same_response("GET", "/", [("TE", "trailers")], answer=http1.response("200 OK", fields, body))
    assert through.answer.trailers == ((b"Grpc-Status", b"0"), (b"X-T", b"a"))


def test_an_answer_that_ends_with_the_connection_arrives(gateway: Gateway, upstream: Upstream) -> None:
    """A tool that speaks HTTP/1.0 without a length; the client must be able to tell that the end is the end."""
    with upstream.playing(answering(b"HTTP/1.0 200 OK\r\nX-Old: 1\r\n\r\nall of it", close=True)):
        with gateway.connect() as peer:
            peer.send(http1.request("GET", "/raw/x"))
            message = http1.read_response(peer)
    assert message.line.startswith(b"HTTP/1.1 200")
    assert message.body == b"all of it"


def test_early_hints_arrive_before_the_answer(gateway: Gateway, upstream: Upstream) -> None:
    def script(peer: Peer) -> None:
        http1.read_request(peer)
        peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nLink: </b.js>\r\n\r\n")
        peer.send(b"HTTP/1.1 102 Processing\r\n\r\n")
        peer.send(http1.response("200 OK", body=b"done"))

    with upstream.playing(script), gateway.connect() as peer:
        peer.send(http1.request("GET", "/raw/x"))
        message = http1.read_response(peer)
    assert [interim.status for interim in message.interim] == [103, 102]
    assert message.interim[0].all("link") == [b"</a.css>; rel=preload", b"</b.js>"]
    assert message.body == b"done"


def test_an_old_client_is_spared_1xx(gateway: Gateway, upstream: Upstream) -> None:
    """RFC 9110, 15.2: no 1xx to an HTTP/1.0 client."""
    answer = b"HTTP/1.1 103 Early Hints\r\n\r\n" + http1.response("200 OK", body=b"done")
    with upstream.recording(answer), gateway.connect() as peer:
        peer.send(b"GET /raw/x HTTP/1.0\r\nHost: gateway.test\r\n\r\n")
        message = http1.read_response(peer)
    assert not message.interim
    assert message.body == b"done"


def test_continue_accepted(gateway: Gateway, upstream: Upstream) -> None:
    """The client holds its body back until it is told to go on."""

    def script(peer: Peer) -> None:
        message = http1.read_head(peer)
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        http1.read_body(peer, message, until_close=False)
        peer.send(http1.response("200 OK", body=message.body))

    with upstream.playing(script), gateway.connect() as peer:
        peer.send(http1.request("POST", "/raw/x", [("Expect", "100-continue"), ("Content-Length", "5")]))
        assert http1.read_head(peer).status == 100
        peer.send(b"hello")
        assert http1.read_response(peer).body == b"hello"


def test_continue_refused_by_the_tool(gateway: Gateway, upstream: Upstream) -> None:
    """The tool's final answer arrives although no body was sent; nothing of the body may pass for a next request."""

    def script(peer: Peer) -> None:
        http1.read_head(peer)
        peer.send(http1.response("417 Expectation Failed", [("Connection", "close")], b"no"))
        peer.close()

    with upstream.playing(script) as seen, gateway.connect() as peer:
        peer.send(http1.request("POST", "/raw/x", [("Expect", "100-continue"), ("Content-Length", "5")]))
        message = http1.read_response(peer)
        assert message.status == 417
        assert message.body == b"no"
    assert seen.turns == 1


def test_an_early_answer_reaches_a_client_that_is_still_sending(gateway: Gateway, upstream: Upstream) -> None:
    def script(peer: Peer) -> None:
        http1.read_head(peer)
        peer.send(http1.response("413 Too Much", [("Connection", "close")], b"stop"))
        peer.half_close()
        peer.read_to_end()
        peer.close()

    with upstream.playing(script), gateway.connect() as peer:
        peer.send(http1.request("POST", "/raw/x", [("Content-Length", "1000000")]) + b"x" * 1000)
        message = http1.read_response(peer)
        assert (message.status, message.body) == (413, b"stop")
