"""The pool of connections to a tool, and what outlives what."""

from __future__ import annotations

import asyncio
import socket
from time import monotonic

import pytest

from gateway.errors import UpstreamError
from gateway.model import Reason
from gateway.wire.pool import Pool, Pools
from gateway.wire.upstream import UpstreamConnection
from tests.builders import tool
from tests.wire.rig import BANK, Side


def made(pool: Pool) -> UpstreamConnection:
    return Side(UpstreamConnection(pool), []).protocol


def filled(count: int, **settings) -> tuple[Pool, list[UpstreamConnection]]:
    pool = Pool(BANK, **settings)
    connections = [made(pool) for _ in range(count)]
    for connection in connections:
        pool.release(connection)
    return pool, connections


def test_the_last_one_in_is_the_first_one_out():
    pool, (first, second, third) = filled(3)
    assert [pool.pop() for _ in range(4)] == [third, second, first, None]
    assert third.reused


def test_a_connection_that_was_lost_or_is_closing_is_passed_over():
    pool, (first, second, third) = filled(3)
    third.connection_lost(None)
    second.transport.close()
    assert pool.pop() is first


def test_one_with_something_to_read_is_passed_over(monkeypatch):
    """The tool has closed it, or talks without being asked: either way it is not fit for a call."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        pool, (fit, talks) = filled(2)
        monkeypatch.setattr(talks.transport, "get_extra_info", lambda name: ours)
        talks.idle_since = fit.idle_since = monotonic() - 1
        theirs.send(b"x")
        assert pool.pop() is fit
        assert talks.transport.is_closing()


def test_one_whose_tool_has_hung_up_is_passed_over(monkeypatch):
    ours, theirs = socket.socketpair()
    with ours:
        pool, (gone,) = filled(1)
        monkeypatch.setattr(gone.transport, "get_extra_info", lambda name: ours)
        gone.idle_since = monotonic() - 1
        theirs.close()
        assert pool.pop() is None


def test_idle_connections_are_bounded_in_number_and_time():
    pool, connections = filled(3, max_idle=2, idle_timeout=30)
    assert [connection.transport.is_closing() for connection in connections] == [False, False, True]
    pool.sweep(monotonic() + 29)
    assert len(pool.idle) == 2
    pool.sweep(monotonic() + 31)
    assert pool.idle == []
    assert all(connection.transport.is_closing() for connection in connections)


def test_the_pool_counts_what_is_open():
    pool, (first, _) = filled(2)
    assert pool.open == 2
    first.connection_lost(None)
    assert pool.open == 1


def test_closing_closes_what_is_idle():
    pool, connections = filled(2)
    pool.close()
    assert all(connection.transport.is_closing() for connection in connections)
    assert pool.pop() is None


def test_tools_share_a_pool_where_they_share_origin_and_verification():
    pools = Pools()
    one = tool("one", ("http", "127.0.0.1", 7000))
    assert pools.of(one) is pools.of(tool("two", ("http", "127.0.0.1", 7000), base_path="/x"))
    assert pools.of(one) is not pools.of(tool("one", ("http", "127.0.0.1", 7001)))
    assert pools.of(one) is not pools.of(tool("one", ("http", "127.0.0.1", 7000), server_name="other"))
    assert pools.open() == 0


def test_certificates_of_no_use_are_an_error_of_its_own():
    with pytest.raises(OSError):
        Pools().of(tool(ca_pem="not a certificate"))


def test_connections_that_no_tool_wants_any_more_are_closed():
    pools = Pools()
    old, new = tool("one", ("http", "127.0.0.1", 7000)), tool("one", ("http", "127.0.0.1", 7001))
    left, kept = pools.of(old), pools.of(new)
    pools.keep([new])
    assert pools.of(new) is kept
    assert pools.of(old) is not left
    assert left.max_idle == 0


def test_tls_is_always_verified():
    context = Pools().of(tool()).ssl
    assert context is not None
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"


async def test_a_port_where_nobody_listens_is_502():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(UpstreamError) as error:
            await Pool(tool("x", ("http", "127.0.0.1", port))).connect(5)
    assert (error.value.status, error.value.reason) == (502, Reason.UPSTREAM_UNREACHABLE)
    assert f"127.0.0.1:{port}" in error.value.detail


async def test_a_tool_that_does_not_take_the_connection_in_time_is_504():
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(UpstreamError) as error:  # the TCP connection stands, the TLS handshake never ends
        await Pool(tool("x", ("https", "127.0.0.1", port))).connect(0.05)
    assert (error.value.status, error.value.reason) == (504, Reason.UPSTREAM_TIMEOUT)
    server.close()
    await server.wait_closed()


async def test_a_server_without_tls_behind_https_is_502():
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(UpstreamError) as error:
        await Pool(tool("x", ("https", "127.0.0.1", port))).connect(5)
    assert (error.value.status, error.value.reason) == (502, Reason.UPSTREAM_UNREACHABLE)
    server.close()
    await server.wait_closed()
