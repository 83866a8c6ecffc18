"""WebSocket and CONNECT: bytes both ways after the decision, and two ends that come one by one."""

from __future__ import annotations

import asyncio

import pytest

from gateway.decide.shapes import Judgement
from gateway.model import Reason, Refusal
from gateway.wire.door import DENIED
from gateway.wire.upstream import UpstreamConnection
from tests.builders import slot, tool
from tests.drive import Drive, Quota
from tests.wire.rig import BANK, Rig, Side, answers, requests, status_of, untimed
from tests.wire.test_client_hello import named, written

ASK = (
    b"GET /bank/ws HTTP/1.1\r\nHost: gate\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: k\r\n\r\n"
)
AGREED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: a\r\n\r\n"
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def opened() -> Rig:
    """A rig with a tunnel under way, and its first bytes taken."""
    rig = Rig()
    rig.agent.says(ASK)
    rig.tools[0].heard()
    rig.tools[0].says(AGREED)
    assert status_of(rig.agent.heard()) == 101
    return rig


def test_an_upgrade_is_asked_for_decided_and_agreed():
    rig = Rig()
    rig.agent.says(ASK)
    ((_, target, fields, _),) = requests(rig.tools[0].heard())
    assert target == b"/ws"
    assert {(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"), (b"Sec-WebSocket-Key", b"k")} <= set(fields)
    rig.tools[0].says(AGREED)
    head = rig.agent.heard()
    assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in head
    assert b"Sec-WebSocket-Accept: a\r\n" in head


def test_bytes_go_both_ways_untouched():
    rig = opened()
    rig.agent.says(b"\x81\x02hi", b"GET / HTTP/1.1\r\n\r\n")
    assert rig.tools[0].heard() == b"\x81\x02hiGET / HTTP/1.1\r\n\r\n"
    rig.tools[0].says(b"\x00\xff", b"HTTP/1.1 200 OK\r\n\r\n")
    assert rig.agent.heard() == b"\x00\xffHTTP/1.1 200 OK\r\n\r\n"


def test_what_either_side_sent_ahead_is_not_lost():
    rig = Rig()
    rig.agent.says(ASK + b"early", b"bird")
    assert not rig.tools[0].heard().endswith(b"early")
    rig.tools[0].says(AGREED + b"worm")
    assert rig.agent.heard().endswith(b"\r\n\r\nworm")
    assert rig.tools[0].heard() == b"earlybird"


def test_the_agreement_may_be_cut_anywhere():
    for at in range(1, len(AGREED) + 4):
        rig = Rig()
        rig.agent.says(ASK)
        rig.tools[0].says((AGREED + b"worm")[:at], (AGREED + b"worm")[at:])
        head, _, rest = rig.agent.heard().partition(b"\r\n\r\n")
        assert status_of(head) == 101, at
        assert rest == b"worm", at


@pytest.mark.parametrize("agent_first", [True, False])
def test_one_end_is_passed_on_and_the_other_side_goes_on_talking(agent_first):
    rig = opened()
    first, other = (rig.agent, rig.tools[0]) if agent_first else (rig.tools[0], rig.agent)
    first.says(b"last words")
    first.ends()
    assert other.heard() == b"last words"
    assert other.transport.eof
    assert not first.transport.closing
    other.says(b"still here")
    assert first.heard() == b"still here"
    assert rig.traces == []
    other.ends()
    assert first.transport.closing
    assert other.transport.closing
    (trace,) = rig.traces
    assert (trace.outcome.status, trace.outcome.fault) == (101, "")
    assert {trace.outcome.received, trace.outcome.sent} == {len(b"last words"), len(b"still here")}


@pytest.mark.parametrize("agent_first", [True, False])
def test_a_side_that_is_gone_takes_the_other_with_it_and_is_recorded_once(agent_first):
    rig = opened()
    first, other = (rig.agent, rig.tools[0]) if agent_first else (rig.tools[0], rig.agent)
    first.goes(ConnectionResetError())
    assert other.transport.closing
    other.goes()
    assert len(rig.traces) == 1


@pytest.mark.parametrize("agent_slow", [True, False])
def test_a_slow_side_slows_the_other(agent_slow):
    rig = opened()
    slow, other = (rig.agent, rig.tools[0]) if agent_slow else (rig.tools[0], rig.agent)
    slow.protocol.pause_writing()
    assert not other.transport.reading
    slow.protocol.resume_writing()
    assert other.transport.reading


def test_a_tool_that_declines_answers_and_http_goes_on():
    rig = Rig(tools=2)
    rig.agent.says(ASK)
    rig.tool.says(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n")
    assert status_of(rig.agent.heard()) == 426
    rig.agent.says(b"GET /bank/a HTTP/1.1\r\nHost: gate\r\n\r\n")
    rig.tool.says(OK)
    assert answers(rig.agent.heard(), ["GET"])[0][2] == b"hi"


def test_a_refused_upgrade_never_reaches_the_tool_and_what_follows_is_a_request_again():
    refuse = Judgement(Refusal(Reason.POLICY_DENIED, 403, "no"))
    rig = Rig(drive=Drive(check=refuse, to=BANK, quotas=(Quota(),)))
    rig.agent.says(ASK + b"GET /bank/a HTTP/1.1\r\nHost: gate\r\n\r\n")
    assert [status for status, _, _ in answers(rig.agent.heard(), ["GET", "GET"])] == [403, 403]
    assert rig.tools[0].heard() == b""


@pytest.mark.parametrize(
    ("upgrade", "allowed"),
    [
        (b"h2c", ("*",)),
        (b"H2C", ("*",)),
        (b"websocket, h2c", ("*",)),
        (b"TLS/1.0", ("*",)),
        (b"websocket", ()),
        (b"odd", ("websocket",)),
    ],
)
def test_an_upgrade_that_is_not_allowed_is_dropped_and_the_rest_is_a_plain_call(upgrade, allowed):
    """h2c would let requests through that no policy sees."""
    some = tool("bank", ("http", "127.0.0.1", 7000), upgrades=allowed)
    rig = Rig(drive=Drive(to=some, quotas=(Quota(),)))
    rig.agent.says(ASK.replace(b"websocket\r\n", upgrade + b"\r\n"))
    ((_, _, fields, _),) = requests(rig.tool.heard())
    assert b"upgrade" not in {name.lower() for name, _ in fields}
    rig.tool.says(OK)
    assert answers(rig.agent.heard(), ["GET"])[0][2] == b"hi"


def test_an_upgrade_with_a_body_is_a_plain_request():
    rig = Rig()
    raw = ASK.replace(b"GET", b"POST")[:-2] + b"Content-Length: 4\r\n\r\nabcd"
    for at in range(1, len(raw)):
        rig = Rig()
        rig.agent.says(raw[:at], raw[at:])
        ((_, _, fields, body),) = requests(rig.tool.heard())
        assert body == b"abcd", at
        assert b"upgrade" not in {name.lower() for name, _ in fields}
        rig.tool.says(OK)
        assert status_of(rig.agent.heard()) == 200


CONNECT = b"CONNECT 127.0.0.1:7000 HTTP/1.1\r\nHost: 127.0.0.1:7000\r\n\r\n"


async def test_connect_opens_a_tunnel_on_a_fresh_connection(monkeypatch):
    rig = Rig()
    idle = rig.tools[0]

    async def connect(within: float, *, raw: bool = False):
        assert raw, "TLS inside the tunnel is between the agent and the tool"
        side = rig.idle()
        rig.pool.idle.remove(side.protocol)
        rig.tools.append(side)
        return side.protocol

    monkeypatch.setattr(rig.pool, "connect", connect)
    rig.agent.says(CONNECT + b"\x16\x03")
    for _ in range(3):
        await asyncio.sleep(0)
    assert untimed(rig.agent.heard()).startswith(b"HTTP/1.1 200 Connection established\r\n")
    assert rig.tools[1].heard() == b"\x16\x03"
    rig.tools[1].says(b"\x15")
    assert rig.agent.heard() == b"\x15"
    rig.agent.ends()
    rig.tools[1].ends()
    assert [trace.operation for trace in rig.traces] == ["CONNECT"]
    assert idle.heard() == b"", "a pooled connection is for HTTP only"


@pytest.mark.parametrize("target", [b"127.0.0.1:22", b"evil.example:443", b"127.0.0.1:7001"])
def test_connect_elsewhere_is_refused(target):
    rig = Rig()
    rig.agent.says(b"CONNECT " + target + b" HTTP/1.1\r\nHost: 127.0.0.1:7000\r\n\r\n")
    assert status_of(rig.agent.heard()) == 403


async def through(monkeypatch: pytest.MonkeyPatch, *first: bytes) -> Rig:
    """A rig whose agent has a tunnel that must begin with TLS for its host, and has sent these bytes."""
    bank = tool("bank", ("https", "bank.example", 7000), connect=True)
    rig = Rig(drive=Drive(to=bank, quotas=(Quota(slot()),)))

    async def connect(within: float, *, raw: bool = False):
        side = Side(UpstreamConnection(rig.pool, raw=raw), rig._sides)
        rig.tools.append(side)
        return side.protocol

    monkeypatch.setattr(rig.pool, "connect", connect)
    rig.agent.says(CONNECT.replace(b"127.0.0.1", b"bank.example"))
    for _ in range(3):
        await asyncio.sleep(0)
    assert status_of(rig.agent.heard()) == 200
    rig.agent.says(*first)
    return rig


async def test_nothing_passes_either_way_until_the_host_is_named(monkeypatch):
    hello = written(named(b"bank.example"))
    rig = await through(monkeypatch, hello[:10])
    rig.tools[1].says(b"220 speaks first")
    rig.agent.protocol.pause_writing()
    rig.agent.protocol.resume_writing()
    assert (rig.tools[1].heard(), rig.agent.heard()) == (b"", b"")
    rig.agent.says(hello[10:] + b"more")
    assert rig.tools[1].heard() == hello + b"more"
    rig.agent.says(b"and more")
    assert (rig.tools[1].heard(), rig.agent.heard()) == (b"and more", b"220 speaks first")


@pytest.mark.parametrize("first", [written(named(b"evil.example")), written(), b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x"])
async def test_what_is_for_another_host_never_reaches_the_tool_and_is_recorded(monkeypatch, first):
    rig = await through(monkeypatch, first[:7], first[7:])
    assert rig.tools[1].heard() == b""
    assert rig.agent.heard() == DENIED
    assert rig.agent.transport.closing
    assert rig.tools[1].transport.closing
    rig.tools[1].goes()
    rig.agent.goes()
    (trace,) = rig.traces
    outcome = trace.outcome
    assert (outcome.fault, outcome.reason, outcome.unsent) == ("gateway", Reason.EGRESS_DENIED, True)
    assert "TLS" in outcome.error or "ClientHello" in outcome.error
    assert len(rig.drive.world.settled) == 1


async def test_an_agent_that_ends_before_it_has_named_a_host_ends_the_tunnel(monkeypatch):
    rig = await through(monkeypatch, b"\x16\x03")
    rig.agent.ends()
    assert rig.tools[1].heard() == b""
    assert rig.tools[1].transport.closing
    assert len(rig.traces) == 1
