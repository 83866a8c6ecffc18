"""Every way in which a call can break: the tool's fault, the agent's, or time's; and who is slowed by whom."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from gateway.errors import UpstreamError
from gateway.model import Reason, Timeouts
from gateway.wire.listener import Limits
from tests.builders import tool
from tests.wire.rig import GET, OK, POST, Rig, answers, requests, rig_of, settled, status_of, untimed

# -- the tool breaks ---------------------------------------------------------------------------------------------

BROKEN = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "both lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
    "another coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhi",
    "a space before the colon": b"HTTP/1.1 200 OK\r\nX : 1\r\n\r\n",
    "a fold": b"HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\n\r\n",
    "a bare LF": b"HTTP/1.1 200 OK\nX: 1\n\n",
    "a switch nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "too large a head": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 90_000 + b"\r\n\r\n",
    "too large a head, without end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 150_000,
    "too many fields": b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 20_000 + b"\r\n",
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("step", [16_384, 61])
def test_an_answer_that_is_not_http_is_502_and_nothing_of_it_reaches_the_agent(name, step):
    called = rig_of()
    called.agent.says(GET)
    raw = BROKEN[name]
    called.tools[0].says(*[raw[at : at + step] for at in range(0, len(raw), step)])
    heard = called.agent.heard()
    assert status_of(heard) == 502
    assert heard.count(b"HTTP/1.1 ") == 1
    assert called.tools[0].transport.closing
    assert called.pool.idle == []
    assert settled(called).fault == "tool"


def test_a_tool_that_closes_unanswered_is_502_for_a_call_that_changes_something():
    called = rig_of(tools=2)
    called.agent.says(POST + b"abcd")
    called.tool.goes()
    assert status_of(called.agent.heard()) == 502
    assert [side.heard() for side in called.tools].count(b"") == 1, "it is not sent a second time"
    assert settled(called).fault == "tool"


def test_a_tool_that_breaks_off_is_told_by_an_end_that_is_no_end():
    """With a length or chunks the agent sees that something is missing; without, only a reset tells it."""
    for answer, hard in (
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhal\r\n", False),
    ):
        called = rig_of()
        called.agent.says(GET)
        called.tool.says(answer)
        called.tool.goes(ConnectionResetError())
        heard = called.agent.heard()
        assert not heard.endswith(b"0\r\n\r\n")
        assert called.agent.transport.closing
        assert called.agent.transport.aborted == hard
        assert (settled(called).status, settled(called).upstream, settled(called).fault) == (200, 200, "tool")


def test_for_an_agent_of_1_0_a_broken_off_answer_is_a_reset():
    called = rig_of()
    called.agent.says(b"GET /bank/a HTTP/1.0\r\n\r\n")
    called.tool.says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhal\r\n")
    called.tool.goes(ConnectionResetError())
    assert called.agent.transport.aborted


# -- retries ---------------------------------------------------------------------------------------------------


async def reconnecting(called: Rig, monkeypatch, error: Exception | None = None) -> None:
    """Let the pool give a fresh connection where it is asked for one, or fail."""

    async def connect(within: float, *, raw: bool = False):
        if error is not None:
            raise error
        side = called.idle()
        called.pool.idle.remove(side.protocol)
        called.tools.append(side)
        return side.protocol

    monkeypatch.setattr(called.pool, "connect", connect)


async def turns() -> None:
    """Let what was started come to its end."""
    for _ in range(4):
        await asyncio.sleep(0)


async def test_a_stale_connection_is_replaced_once_where_that_does_no_harm(monkeypatch):
    called = rig_of()
    await reconnecting(called, monkeypatch)
    called.agent.says(GET)
    first = called.tools[0].heard()
    called.tools[0].goes()
    await turns()
    assert called.tools[1].heard() == first
    called.tools[1].says(OK)
    assert answers(called.agent.heard(), ["GET"])[0][2] == b"hi"
    assert len(called.traces) == 1


async def test_but_only_once(monkeypatch):
    called = rig_of()
    await reconnecting(called, monkeypatch)
    called.agent.says(GET)
    called.tools[0].goes()
    await turns()
    called.tools[1].goes()
    await turns()
    assert status_of(called.agent.heard()) == 502
    assert len(called.tools) == 2


@pytest.mark.parametrize(
    ("raw", "heard"),
    [
        (POST + b"abcd", b""),
        (GET.replace(b"GET", b"DELETE"), b""),
        (GET.replace(b"GET", b"FROB"), b""),
        (GET, b"HTTP/1.1 2"),
    ],
)
async def test_and_never_where_the_tool_may_have_begun(monkeypatch, raw, heard):
    called = rig_of()
    await reconnecting(called, monkeypatch)
    called.agent.says(raw)
    called.tools[0].says(heard)
    called.tools[0].goes()
    await turns()
    assert status_of(called.agent.heard()) == 502
    assert len(called.tools) == 1


async def test_a_fresh_connection_that_fails_is_not_tried_again(monkeypatch):
    called = rig_of(tools=0)
    await reconnecting(called, monkeypatch)
    called.agent.says(GET)
    await turns()
    called.tools[0].goes()
    await turns()
    assert status_of(called.agent.heard()) == 502
    assert len(called.tools) == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UpstreamError(Reason.UPSTREAM_UNREACHABLE, 502, "refused"), 502),
        (UpstreamError(Reason.UPSTREAM_TIMEOUT, 504, "too slow"), 504),
        (RuntimeError("a bug"), 502),
    ],
)
async def test_a_tool_that_cannot_be_reached_is_the_tools_fault(monkeypatch, error, status):
    called = rig_of(tools=0)
    await reconnecting(called, monkeypatch, error)
    called.agent.says(GET)
    await turns()
    assert status_of(called.agent.heard()) == status
    assert settled(called).fault == "tool"
    called.agent.says(GET)
    await turns()
    assert status_of(called.agent.heard()) == status, "the agent's connection lives on"


async def test_a_connection_that_may_not_be_made_is_nobodys_fault_and_costs_nothing(monkeypatch):
    called = rig_of(tools=0)
    await reconnecting(called, monkeypatch, UpstreamError(Reason.EGRESS_DENIED, 403, "leads inside"))
    called.agent.says(GET)
    await turns()
    heard = called.agent.heard()
    assert status_of(heard) == 403
    assert b"x-should-retry: false" in heard.lower()
    assert b"go on without this tool" in heard
    outcome = settled(called)
    assert (outcome.fault, outcome.reason, outcome.unsent) == ("gateway", Reason.EGRESS_DENIED, True)


async def test_an_agent_that_goes_while_we_connect_leaves_no_connection_behind(monkeypatch):
    called = rig_of(tools=0)
    await reconnecting(called, monkeypatch)
    called.agent.says(GET)
    called.agent.goes()
    await turns()
    assert all(side.transport.closing for side in called.tools)
    assert settled(called).status == 499


# -- the agent goes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal"])
def test_an_agent_that_goes_takes_its_call_with_it(answer):
    called = rig_of()
    called.agent.says(GET)
    called.tools[0].says(answer)
    called.agent.goes()
    assert called.tools[0].transport.aborted
    outcome = settled(called)
    assert (outcome.status, outcome.fault) == (499, "agent")
    assert outcome.upstream == (200 if b"hal" in answer else 0)


def test_an_agent_that_goes_in_the_middle_of_its_body_takes_its_call_with_it():
    called = rig_of()
    called.agent.says(POST + b"ab")
    called.agent.ends()
    assert called.tools[0].transport.aborted
    assert settled(called).fault == "agent"


def test_an_agent_that_goes_before_the_decision_leaves_a_record():
    called = rig_of(reads_args=True)
    called.agent.says(POST + b"ab")
    called.agent.goes()
    assert [trace.outcome.status for trace in called.traces] == [499]
    assert called.drive.world.settled == []


def test_pipelined_requests_of_an_agent_that_goes_are_not_called():
    called = rig_of(tools=2)
    called.agent.says(GET + GET)
    called.agent.goes()
    assert len(requests(b"".join(side.heard() for side in called.tools))) == 1
    assert len(called.traces) == 1


def test_an_agent_that_only_stops_talking_still_gets_its_answer():
    called = rig_of()
    called.agent.says(GET)
    called.agent.ends()
    assert not called.agent.transport.closing
    called.tool.says(OK)
    assert answers(called.agent.heard(), ["GET"])[0][2] == b"hi"
    assert called.agent.transport.closing


# -- time --------------------------------------------------------------------------------------------------------


def after(called: Rig, seconds: float) -> None:
    """Let the clock look at the connection, so many seconds from now."""
    called.agent.protocol.check(monotonic() + seconds)


def test_a_head_that_does_not_end_is_408():
    called = rig_of(limits=Limits(head_timeout=10))
    called.agent.says(GET[:-2])
    after(called, 9)
    assert called.agent.heard() == b""
    after(called, 11)
    assert status_of(called.agent.heard()) == 408
    assert called.agent.transport.eof
    after(called, 20)
    assert called.agent.transport.closing


@pytest.mark.parametrize("begun", [b"G", b"GET", b"GET /"])
def test_so_is_one_that_hardly_began(begun):
    called = rig_of(limits=Limits(head_timeout=10, keep_alive=1000))
    called.agent.says(begun)
    after(called, 11)
    assert status_of(called.agent.heard()) == 408


def test_an_idle_connection_is_closed_without_a_word():
    called = rig_of(limits=Limits(keep_alive=75))
    after(called, 74)
    assert not called.agent.transport.closing
    after(called, 76)
    assert called.agent.transport.closing
    assert called.agent.heard() == b""


@pytest.mark.parametrize("reads_args", [True, False])
def test_a_body_that_stops_coming_ends_the_call(reads_args):
    called = rig_of(reads_args=reads_args, limits=Limits(body_idle=60))
    called.agent.says(POST + b"ab")
    after(called, 59)
    assert called.agent.heard() == b""
    after(called, 61)
    assert 400 <= status_of(called.agent.heard()) < 500
    assert called.agent.transport.closing
    assert not called.tools[0].heard().endswith(b"abcd")


TIMED = tool("bank", ("http", "127.0.0.1", 7000), timeouts=Timeouts(first_byte=5, idle=20, total=100))


@pytest.mark.parametrize(
    ("answer", "seconds", "words"),
    [(b"", 6, b"no answer within 5 s"), (b"", 101, b"the call took longer than 100 s")],
)
def test_a_tool_that_does_not_answer_in_time_is_504(answer, seconds, words):
    called = rig_of(to=TIMED)
    called.agent.says(GET)
    after(called, 4)
    assert called.agent.heard() == b""
    after(called, seconds)
    heard = called.agent.heard()
    assert status_of(heard) == 504
    assert words in heard
    assert called.tools[0].transport.aborted
    assert settled(called).fault == "tool"


@pytest.mark.parametrize("seconds", [21, 101])
def test_an_answer_that_stops_coming_is_broken_off(seconds):
    called = rig_of(to=TIMED)
    called.agent.says(GET)
    called.tool.says(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal")
    after(called, 19)
    assert not called.agent.transport.closing
    after(called, seconds)
    assert called.agent.transport.closing
    assert settled(called).fault == "tool"


def test_an_agent_that_stops_reading_is_the_agents_fault():
    called = rig_of(to=TIMED)
    called.agent.says(GET)
    called.tool.says(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal")
    called.agent.protocol.pause_writing()
    after(called, 21)
    assert settled(called).fault == "agent"


# -- backpressure ------------------------------------------------------------------------------------------------


def test_a_slow_agent_slows_its_tool():
    called = rig_of()
    called.agent.says(GET)
    called.tool.says(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal")
    called.agent.protocol.pause_writing()
    assert not called.tools[0].transport.reading
    called.agent.protocol.resume_writing()
    assert called.tools[0].transport.reading


def test_a_slow_tool_slows_its_agent():
    called = rig_of()
    called.agent.says(POST + b"a")
    called.tools[0].protocol.pause_writing()
    assert not called.agent.transport.reading
    called.tools[0].protocol.resume_writing()
    assert called.agent.transport.reading


def test_a_tool_is_read_again_after_an_agent_that_went_slow_and_was_served():
    called = rig_of()
    called.agent.says(GET)
    called.agent.protocol.pause_writing()
    called.agent.protocol.resume_writing()
    called.tool.says(OK)
    assert called.tools[0].transport.reading
    assert untimed(called.agent.heard()).endswith(b"hi")
