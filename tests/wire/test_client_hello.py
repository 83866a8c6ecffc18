"""The first message of TLS: read as OpenSSL writes it, however it is cut, and never guessed at."""

from __future__ import annotations

import ssl
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.egress import Egress
from gateway.wire.client_hello import MOST_RECORDS, ClientHello, client_hello
from gateway.wire.door import Door, door_of
from tests.builders import tool


def openssl(host: str | None, *, least: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2) -> bytes:
    """A ClientHello as Python's ssl writes it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.minimum_version = context.maximum_version = least
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=host).do_handshake()
    return outgoing.read()


def vector(width: int, content: bytes) -> bytes:
    return len(content).to_bytes(width) + content


def extension(kind: int, content: bytes) -> bytes:
    return kind.to_bytes(2) + vector(2, content)


def named(*names: bytes, kind: int = 0) -> bytes:
    return extension(0, vector(2, b"".join([bytes([kind]) + vector(2, name) for name in names])))


def written(*extensions: bytes, behind: bytes = b"") -> bytes:
    """A ClientHello with these extensions, in one record."""
    body = b"\x03\x03" + bytes(32) + vector(1, b"s" * 32) + vector(2, b"\x13\x01") + vector(1, b"\x00")
    body += vector(2, b"".join(extensions)) if extensions else b""
    return record(b"\x01" + vector(3, body + behind))


def record(fragment: bytes) -> bytes:
    return b"\x16\x03\x01" + vector(2, fragment)


GOOD = written(extension(43, b"\x02\x03\x04"), named(b"Api.Example.com"))


@pytest.mark.parametrize("least", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_name_is_read_as_openssl_writes_it(least: ssl.TLSVersion) -> None:
    assert client_hello(openssl("api.example.com", least=least)) == ClientHello("api.example.com", encrypted=False)
    assert client_hello(openssl(None, least=least)) == ClientHello("", encrypted=False)
    assert client_hello(openssl("10.0.0.1", least=least)) == ClientHello("", encrypted=False)


def test_it_is_read_from_the_first_byte_on_which_it_is_whole() -> None:
    hello = openssl("api.example.com")
    for data in (hello, GOOD):
        assert [client_hello(data[:end]) for end in range(len(data))] == [None] * len(data)
        assert (
            client_hello(data + b"and what follows" * 10_000)
            == client_hello(data)
            == ClientHello("api.example.com", False)
        )


@given(st.lists(st.integers(1, len(GOOD) - 6), max_size=MOST_RECORDS - 1, unique=True))
def test_it_may_be_cut_into_records_anywhere(cuts: list[int]) -> None:
    message, places = GOOD[5:], [0, *sorted(cuts), len(GOOD)]
    data = b"".join([record(message[a:b]) for a, b in pairwise(places)])
    assert client_hello(data) == ClientHello("api.example.com", encrypted=False)


@pytest.mark.parametrize("kind", [0xFE0D, 0xFFCE])
def test_one_that_may_hide_another_is_told(kind: int) -> None:
    assert client_hello(written(named(b"a.example"), extension(kind, b"x" * 8))) == ClientHello("a.example", True)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"SSH-2.0-x",
        b"\x16\x02\x01",
        b"\x80\x2e\x01\x03\x01",  # as SSL 2 began
        b"\x15\x03\x01\x00\x02\x02\x28",
        record(b""),
        record(b"\x02" + vector(3, b"x")),
        b"\x16\x03\x01\xff\xff",
        GOOD[:5] + b"\x01\xff\xff\xff" + GOOD[9:],
        record(GOOD[5:20]) + b"\x14\x03\x03\x00\x01\x01" + record(GOOD[20:]),
        b"".join([record(GOOD[at : at + 1]) for at in range(5, 5 + MOST_RECORDS + 1)]),
        written(named(b"a.example"), named(b"b.example")),
        written(named(b"a.example", b"b.example")),
        written(named(b"a.example", kind=1)),
        written(named(b"")),
        written(named("ä.example".encode())),
        written(extension(0, b"")),
        written(extension(0, b"\x00\x00")),
        written(extension(0, vector(2, b"\x00" + vector(2, b"a.example")) + b"x")),
        written(named(b"a.example"), behind=b"x"),
        written(named(b"a.example")[:-1]),
        record(b"\x01" + vector(3, b"\x03\x03")),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"TLS|ClientHello"):
        client_hello(data)


def test_what_is_kept_is_bounded() -> None:
    longest = record(b"\x01" + vector(3, b"x" * 30_000)[:16_000])
    assert client_hello(longest) is None
    assert client_hello(longest + record(b"x" * 13_000)) is None
    with pytest.raises(ValueError, match="too long"):
        client_hello(record(b"\x01" + (40_000).to_bytes(3)))


@given(st.binary(max_size=200), st.integers(0, len(GOOD)))
def test_nothing_breaks_it(noise: bytes, at: int) -> None:
    data = GOOD[:at] + noise + GOOD[at + len(noise) :]
    try:
        found = client_hello(data)
    except ValueError:
        return
    assert found is None or isinstance(found, ClientHello)


def door(url: str = "api.example.com", tunnels: str = "named", server_name: str | None = None) -> Door:
    made = door_of(tool("api", ("https", url, 443), egress=Egress(tunnels=tunnels), server_name=server_name))
    assert made is not None
    return made


def test_a_door_opens_once_for_all_that_has_come_when_the_host_is_named() -> None:
    hello, one = openssl("API.example.com"), door()
    assert [one.admit(hello[at : at + 1]) for at in range(len(hello) - 1)] == [b""] * (len(hello) - 1)
    assert one.admit(hello[-1:] + b"early") == hello + b"early"


@pytest.mark.parametrize("host", ["evil.example", "example.com", "api.example.com.evil.example", None])
def test_a_door_stays_shut_for_other_hosts_and_for_none(host: str | None) -> None:
    with pytest.raises(ValueError, match="not the one that CONNECT asked for"):
        door().admit(openssl(host))


def test_an_address_is_not_named_and_may_not_be_another_host() -> None:
    assert door("10.0.0.1").admit(openssl("10.0.0.1"))
    with pytest.raises(ValueError, match=r"names 'evil\.example'"):
        door("10.0.0.1").admit(openssl("evil.example"))


def test_the_name_by_which_the_tool_is_verified_will_do() -> None:
    assert door("10.0.0.1", server_name="Api.example.com").admit(openssl("api.example.com"))


def test_what_may_hide_another_host_passes_only_where_that_is_said() -> None:
    hello = written(named(b"api.example.com"), extension(0xFE0D, b"x"))
    assert door(tunnels="ech").admit(hello) == hello
    with pytest.raises(ValueError, match="hide"):
        door().admit(hello)
    with pytest.raises(ValueError, match="names no host"):
        door(tunnels="ech").admit(written(extension(0xFE0D, b"x")))


def test_bytes_of_any_kind_need_no_door() -> None:
    assert door_of(tool("api", ("http", "api.example.com", 80), egress=Egress(tunnels="any"))) is None
