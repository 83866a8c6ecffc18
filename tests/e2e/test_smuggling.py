"""What can be read in two ways is refused, the connection closed, and the tool sees none of it."""

from __future__ import annotations

import pytest

from .harness import http1
from .harness.attacks import CHUNKED, CHUNKS, FRAMING, HEADS, HOST, NEXT
from .harness.gateway import Gateway
from .harness.net import Ended, Peer, eventually
from .harness.upstream import Upstream

LARGE_HEAD = {"oversized head", "oversized target", "oversized name", "too many fields"}
MAY_BE_SERVED = {"lower-case method"}
"""Legal by the letter: a method is a case-sensitive token. It must arrive as it is, or be refused."""


def _refused(gateway: Gateway, upstream: Upstream, raw: bytes) -> http1.Message:
    """Sends, and asserts one 4xx or 5xx, the end of the connection, and an undisturbed tool."""
    with upstream.recording() as seen, gateway.connect() as peer:
        peer.send(raw)
        answer = http1.read_response(peer)
        assert peer.at_end(), "the connection must be closed"
    assert not seen.turns, f"the tool was sent {seen.raw[:200]!r}"
    return answer


@pytest.mark.parametrize("name", FRAMING)
def test_ambiguous_framing_is_refused(gateway: Gateway, upstream: Upstream, name: str) -> None:
    assert _refused(gateway, upstream, FRAMING[name]).status in (400, 413, 501)


@pytest.mark.parametrize("name", HEADS)
def test_malformed_head_is_refused(gateway: Gateway, upstream: Upstream, name: str) -> None:
    if name in MAY_BE_SERVED:
        with upstream.recording() as seen, gateway.connect() as peer:
            peer.send(HEADS[name])
            served = http1.read_response(peer).status == 200
        assert not served or seen.requests[0].method == HEADS[name].split(b" ")[0]
        return
    status = _refused(gateway, upstream, HEADS[name]).status
    allowed = {400, 414, 431} if name in LARGE_HEAD else {400, 505} if "version" in name else {400}
    assert status in allowed


@pytest.mark.parametrize(
    "line",
    [
        b"GET * HTTP/1.1",
        b"GET http://a:b@tool.test/x HTTP/1.1",
        b"GET ftp://tool.test/x HTTP/1.1",
        b"GET http:///x HTTP/1.1",
    ],
    ids=repr,
)
def test_a_target_that_means_nothing_is_refused(gateway: Gateway, upstream: Upstream, line: bytes) -> None:
    """The framing is sound, so the connection may live on."""
    with upstream.recording() as seen, gateway.connect() as peer:
        peer.send(line + b"\r\n" + HOST + b"\r\n")
        assert http1.read_response(peer).status in (400, 403, 404, 421)
    assert not seen.turns


def test_the_target_and_not_host_names_the_tool(gateway: Gateway, upstream: Upstream) -> None:
    """RFC 9112, 3.2.2: a proxy ignores Host beside an absolute target (or refuses); it never mixes both."""
    with upstream.recording() as seen, gateway.connect() as peer:
        peer.send(b"GET http://tool.test/x HTTP/1.1\r\nHost: evil.test\r\n\r\n")
        served = http1.read_response(peer).status == 200
    assert b"evil.test" not in seen.raw
    assert served == bool(seen.turns)
    with upstream.recording() as seen, gateway.connect() as peer:
        peer.send(b"GET http://evil.test/x HTTP/1.1\r\nHost: tool.test\r\n\r\n")
        assert http1.read_response(peer).status in (400, 403, 404, 421)
    assert not seen.turns


@pytest.mark.parametrize("name", CHUNKS)
def test_malformed_chunks_end_both_connections(gateway: Gateway, torn: Upstream, name: str) -> None:
    """A streamed body may be on its way when its mistake comes: then the tool must not see it end well."""
    complete: list[http1.Message] = []

    def script(peer: Peer) -> None:
        complete.append(http1.read_request(peer))
        peer.send(http1.response("200 OK", body=b"ok"))

    torn.drop_connections()
    with torn.playing(script) as seen, gateway.connect() as peer:
        peer.send(b"POST /torn/x HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n" + CHUNKS[name] + NEXT)
        answer = http1.read_response(peer)
        assert answer.status in (400, 413, 431)
        assert peer.at_end(), "the connection must be closed"
        eventually(lambda: not torn.open, what="the tool's connection is closed too")
    assert not complete, complete
    assert b"smuggled" not in seen.raw


@pytest.mark.parametrize("extension", [b"3;a=1", b"3;a", b'3;a="q;x"', b"003", b"3 "], ids=repr)
def test_harmless_chunk_extensions_do_not_reach_the_tool(
    gateway: Gateway, upstream: Upstream, extension: bytes
) -> None:
    """RFC 9112, 7.1.1: extensions are of the hop. Refusing them is fine, forwarding them is not."""
    with upstream.recording() as seen, gateway.connect() as peer:
        peer.send(b"POST /raw/x HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n" + extension + b"\r\nabc\r\n0\r\n\r\n")
        answer = http1.read_response(peer)
    if answer.status == 200:
        assert seen.requests[0].body == b"abc"
        assert extension + b"\r\n" not in seen.raw.partition(b"\r\n\r\n")[2]
    else:
        assert answer.status == 400


def test_a_refusal_is_a_problem_in_json(gateway: Gateway, upstream: Upstream) -> None:
    answer = _refused(gateway, upstream, FRAMING["CL then TE"])
    assert answer.all("content-type") == [b"application/problem+json"]
    problem = answer.json()
    assert problem["status"] == 400
    assert problem["reason"] == "bad_request"
    assert problem["detail"]


def test_a_body_that_looks_like_a_request_stays_a_body(gateway: Gateway, upstream: Upstream) -> None:
    with upstream.recording() as seen, gateway.connect() as peer:
        peer.send(http1.request("POST", "/raw/x", body=NEXT))
        assert http1.read_response(peer).status == 200
    assert len(seen.requests) == 1
    assert seen.requests[0].body == NEXT


@pytest.mark.parametrize("chunked", [False, True])
def test_the_body_of_a_refused_call_is_no_request(gateway: Gateway, upstream: Upstream, chunked: bool) -> None:
    """The connection either ends, or goes on behind the body."""
    framing = [("Transfer-Encoding", "chunked")] if chunked else [("Content-Length", str(len(NEXT)))]
    with upstream.recording() as seen, gateway.connect() as peer:
        peer.send(http1.request("POST", "/nobody/x", framing, http1.chunked(NEXT) if chunked else NEXT))
        assert http1.read_response(peer).status == 404
        try:
            peer.send(http1.request("GET", "/raw/honest"))
            followed = http1.read_response(peer).status == 200
        except (Ended, OSError):
            followed = False
    assert [message.target for message in seen.requests] == ([b"/honest"] if followed else [])


def test_a_body_without_framing_is_a_next_request_for_everyone(gateway: Gateway, upstream: Upstream) -> None:
    """CL.0: the tool must be told so little about a body as the gateway was."""
    with upstream.recording() as seen, gateway.connect() as peer:
        peer.send(http1.request("POST", "/raw/x") + http1.request("GET", "/raw/second"))
        assert [http1.read_response(peer).status for _ in range(2)] == [200, 200]
    assert [message.target for message in seen.requests] == [b"/x", b"/second"]


def test_a_mistake_after_a_good_request_is_refused_alone(gateway: Gateway, upstream: Upstream) -> None:
    with upstream.recording() as seen, gateway.connect() as peer:
        peer.send(http1.request("GET", "/raw/good") + FRAMING["CL then TE"])
        assert http1.read_response(peer).status == 200
        assert http1.read_response(peer).status == 400
        assert peer.at_end()
    assert len(seen.requests) == 1


def test_a_head_of_the_largest_size_and_count_passes(gateway: Gateway, upstream: Upstream) -> None:
    """128 fields and just under 64 KiB are inside the bounds."""
    fields = [(f"X-{number}", "y" * 480) for number in range(127)]
    with upstream.recording() as seen, gateway.connect() as peer:
        peer.send(http1.request("GET", "/raw/x", fields))
        assert http1.read_response(peer).status == 200
    assert len([name for name, _ in seen.requests[0].fields if name.startswith(b"X-")]) >= 127


@pytest.mark.parametrize("field", ["Content-Length: 4\r\n", "Transfer-Encoding: chunked\r\n"])
def test_a_truncated_body_never_ends_well(gateway: Gateway, torn: Upstream, field: str) -> None:
    """The client leaves in the middle; the tool must see that the body is not whole."""
    complete: list[http1.Message] = []
    with torn.playing(lambda peer: complete.append(http1.read_request(peer))) as seen:
        with gateway.connect() as peer:
            peer.send(b"POST /torn/x HTTP/1.1\r\n" + HOST + field.encode() + b"\r\n2\r\n")
            eventually(lambda: seen.turns, what="the tool has the head")
        eventually(lambda: seen.errors, what="the tool's connection has ended")
    assert isinstance(seen.errors[0], Ended)
    assert not complete


@pytest.mark.parametrize("trailer", [b"Content-Length: 50", b"Host: evil.test", b"Transfer-Encoding: chunked"])
def test_trailers_cannot_carry_what_belongs_into_the_head(gateway: Gateway, torn: Upstream, trailer: bytes) -> None:
    """RFC 9110, 6.5.1: refused or left out, never forwarded."""
    with torn.recording() as seen, gateway.connect() as peer:
        peer.send(http1.request("POST", "/torn/x", [("Transfer-Encoding", "chunked")]))
        peer.send(http1.chunked(b"abc", trailers=trailer + b"\r\n"))
        answer = http1.read_response(peer)
    assert answer.status == 400 or not seen.requests[-1].trailers
    assert not [message for message in seen.requests if message.trailers]
