"""Whatever arrives, what leaves is HTTP: random damage on both sides of the real process.

TOOLGATE_FUZZ_EXAMPLES sets the number of examples of each test.
"""

from __future__ import annotations

import itertools
import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.e2e.harness import http1
from tests.e2e.harness.gateway import Gateway, call
from tests.e2e.harness.net import Ended, Peer
from tests.e2e.harness.upstream import Seen, Upstream

from .grammar import answers, damaged, requests

wire = settings(
    max_examples=int(os.environ.get("TOOLGATE_FUZZ_EXAMPLES", "80")),
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
FROM_TOOL = "X-From-Tool"


def _exchange(gateway: Gateway, upstream: Upstream, pieces: list[bytes]) -> tuple[list[http1.Message], Seen]:
    """Send, stop talking, and read answers to the end; every answer must be well-formed."""
    got = []
    with upstream.recording(http1.response("200 OK", [(FROM_TOOL, "1")], b"ok")) as seen, gateway.connect() as peer:
        try:
            for piece in pieces:
                peer.send(piece)
            peer.half_close()
        except OSError:  # the gateway may close before everything was said
            pass
        try:
            while peer.wait_for_bytes():
                got.append(http1.read_response(peer))
        except Ended as end:
            assert not end.partial or end.partial.startswith(b"HTTP/1.1 "), end.partial
    return got, seen


def _sound(got: list[http1.Message], seen: Seen) -> None:
    """What holds after any request whatsoever."""
    assert not [error for error in seen.errors if not isinstance(error, (Ended, OSError))], seen.errors
    for answer in got:
        assert answer.status != 500, answer.body
        if not answer.all(FROM_TOOL):
            assert 400 <= answer.status < 600
            assert answer.json()["reason"]
    assert len([answer for answer in got if answer.all(FROM_TOOL)]) <= len(seen.requests)
    for message in seen.requests:
        assert len(message.all("host")) == 1
        assert not (message.all("content-length") and message.all("transfer-encoding"))
        assert message.all("via")


@wire
@given(data=damaged(requests()))
def test_any_request_gives_sound_answers_and_sound_calls(gateway: Gateway, upstream: Upstream, data: bytes) -> None:
    got, seen = _exchange(gateway, upstream, [data])
    _sound(got, seen)


@wire
@given(data=damaged(requests()), cuts=st.lists(st.integers(0, 400), max_size=6))
def test_how_a_request_is_cut_does_not_matter(
    gateway: Gateway, upstream: Upstream, data: bytes, cuts: list[int]
) -> None:
    """The same bytes in other segments mean the same."""
    whole, seen_whole = _exchange(gateway, upstream, [data])
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    cut, seen_cut = _exchange(gateway, upstream, pieces)
    assert [answer.status for answer in cut] == [answer.status for answer in whole]
    told = [(m.line, m.body, m.trailers) for m in seen_whole.requests]
    assert [(m.line, m.body, m.trailers) for m in seen_cut.requests] == told


@wire
@given(data=st.binary(max_size=300))
def test_noise_is_refused(gateway: Gateway, upstream: Upstream, data: bytes) -> None:
    got, seen = _exchange(gateway, upstream, [data + b"\r\n\r\n"])
    _sound(got, seen)
    assert not seen.turns


@wire
@given(data=damaged(answers()))
def test_any_answer_of_a_tool_is_whole_or_visibly_not(gateway: Gateway, upstream: Upstream, data: bytes) -> None:
    """And the next call gets its own answer."""

    def script(peer: Peer) -> None:
        http1.read_request(peer)
        peer.send(data)
        peer.half_close()
        peer.read_to_end()
        peer.close()

    with upstream.playing(script), gateway.connect() as peer:
        peer.send(http1.request("GET", "/raw/x"))
        try:
            answer = http1.read_response(peer)
        except Ended:
            pass
        else:
            assert answer.status != 500
            assert answer.all("x-toolgate-call")
    with upstream.recording(http1.response("200 OK", body=b"mine")):
        assert call(gateway, "GET", "/raw/next").body == b"mine"
