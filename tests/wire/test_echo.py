"""What a tool repeats of its credential is masked, however it comes in pieces, and nothing else changes."""

from __future__ import annotations

import base64
from itertools import pairwise
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Lent
from gateway.wire.echo import Echo, EchoStream, echo_of
from tests.builders import tool

SECRET = "canary/Secret+42"
FORMS = [
    SECRET.encode(),
    quote(SECRET, safe="").encode(),
    base64.b64encode(SECRET.encode()),
    SECRET.encode().hex().encode(),
]


def through(stream: EchoStream, pieces: list[bytes]) -> bytes:
    return b"".join([stream.feed(piece) for piece in pieces]) + stream.end()


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(ends)]


PARTS = st.lists(st.one_of(st.sampled_from(FORMS), st.binary(max_size=8), st.sampled_from([b"canary", b"can", b"c"])))


@given(PARTS, st.lists(st.integers(0, 500), max_size=12))
def test_pieces_make_no_difference(parts: list[bytes], cuts: list[int]) -> None:
    data, echo = b"|".join(parts), Echo((SECRET,))
    shown = through(EchoStream(echo), pieces_of(data, cuts))
    assert len(shown) == len(data)
    assert not any(form in shown for form in FORMS)
    assert shown == echo.masked(data)
    if not any(form in data for form in FORMS):
        assert shown == data


@given(st.binary(max_size=300), st.lists(st.integers(0, 500), max_size=8))
def test_what_holds_no_secret_passes_as_it_is(data: bytes, cuts: list[int]) -> None:
    assert through(EchoStream(Echo(("a-secret-of-some-length",))), pieces_of(data, cuts)) == data


def test_the_end_of_an_event_is_not_held_back() -> None:
    stream = EchoStream(Echo((SECRET,)))
    assert stream.feed(b"data: 1\n\n") == b"data: 1\n\n"
    assert stream.feed(b"data: can") == b"data: "
    assert stream.feed(b"cel\n\n") == b"cancel\n\n"


def test_fixed_and_lent_secrets_are_both_masked_and_schemes_are_not() -> None:
    to = tool("t", inject=((b"Authorization", b"Bearer fixed-secret"),), masks_echo=True)
    stream = echo_of(to, Lent(((b"X", b"lent-secret"),), (), ("lent-secret",)))
    shown = stream.whole(b"Bearer fixed-secret, lent-secret, Bearer other")
    assert shown == b"Bearer " + b"*" * 12 + b", " + b"*" * 11 + b", Bearer other"
    assert echo_of(to, None).whole(b"lent-secret") == b"lent-secret"
