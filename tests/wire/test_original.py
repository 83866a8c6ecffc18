"""Redirected connections: what becomes of their first bytes, whatever those are and however they are cut."""

from __future__ import annotations

import asyncio
import os
import socket
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.decide.shapes import Judgement
from gateway.model import Reason, Refusal
from gateway.wire import redirected
from gateway.wire.door import DENIED
from gateway.wire.listener import Limits, Listener
from gateway.wire.original import is_ours, original_destination, uid_of, written
from gateway.wire.redirected import Redirected
from gateway.wire.upstream import UpstreamConnection
from tests.builders import slot, tool
from tests.drive import Drive, Quota
from tests.wire.rig import Rig, Side, requests, status_of
from tests.wire.test_client_hello import extension, named
from tests.wire.test_client_hello import written as greeting

SAFE = tool("safe", ("https", "safe.example", 443), connect=True)
PLAIN = tool("plain", ("http", "plain.example", 80))
HELLO = greeting(named(b"safe.example"))
GET = b"GET /a HTTP/1.1\r\nHost: plain.example\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
BROKEN = b"\x15\x03\x03\x00\x02\x02\x50"


class Redirection(Rig):
    """An agent's connection that was for ``there``, and has been redirected."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, there: tuple[str, int] | None, *, ours=False, **of) -> None:
        of.setdefault("to", SAFE)
        super().__init__(drive=Drive(quotas=(Quota(slot()),), **of))
        monkeypatch.setattr(redirected, "original_destination", lambda _: there)
        monkeypatch.setattr(redirected, "is_ours", lambda *_: ours)
        self.agent = Side(Redirected(self.listener), self._sides)

        async def connect(within: float, *, raw: bool = False):
            side = Side(UpstreamConnection(self.pool, raw=raw), self._sides)
            self.tools.append(side)
            return side.protocol

        monkeypatch.setattr(self.pool, "connect", connect)

    async def hears(self, *pieces: bytes) -> None:
        """The agent says this, and what follows of it happens."""
        self.agent.says(*pieces)
        for _ in range(4):
            await asyncio.sleep(0)

    def refusal(self) -> tuple[Reason, str]:
        """Why the only call was refused, as recorded."""
        (trace,) = self.traces
        assert isinstance(trace.decision, Refusal)
        return trace.decision.reason, trace.decision.detail


def test_http_goes_to_the_tool_that_its_host_names_byte_by_byte(monkeypatch):
    rig = Redirection(monkeypatch, ("203.0.113.5", 80), to=PLAIN)
    rig.agent.says(*[GET[at : at + 1] for at in range(len(GET))])
    ((method, target, _, _),) = requests(rig.tools[0].heard())
    assert (method, target) == (b"GET", b"/a")
    rig.tools[0].says(OK)
    assert status_of(rig.agent.heard()) == 200
    rig.agent.says(GET.replace(b"/a", b"/again"))
    assert b"GET /again " in rig.tools[0].heard()


@pytest.mark.parametrize(
    ("asked", "to"),
    [
        (b"GET /safe/x HTTP/1.1\r\nHost: evil.example\r\n\r\n", 80),
        (b"GET /safe/x HTTP/1.0\r\n\r\n", 80),
        (b"GET / HTTP/1.1\r\nHost: safe.example\r\n\r\n", 8080),
        (b"GET http://evil.example/ HTTP/1.1\r\nHost: safe.example\r\n\r\n", 80),
        (b"CONNECT safe.example:443 HTTP/1.1\r\nHost: safe.example\r\n\r\n", 3128),
        (b"OPTIONS * HTTP/1.1\r\nHost: evil.example\r\n\r\n", 80),
    ],
)
def test_http_that_is_for_no_tool_is_refused_and_told_where_it_was_for(monkeypatch, asked, to):
    rig = Redirection(monkeypatch, ("203.0.113.5", to))
    rig.agent.says(asked)
    assert status_of(rig.agent.heard()) == 403
    reason, detail = rig.refusal()
    assert reason is Reason.UNKNOWN_TOOL
    assert f"on a connection to 203.0.113.5:{to}, is not the host" in detail


@pytest.mark.parametrize("cut", [1, 5, 9, 60, len(HELLO)])
async def test_tls_is_between_the_agent_and_the_tool(monkeypatch, cut):
    rig = Redirection(monkeypatch, ("203.0.113.5", 443))
    await rig.hears(HELLO[:cut])
    await rig.hears(HELLO[cut:] + b"and more")
    assert rig.tools[1].heard() == HELLO + b"and more"
    rig.tools[1].says(b"\x16\x03\x03 the tool's")
    assert rig.agent.heard() == b"\x16\x03\x03 the tool's"
    await rig.hears(b"again")
    assert rig.tools[1].heard() == b"again"
    rig.agent.ends()
    rig.tools[1].ends()
    (trace,) = rig.traces
    assert (trace.operation, trace.request.target, trace.outcome.fault) == ("CONNECT", "safe.example:443", "")
    assert rig.drive.world.settled


@pytest.mark.parametrize("hello", [greeting(named(b"evil.example")), greeting()])
async def test_tls_for_another_host_is_refused_by_an_alert(monkeypatch, hello):
    rig = Redirection(monkeypatch, ("203.0.113.5", 443))
    await rig.hears(hello)
    assert (rig.agent.heard(), rig.agent.transport.closing) == (DENIED, True)
    assert rig.refusal()[0] is Reason.UNKNOWN_TOOL
    assert len(rig.tools) == 1, "nobody was connected to"


async def test_tls_that_hides_a_name_reaches_nobody(monkeypatch):
    rig = Redirection(monkeypatch, ("203.0.113.5", 443))
    await rig.hears(greeting(named(b"safe.example"), extension(0xFE0D, b"\0")))
    assert rig.agent.heard() == DENIED
    assert rig.tools[1].heard() == b""
    assert rig.traces[0].outcome.reason is Reason.EGRESS_DENIED


async def test_a_host_that_is_an_address_is_known_by_where_the_connection_was_for(monkeypatch):
    rig = Redirection(monkeypatch, ("fd00::5", 443), to=tool("safe", ("https", "fd00::5", 443), connect=True))
    await rig.hears(greeting())
    assert rig.tools[1].heard() == greeting()


async def test_a_tool_is_known_by_what_tls_calls_it(monkeypatch):
    inner = tool("safe", ("https", "10.0.0.5", 443), connect=True, server_name="Safe.Example")
    rig = Redirection(monkeypatch, ("10.0.0.5", 443), to=inner)
    await rig.hears(HELLO)
    assert rig.tools[1].heard() == HELLO


async def test_a_rule_that_refuses_a_tunnel_is_told_by_an_alert(monkeypatch):
    denied = Judgement(Refusal(Reason.POLICY_DENIED, 403, "no"))
    rig = Redirection(monkeypatch, ("203.0.113.5", 443), check=denied)
    await rig.hears(HELLO)
    assert (rig.agent.heard(), rig.agent.transport.closing) == (DENIED, True)
    assert rig.refusal() == (Reason.POLICY_DENIED, "no")


async def test_a_tool_that_cannot_be_reached_is_another_alert(monkeypatch):
    rig = Redirection(monkeypatch, ("203.0.113.5", 443))

    async def connect(within: float, *, raw: bool = False):
        raise ConnectionRefusedError

    monkeypatch.setattr(rig.pool, "connect", connect)
    await rig.hears(HELLO)
    assert rig.agent.heard() == BROKEN
    assert rig.traces[0].outcome.status == 502


async def test_tls_that_is_malformed_is_refused_and_recorded(monkeypatch):
    rig = Redirection(monkeypatch, ("203.0.113.5", 443))
    await rig.hears(b"\x16\x03\x01\xff\xff")
    assert rig.agent.heard() == DENIED
    reason, detail = rig.refusal()
    assert (reason, detail.endswith("on a connection to 203.0.113.5:443")) == (Reason.BAD_REQUEST, True)
    await rig.hears(HELLO)
    assert (rig.agent.heard(), len(rig.traces)) == (b"", 1)


@pytest.mark.parametrize(
    "first", [b"SSH-2.0-OpenSSH_9.9\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0\0\0\x08\x04\xd2\x16\x2f"]
)
async def test_other_protocols_are_bad_requests(monkeypatch, first):
    rig = Redirection(monkeypatch, ("203.0.113.5", 22))
    await rig.hears(first)
    assert status_of(rig.agent.heard()) == 400


@pytest.mark.parametrize("first", [b"", HELLO[:20]])
def test_who_waits_for_the_server_to_speak_first_is_recorded_and_cut_off(monkeypatch, first):
    rig = Redirection(monkeypatch, ("203.0.113.5", 5432))
    if first:
        rig.agent.says(first)
    rig.agent.protocol.check(monotonic() + 9)
    assert (rig.traces, rig.agent.transport.aborted) == ([], False)
    for later in (11, 12):
        rig.agent.protocol.check(monotonic() + later)
    assert (rig.agent.heard(), rig.agent.transport.aborted) == (b"", True)
    assert rig.refusal() == (
        Reason.REQUEST_TIMEOUT,
        "neither HTTP nor TLS came on a connection to 203.0.113.5:5432",
    )


@pytest.mark.parametrize(("first", "told"), [(GET, b"HTTP/1.1 403 "), (HELLO, DENIED)])
async def test_who_connects_to_the_port_itself_is_refused(monkeypatch, first, told):
    rig = Redirection(monkeypatch, None)
    await rig.hears(first)
    assert rig.agent.heard().startswith(told)
    assert rig.refusal()[0] is Reason.UNKNOWN_TOOL
    assert len(rig.tools) == 1


@pytest.mark.parametrize(("first", "told"), [(GET, b"HTTP/1.1 403 "), (HELLO, DENIED)])
async def test_the_gateways_own_connections_are_not_served(monkeypatch, caplog, first, told):
    rig = Redirection(monkeypatch, ("203.0.113.5", 443), ours=True)
    await rig.hears(first)
    assert rig.agent.heard().startswith(told)
    assert "redirected to itself" in rig.refusal()[1]
    assert "except its user" in caplog.text


@given(
    st.lists(
        st.binary(min_size=1, max_size=60) | st.sampled_from([HELLO, HELLO[:50], GET, b"\x16\x03\x01", b"\r\n"]),
        max_size=6,
    ),
    st.integers(0, 3).map(lambda at: (None, ("203.0.113.5", 80), ("203.0.113.5", 443), ("fd00::5", 25))[at]),
)
def test_whatever_comes_reaches_a_tool_only_as_its_own(pieces, there):
    """No bytes break it, and what no host was named for is recorded as refused, at most once a request."""
    with pytest.MonkeyPatch.context() as patched:
        rig = Redirection(patched, there, to=PLAIN)
        for piece in pieces:
            if rig.agent.transport.closing:
                break
            rig.agent.says(piece)
        reached = requests(rig.tools[0].heard()) if there == ("203.0.113.5", 80) else rig.tools[0].heard()
        assert not reached or [target for _, target, _, _ in reached] == [b"/a"]
        for trace in rig.traces:
            assert isinstance(trace.decision, Refusal)
            assert trace.decision.reason is not Reason.INTERNAL_ERROR


async def test_the_port_is_listened_on_by_both_families_and_takes_nobody_who_comes_straight():
    drive = Drive(to=PLAIN)
    listener = Listener(drive.pipeline, Limits())
    await listener.start("127.0.0.1", 0)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    await listener.start_transparent(port)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET)
    assert status_of(await reader.read()) == 403
    writer.close()
    with pytest.raises(OSError, match="in use"):
        await listener.start_transparent(port)
    await listener.drain()
    assert [trace.decision.detail for trace in drive.world.traces] == [
        "this port takes connections that were redirected to it, and this one came straight"
    ]
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


def test_a_connection_that_nothing_has_redirected_has_no_original_destination():
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert original_destination(accepted) is None


@pytest.mark.skipif(not hasattr(socket, "AF_NETLINK"), reason="only Linux tells whose a connection is")
@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_kernel_tells_whose_a_connection_is(family, address):
    with socket.socket(family) as listening:
        try:
            listening.bind((address, 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        listening.listen()
        there = listening.getsockname()[:2]
        with socket.create_connection(there) as connection:
            here = connection.getsockname()[:2]
            assert uid_of(here, there) == os.getuid()
            assert is_ours(here, there)
            assert uid_of((address, 1), there) is None


def test_places_are_written_as_urls_have_them():
    assert written(("10.0.0.1", 80)) == "10.0.0.1:80"
    assert written(("fd00::1", 443)) == "[fd00::1]:443"
