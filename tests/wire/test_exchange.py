"""One call on the wire: how its answer is framed, what becomes of both connections, and every way it can break."""

from __future__ import annotations

import pytest

from gateway.decide.shapes import Judgement
from gateway.model import Reason, Refusal
from tests.builders import tool
from tests.wire.rig import GET, OK, POST, answers, requests, rig_of, settled, status_of

# -- framing and keep-alive --------------------------------------------------------------------------------------


def test_both_connections_live_on_after_a_plain_call():
    called = rig_of()
    for _ in range(3):
        called.agent.says(GET)
        called.tool.says(OK)
    assert [status for status, _, _ in answers(called.agent.heard(), ["GET"] * 3)] == [200] * 3
    assert called.pool.idle == [called.tools[0].protocol]
    assert not called.agent.transport.closing


@pytest.mark.parametrize("size", [b"Content-Length: 500", b"Transfer-Encoding: chunked", b"X: 1"])
def test_the_answer_to_head_has_no_body_and_the_connection_lives_on(size):
    called = rig_of(tools=2)
    called.agent.says(GET.replace(b"GET", b"HEAD"))
    called.tool.says(b"HTTP/1.1 200 OK\r\n" + size + b"\r\n\r\n")
    heard = called.agent.heard()
    assert heard.endswith(b"\r\n\r\n")
    if b"X" not in size:
        assert size in heard
    called.agent.says(GET)
    called.tool.says(OK)
    assert answers(called.agent.heard(), ["GET"])[0][2] == b"hi"


def test_a_body_that_ends_with_the_connection_becomes_chunks():
    called = rig_of()
    called.agent.says(GET)
    called.tool.says(b"HTTP/1.1 200 OK\r\n\r\nthis", b" and that")
    called.tool.goes()
    assert answers(called.agent.heard(), ["GET"])[0][2] == b"this and that"
    assert not called.agent.transport.closing
    assert settled(called).sent == 13


def test_an_agent_of_1_0_gets_no_chunks_but_the_end_of_the_connection():
    called = rig_of()
    called.agent.says(b"GET /bank/a HTTP/1.0\r\n\r\n")
    assert requests(called.tool.heard())[0][2][0] == (b"Host", b"127.0.0.1:7000")
    called.tool.says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
    head, _, body = called.agent.heard().partition(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in head
    assert b"Connection: close" in head
    assert body == b"hi"
    assert called.agent.transport.closing


def test_an_agent_of_1_0_that_keeps_alive_is_kept():
    called = rig_of()
    called.agent.says(b"GET /bank/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    called.tool.says(OK)
    assert b"Connection: keep-alive\r\n" in called.agent.heard()
    assert not called.agent.transport.closing


def test_an_agent_that_says_close_is_closed_after_its_answer():
    called = rig_of()
    called.agent.says(GET[:-2] + b"Connection: close\r\n\r\n")
    called.tool.says(OK)
    assert b"Connection: close\r\n" in called.agent.heard()
    assert called.agent.transport.closing
    assert called.pool.idle, "the tool's connection lives on"


@pytest.mark.parametrize(
    "answer",
    [OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"), OK.replace(b"1.1", b"1.0"), OK + b"HTTP/1.1 200 OK\r\n"],
)
def test_a_tools_connection_that_cannot_be_trusted_again_is_not_used_again(answer):
    called = rig_of()
    called.agent.says(GET)
    called.tool.says(answer)
    assert answers(called.agent.heard(), ["GET"])[0][2] == b"hi"
    assert called.pool.idle == []
    assert called.tools[0].transport.closing


def test_what_an_idle_tool_says_is_no_answer_to_the_next_call():
    """A server that answers ahead of the question could answer one agent with another's answer."""
    called = rig_of(tools=2)
    called.tools[1].says(OK)
    assert called.tools[1].transport.closing
    called.agent.says(GET)
    assert called.agent.heard() == b""
    called.tools[0].says(OK.replace(b"hi", b"me"))
    assert answers(called.agent.heard(), ["GET"])[0][2] == b"me"


# -- bodies ------------------------------------------------------------------------------------------------------


def test_a_body_streams_to_the_tool_as_it_comes():
    called = rig_of()
    called.agent.says(POST)
    assert called.tool.heard().endswith(b"\r\n\r\n")
    called.agent.says(b"ab")
    assert called.tool.heard() == b"ab"
    called.agent.says(b"cd")
    assert called.tool.heard() == b"cd"


def test_an_answer_streams_to_the_agent_as_it_comes():
    called = rig_of()
    called.agent.says(GET)
    called.tool.says(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert called.agent.heard().endswith(b"Transfer-Encoding: chunked\r\n\r\n")
    called.tool.says(b"9\r\ndata: 1\n\n\r\n")
    assert called.agent.heard() == b"9\r\ndata: 1\n\n\r\n"
    called.tool.says(b"0\r\n\r\n")
    assert called.agent.heard() == b"0\r\n\r\n"


def test_trailers_of_the_answer_are_passed_on():
    called = rig_of()
    called.agent.says(GET)
    called.tool.says(
        b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 7\r\n\r\n"
    )
    assert called.agent.heard().endswith(b"0\r\nX-Sum: 7\r\n\r\n")


def test_a_tool_that_answers_before_the_body_is_there_ends_both_connections_afterwards():
    called = rig_of()
    called.agent.says(POST + b"ab")
    called.tool.says(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")
    heard = called.agent.heard()
    assert status_of(heard) == 413
    assert b"Connection: close\r\n" in heard
    assert called.pool.idle == []
    called.agent.says(b"cd" + GET)
    assert called.agent.heard() == b"", "what comes behind is not read as a request"


def test_where_a_rule_reads_the_body_the_tool_hears_nothing_before_it_is_whole():
    called = rig_of(reads_args=True)
    raw = b"POST /bank/t HTTP/1.1\r\nHost: gate\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n"
    called.agent.says(raw, b'{"a"')
    assert called.tool.heard() == b""
    called.agent.says(b": 1}")
    assert requests(called.tool.heard())[0][3] == b'{"a": 1}'


def test_what_the_rule_saw_is_what_the_tool_gets_in_chunks_too():
    called = rig_of(reads_args=True)
    called.agent.says(
        b"POST /bank/t HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\n\r\n",
        b'4\r\n{"a"\r\n',
        b"4\r\n: 1}\r\n0\r\n\r\n",
    )
    assert requests(called.tool.heard())[0][3] == b'{"a": 1}'


@pytest.mark.parametrize("head_only", [False, True])
@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_the_limit_is_413_or_decided_on_the_head(head_only, announced):
    small = tool("bank", ("http", "127.0.0.1", 7000), body_limit=10, head_only=head_only)
    called = rig_of(reads_args=True, to=small)
    body = b'{"a": "' + b"x" * 50 + b'"}'
    size = b"Content-Length: %d" % len(body) if announced else b"Transfer-Encoding: chunked"
    framed = body if announced else b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    called.agent.says(b"POST /bank/t HTTP/1.1\r\nHost: gate\r\n" + size + b"\r\n\r\n", framed[:20], framed[20:])
    if head_only:
        assert requests(called.tool.heard())[0][3] == body
    else:
        assert status_of(called.agent.heard()) == 413
        assert called.tool.heard() == b""


def test_a_refused_upload_is_answered_at_once_and_its_rest_is_not_taken_for_a_request():
    called = rig_of(check=Judgement(Refusal(Reason.POLICY_DENIED, 403, "no")))
    called.agent.says(POST)
    heard = called.agent.heard()
    assert status_of(heard) == 403
    assert b"Connection: close\r\n" in heard
    called.agent.says(GET)
    assert called.agent.heard() == b""
    assert len(called.traces) == 1


# -- expect and interim answers ----------------------------------------------------------------------------------

EXPECT = POST[:-2] + b"Expect: 100-continue\r\n\r\n"


def test_expect_is_asked_of_the_tool_and_its_consent_is_passed_on():
    called = rig_of()
    called.agent.says(EXPECT)
    assert b"Expect: 100-continue\r\n" in called.tool.heard()
    called.tool.says(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert called.agent.heard() == b"HTTP/1.1 100 Continue\r\n\r\n"
    called.agent.says(b"abcd")
    assert called.tool.heard() == b"abcd"
    called.tool.says(OK)
    assert status_of(called.agent.heard()) == 200


def test_where_a_rule_reads_the_body_we_consent_and_the_tool_is_not_asked():
    called = rig_of(reads_args=True)
    called.agent.says(EXPECT)
    assert called.agent.heard() == b"HTTP/1.1 100 Continue\r\n\r\n"
    called.agent.says(b"{}  ")
    assert b"Expect" not in called.tool.heard()
    called.tool.says(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
    assert status_of(called.agent.heard()) == 200, "a second 100 is not passed on"


def test_a_refusal_needs_no_body():
    called = rig_of(check=Judgement(Refusal(Reason.POLICY_DENIED, 403, "no")))
    called.agent.says(EXPECT)
    assert status_of(called.agent.heard()) == 403


def test_early_hints_are_passed_on_but_not_to_1_0():
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\n\r\n"
    called = rig_of()
    called.agent.says(GET)
    called.tool.says(hints)
    assert called.agent.heard() == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    old = rig_of()
    old.agent.says(b"GET /bank/a HTTP/1.0\r\n\r\n")
    old.tool.says(hints + OK)
    assert status_of(old.agent.heard()) == 200
