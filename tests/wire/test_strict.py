"""What llhttp lets pass and we do not; and methods of one's own."""

from __future__ import annotations

import pytest

from gateway.wire.strict import LONGEST_METHOD, METHODS, complaint, own_method


def wrong(version="1.1", method="GET", host: bytes | None = b"a.example", codings: bytes | None = None, repeated=False):
    return complaint(version, method, host, codings, repeated=repeated)


@pytest.mark.parametrize(
    "host",
    [b"a.example", b"a.example:80", b"A-1.b_c", b"127.0.0.1:8080", b"[::1]", b"[::1]:443", b"xn--caf-dma.example"],
)
def test_hosts_are_taken(host):
    assert wrong(host=host) == ""


@pytest.mark.parametrize(
    "host",
    [
        b"a b",
        b"a/b",
        b"a@b",
        b"a:b",
        b"a:80:90",
        b"a:123456",
        b"[::1",
        b"::1",
        b"a\x00",
        b'a"',
        b"a<",
        b"\xe9",
        b"a?b",
        b"a#b",
        b"a\\b",
        b"http://a",
        b"a, b",
        b"a\n",
        b"a:80\n",
    ],
)
def test_what_is_no_host_is_refused(host):
    assert "not a host" in wrong(host=host)


def test_there_must_be_one_host_in_1_1():
    assert "no Host" in wrong(host=None)
    assert wrong(host=None, version="1.0") == ""
    assert "more than once" in wrong(repeated=True)


@pytest.mark.parametrize("version", ["0.9", "1.2", "2.0", "3.0"])
def test_other_versions_are_not_spoken(version):
    assert version in wrong(version=version)


@pytest.mark.parametrize("codings", [b"chunked", b"Chunked", b" chunked "])
def test_chunked_is_the_coding_of_requests(codings):
    assert wrong(codings=codings) == ""


@pytest.mark.parametrize(
    "codings", [b"gzip, chunked", b"chunked, chunked", b"identity", b"", b"xchunked", b"chunked;q=1"]
)
def test_and_no_other(codings):
    assert "only transfer coding" in wrong(codings=codings)


def test_where_a_coding_has_no_place():
    assert "1.0" in wrong(codings=b"chunked", version="1.0")
    assert "CONNECT" in wrong(codings=b"chunked", method="CONNECT")


@pytest.mark.parametrize("line", [b"FROB / HTTP/1.1", b"BREW /x", b"X-Y_Z! /", b"A /", b"x" * LONGEST_METHOD + b" /"])
def test_a_token_that_llhttp_does_not_know_is_a_method_of_ones_own(line):
    assert own_method(line) == line.split()[0]


@pytest.mark.parametrize(
    "line",
    [
        b"get / HTTP/1.1",
        b"Post / HTTP/1.1",
        b"PRI * HTTP/2.0",
        b"",
        b" / HTTP/1.1",
        b"FROB",
        b"FR\x00OB / HTTP/1.1",
        b"FR(B / HTTP/1.1",
        b"\r\nFROB / HTTP/1.1",
        b"FROB\t/ HTTP/1.1",
        b"x" * (LONGEST_METHOD + 1) + b" /",
        b"\xe9 / HTTP/1.1",
    ],
)
def test_what_is_a_mistake_is_left_to_llhttp(line):
    assert own_method(line) is None


@pytest.mark.parametrize("method", sorted(METHODS))
def test_methods_that_llhttp_knows_are_left_to_it(method):
    assert own_method(method + b" / HTTP/1.1") is None
