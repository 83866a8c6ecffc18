"""Bodies on their way: what a tool gets of an agent's, and an agent of a tool's."""

from __future__ import annotations

from typing import Any

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.effects import ReadBody
from gateway.errors import UpstreamError
from gateway.execute.forward import Forwarder
from gateway.wire.answer import Head
from gateway.wire.download import Download
from gateway.wire.outbox import Outbox, Outgoing
from gateway.wire.upload import Upload
from tests.builders import tool
from tests.wire.rig import Transport

PIECES = st.lists(st.binary(min_size=1, max_size=40_000), max_size=5)
FORWARDER = Forwarder(tool("bank"))


def outgoing() -> tuple[Any, Transport]:
    transport = Transport()
    return Outgoing(transport, Outbox(lambda flush: flush())), transport  # type: ignore[arg-type]


def body_in(written: bytes) -> bytes:
    """The body of the one request in ``written``, by an independent parser."""
    server, body = h11.Connection(h11.SERVER), b""
    server.receive_data(written)
    assert isinstance(server.next_event(), h11.Request)
    while isinstance(event := server.next_event(), h11.Data):
        body += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage), event
    assert server.trailing_data[0] == b""
    return body


@given(PIECES, PIECES, st.booleans())
def test_what_was_kept_and_what_came_later_reach_the_tool_as_one_body(
    kept: list[bytes], later: list[bytes], chunked: bool
) -> None:
    size = sum(map(len, kept + later))
    upload = Upload(-1 if chunked else size, False)
    to, written = outgoing()
    upload.parts, upload.complete = list(kept), not later
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
    upload.begin(to, b"POST / HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n", FORWARDER)
    for piece in later:
        upload.pass_on(to, piece)
    if later:
        upload.end(to, FORWARDER)
    assert body_in(bytes(written.out)) == b"".join(kept + later)


@pytest.mark.parametrize(("length", "received"), [(11, 0), (-1, 11)])
def test_a_body_is_over_a_limit_by_what_it_says_or_by_what_came(length: int, received: int) -> None:
    upload = Upload(length, False)
    upload.received = received
    refused = upload.too_large(ReadBody(10, False))
    assert refused is not None
    assert refused.status == 413
    assert not upload.is_to_come(10)
    assert upload.too_large(ReadBody(10, True)) is None
    assert upload.too_large(ReadBody(11, False)) is None


def test_a_body_that_was_replaced_is_no_longer_in_chunks() -> None:
    upload = Upload(-1, False)
    upload.parts, upload.complete = [b"old"], True
    upload.replace(b"new")
    to, written = outgoing()
    upload.begin(to, b"HEAD ", FORWARDER)
    assert bytes(written.out) == b"HEAD new"


@given(PIECES, st.booleans(), st.booleans())
def test_an_agent_gets_the_bytes_of_the_tool_and_can_tell_their_end_or_is_told_that_it_cannot(
    pieces: list[bytes], has_length: bool, chunks: bool
) -> None:
    to, written = outgoing()
    download = Download(to)
    body = b"".join(pieces)
    head = Head([b"HTTP/1.1 200 OK\r\n"], has_length, False, not has_length)
    if has_length:
        head.parts.append(b"Content-Length: %d\r\n" % len(body))
    download.frame(head, body=True, bodiless=False, chunks=chunks)
    assert download.framed == (has_length or chunks)
    download.begin([*head.parts, b"\r\n"])
    for piece in pieces:
        download.pass_on(piece)
        download.flush()
    download.end(())
    client, read = h11.Connection(h11.CLIENT), b""
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(bytes(written.out))
    if not download.framed:
        client.receive_data(b"")
    assert isinstance(client.next_event(), h11.Response)
    while isinstance(event := client.next_event(), h11.Data):
        read += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage), event
    assert read == body
    assert download.sent == len(body)


def test_what_is_gathered_is_not_passed_on_and_is_bounded() -> None:
    to, written = outgoing()
    download = Download(to)
    download.collect(5)
    download.gather(b"abc")
    download.flush()
    assert bytes(written.out) == b""
    assert download.is_as_it_came(b"abc")
    assert not download.is_as_it_came(b"abd")
    with pytest.raises(UpstreamError, match="over 5 bytes"):
        download.gather(b"def")
