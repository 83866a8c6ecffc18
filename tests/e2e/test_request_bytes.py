"""Requests through the gateway arrive at the tool as they were sent."""

from __future__ import annotations

import gzip
import re

import pytest

from .harness import http1
from .harness.compare import Pair
from .harness.gateway import Gateway
from .harness.upstream import Upstream

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT", "MKCOL", "QUERY", "PURGE"]
TARGETS = [
    "/",
    "/a/b/c",
    "/a/",
    "/with%20space",
    "/enc%2Fslash",
    "/enc%2fslash",
    "//double//slash",
    "/a;v=1/b;w=2",
    "/%E2%82%AC/%e2%82%ac",
    "/tilde~star*bang!quote'paren()",
    "/colon:at@plus+comma,dollar$amp&equal=",
    "/q?",
    "/q?a=1&a=2&a=3",
    "/q?empty=&novalue&=noname",
    "/q?a+b=c%2Bd&e=%00&f=%ff",
    "/q?a=/b?c=d&url=http://x.test/y?z",
    "/q?[]={}|^`\\",
    "/long?" + "x" * 6000,
]


@pytest.mark.parametrize("method", METHODS)
def test_any_method_arrives(pair: Pair, method: str) -> None:
    pair.same_request(method, "/thing", [("Content-Length", "0")] if method == "POST" else None)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target[:24])
def test_path_and_query_arrive_byte_for_byte(pair: Pair, target: str) -> None:
    _, through = pair.same_request("GET", target)
    assert through.request.target == target.encode()


def test_bytes_above_ascii_in_a_target_arrive_or_are_refused(pair: Pair) -> None:
    """RFC 3986 has no such bytes; many servers take them. Changing them on the way is the one thing not allowed."""
    direct, through = pair.play("GET", "/caf\xe9")
    if through.answer.status == 200:
        assert through.request.line == direct.request.line
    else:
        assert through.answer.status == 400
        assert not through.seen.turns


def test_fields_keep_order_repeats_case_and_values(pair: Pair) -> None:
    fields = [
        ("X-One", "1"),
        ("x-two", "2"),
        ("X-ONE", "again"),
        ("Accept", "text/html, */*;q=0.1"),
        ("Cookie", "a=1; b=2"),
        ("X-Empty", ""),
        ("X-Latin", "caf\xe9"),
        ("X-Quoted", '"a, b\\"c"'),
        ("X-Inner", "a\tb  c"),
        ("User-Agent", ""),
        ("X-One", "last"),
        ("Range", "bytes=0-9,20-"),
        ("If-None-Match", 'W/"abc", "def"'),
    ]
    pair.same_request("GET", "/", fields)


def test_a_body_of_every_byte_arrives(pair: Pair) -> None:
    pair.same_request("POST", "/", [("Content-Type", "application/octet-stream")], bytes(range(256)) * 300)


def test_a_get_with_a_body_arrives(pair: Pair) -> None:
    pair.same_request("GET", "/search", [("Content-Type", "application/json")], b'{"query": {"match_all": {}}}')


def test_a_delete_without_a_body_gets_no_framing_fields(pair: Pair) -> None:
    _, through = pair.same_request("DELETE", "/thing/1")
    assert not through.request.all("content-length")
    assert not through.request.all("transfer-encoding")


def test_content_length_zero_arrives(pair: Pair) -> None:
    _, through = pair.same_request("POST", "/", [("Content-Length", "0")])
    assert through.request.all("content-length") == [b"0"]


def test_compressed_bodies_are_not_touched(pair: Pair) -> None:
    body = gzip.compress(b"x" * 1000)
    pair.same_request("PUT", "/", [("Content-Encoding", "gzip"), ("Accept-Encoding", "zstd, br;q=0.5")], body)


@pytest.mark.parametrize("sizes", [[1], [5, 1, 4096], [70000, 3]], ids=str)
def test_a_chunked_body_arrives_chunked(pair: Pair, sizes: list[int]) -> None:
    body = http1.chunked(*(bytes([65 + i]) * size for i, size in enumerate(sizes)))
    _, through = pair.same_request("POST", "/", [("Transfer-Encoding", "chunked")], body)
    assert through.request.chunked


def test_an_empty_chunked_body_arrives(pair: Pair) -> None:
    pair.same_request("POST", "/", [("Transfer-Encoding", "chunked")], http1.chunked())


def test_trailers_of_a_request_arrive(pair: Pair) -> None:
    body = http1.chunked(b"hello", trailers=b"X-Sum: 1\r\nX-Sum: 2\r\n")
    _, through = pair.same_request("POST", "/", [("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum")], body)
    assert through.request.trailers == ((b"X-Sum", b"1"), (b"X-Sum", b"2"))


def test_hop_by_hop_fields_end_at_the_gateway(pair: Pair) -> None:
    """RFC 9110, 7.6.1: also those that Connection names."""
    fields = [
        ("Connection", "close, X-Secret"),
        ("X-Secret", "for the gateway"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("Proxy-Authorization", "Basic eDp5"),
        ("TE", "trailers"),
        ("X-Kept", "1"),
    ]
    _, through = pair.play("GET", "/", fields)
    request = through.request
    for gone in ("x-secret", "keep-alive", "proxy-connection", "proxy-authorization"):
        assert not request.all(gone), gone
    assert request.all("x-kept") == [b"1"]
    assert b"X-Secret" not in through.seen.raw


@pytest.mark.parametrize("named", ["Host", "Content-Length", "Authorization", "X-Forwarded-For", "Via"])
def test_connection_cannot_name_away_what_carries_the_request(pair: Pair, named: str) -> None:
    """The abuse of hop-by-hop: fields that the gateway or the message itself needs must survive (or 400)."""
    fields = [("Connection", named), ("Authorization", "Bearer agent")]
    _, through = pair.play("POST", "/", fields, b"body")
    if through.answer.status == 400:
        assert not through.seen.turns
        return
    request = through.request
    assert request.body == b"body"
    assert len(request.all("host")) == 1
    assert request.all("via")
    assert request.all("x-forwarded-for")


def test_via_and_forwarded_fields_tell_the_tool(pair: Pair) -> None:
    fields = [("Via", "1.0 first"), ("X-Forwarded-For", "203.0.113.9")]
    _, through = pair.play("GET", "/", fields)
    via = b", ".join(through.request.all("via"))
    assert re.fullmatch(rb"1\.0 first, 1\.1 [!-~]+", via)
    assert through.request.all("x-forwarded-proto") == [b"http"]
    addresses = b", ".join(through.request.all("x-forwarded-for")).split(b", ")
    assert addresses[-1] == b"127.0.0.1"


def test_host_is_rewritten_to_the_tool(gateway: Gateway, upstream: Upstream) -> None:
    with upstream.recording() as seen, gateway.connect() as peer:
        peer.send(http1.request("GET", "/raw/x", host="somewhere.test"))
        http1.read_response(peer)
    assert seen.requests[0].all("host") == [f"127.0.0.1:{upstream.port}".encode()]


@pytest.mark.parametrize(
    ("raw", "target"),
    [
        (b"GET /by/host?q HTTP/1.1\r\nHost: tool.test\r\n\r\n", b"/by/host?q"),
        (b"GET /by/host HTTP/1.1\r\nHost: TOOL.test:80\r\n\r\n", b"/by/host"),
        (b"GET http://tool.test/absolute?q=1 HTTP/1.1\r\nHost: tool.test\r\n\r\n", b"/absolute?q=1"),
        (b"GET http://tool.test HTTP/1.1\r\nHost: tool.test\r\n\r\n", b"/"),
        (b"GET http://tool.test?q HTTP/1.1\r\nHost: tool.test\r\n\r\n", b"/?q"),
        (b"OPTIONS * HTTP/1.1\r\nHost: tool.test\r\n\r\n", b"*"),
    ],
    ids=["host", "host-port", "absolute", "absolute-bare", "absolute-query", "asterisk"],
)
def test_other_ways_in_reach_the_tool(gateway: Gateway, upstream: Upstream, raw: bytes, target: bytes) -> None:
    with upstream.recording() as seen, gateway.connect() as peer:
        peer.send(raw)
        assert http1.read_response(peer).status == 200
    assert seen.requests[0].target == target


def test_a_base_path_goes_in_front(gateway: Gateway, upstream: Upstream) -> None:
    with upstream.recording() as seen, gateway.connect() as peer:
        peer.send(http1.request("GET", "/based/items?x=1"))
        assert http1.read_response(peer).status == 200
    assert seen.requests[0].target == b"/api/v1/items?x=1"


def test_an_old_client_is_served(gateway: Gateway, upstream: Upstream) -> None:
    """HTTP/1.0 has no chunked coding: the answer ends with the connection, and so it must without keep-alive."""
    answer = http1.response("200 OK", [("Transfer-Encoding", "chunked")], http1.chunked(b"he", b"llo"))
    with upstream.recording(answer), gateway.connect() as peer:
        peer.send(b"GET /raw/old HTTP/1.0\r\nHost: gateway.test\r\n\r\n")
        message = http1.read_response(peer)
        assert not message.chunked
        assert message.body == b"hello"
        assert peer.at_end()
