"""The head of a tool's answer on its way to the agent."""

from __future__ import annotations

import pytest

from gateway.wire.answer import ends_with_connection, head_of


def head_lines(*fields: tuple[bytes, bytes], new_body: bool = False) -> list[bytes]:
    made = head_of(200, b"OK", fields, lambda location: b"<" + location + b">", new_body=new_body)
    return b"".join(made.parts).split(b"\r\n")[1:-2]


def test_a_new_body_drops_what_speaks_of_the_old_bytes():
    stale = [b"Content-Length", b"ETag", b"Content-MD5", b"Digest", b"Content-Digest", b"Repr-Digest", b"Accept-Ranges"]
    fields = [(name, b"1") for name in stale]
    kept = (b"Content-Type", b"a/b"), (b"Last-Modified", b"x"), (b"X-ETag", b"y")
    assert head_lines(*fields, *kept, new_body=True) == [b"Content-Type: a/b", b"Last-Modified: x", b"X-ETag: y"]
    assert head_lines(*fields) == [name + b": 1" for name in stale]


def test_the_locations_of_an_answer_are_mapped_and_their_spelling_kept():
    assert head_lines((b"LOCATION", b"/x"), (b"Content-Location", b"/x")) == [
        b"LOCATION: </x>",
        b"Content-Location: /x",
    ]


@pytest.mark.parametrize(
    ("fields", "ends"),
    [
        ([], True),
        ([(b"CONTENT-Length", b"0")], False),
        ([(b"Transfer-encoding", b" Chunked")], False),
        ([(b"X-Content-Length", b"0")], True),
    ],
)
def test_which_bodies_end_with_the_connection(fields, ends):
    assert ends_with_connection(fields) is ends
