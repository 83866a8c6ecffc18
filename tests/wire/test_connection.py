"""An agent's connection: bytes in, bytes out, however they are cut."""

from __future__ import annotations

import re

import pytest

from gateway.wire.listener import Limits
from tests.wire.rig import Rig, answers, requests, status_of, untimed

GET = b"GET /bank/a?b=%20c HTTP/1.1\r\nHost: gate\r\nAccept: */*\r\n\r\n"
POST = b"POST /bank/t HTTP/1.1\r\nHost: gate\r\nContent-Length: 11\r\nX-A: 1\r\nx-a: 2\r\n\r\nhello world"
CHUNKED = (
    b"PUT /bank/t HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 7\r\n\r\n"
)
OWN = b"FROB /bank/t HTTP/1.1\r\nHost: gate\r\nContent-Length: 2\r\n\r\nhi"
OK = b"HTTP/1.1 200 Fine\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nthere"


def went(data: bytes):
    """Method, target, body, and the agent's own fields of the one request that the tool got."""
    ((method, target, fields, body),) = requests(data)
    return method, target, [field for field in fields if field[0].lower() in (b"x-a", b"accept")], body


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (GET, (b"GET", b"/a?b=%20c", [(b"Accept", b"*/*")], b"")),
        (POST, (b"POST", b"/t", [(b"X-A", b"1"), (b"x-a", b"2")], b"hello world")),
        (CHUNKED, (b"PUT", b"/t", [], b"hello world")),
        (OWN, (b"FROB", b"/t", [], b"hi")),
        (b"\r\n\r\n" + GET, (b"GET", b"/a?b=%20c", [(b"Accept", b"*/*")], b"")),
    ],
)
def test_a_request_reaches_the_tool_the_same_wherever_it_is_cut(raw, expected):
    for at in range(len(raw)):
        rig = Rig()
        rig.agent.says(raw[:at], raw[at:]) if at else rig.agent.says(raw)
        assert went(rig.tool.heard()) == expected, at
        rig.tool.says(OK)
        assert [answer[::2] for answer in answers(rig.agent.heard(), ["GET"])] == [(200, b"there")], at
        assert len(rig.traces) == 1


@pytest.mark.parametrize("raw", [GET, POST, CHUNKED, OWN])
def test_a_request_may_come_byte_by_byte(raw):
    rig = Rig()
    rig.agent.says(*[raw[at : at + 1] for at in range(len(raw))])
    whole = Rig()
    whole.agent.says(raw)
    assert went(rig.tool.heard()) == went(whole.tool.heard())


def test_blanks_around_a_value_are_no_part_of_it():
    """RFC 9110, 5.5; else a rule that compares a value would be evaded by a space behind it."""
    rig = Rig()
    rig.agent.says(b"GET /bank/a HTTP/1.1\r\nHost: gate \r\nX-A: \t night \t \r\nAccept: \t\r\n\r\n")
    assert went(rig.tool.heard())[2] == [(b"X-A", b"night"), (b"Accept", b"")]


def test_trailers_reach_the_tool():
    rig = Rig()
    rig.agent.says(CHUNKED)
    assert rig.tool.heard().endswith(b"0\r\nX-Sum: 7\r\n\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 201 Made\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nthere\r\n3;e=1\r\n ok\r\n0\r\nX-Sum: 1\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nX-A: 1\r\nX-A: 2\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 500\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
    ],
)  # fmt: skip
def test_an_answer_reaches_the_agent_the_same_wherever_it_is_cut(answer):
    seen = set()
    for at in range(len(answer)):
        rig = Rig()
        rig.agent.says(GET)
        rig.tool.says(answer[:at], answer[at:]) if at else rig.tool.says(answer)
        got = rig.agent.heard()
        seen.add(repr(answers(got, ["GET"])))
        assert len(rig.traces) == 1
        assert rig.pool.idle == [rig.tool.protocol], "the connection is fit for the next call"
    assert len(seen) == 1


def test_the_answer_keeps_status_phrase_fields_order_and_case():
    rig = Rig()
    rig.agent.says(GET)
    rig.tool.says(
        b"HTTP/1.1 299 Odd One\r\nB: 1\r\na: 2\r\nB: 3\r\nSet-Cookie: x\r\nset-cookie: y\r\nContent-Length: 0\r\n\r\n"
    )
    assert untimed(rig.agent.heard()) == (
        b"HTTP/1.1 299 Odd One\r\nB: 1\r\na: 2\r\nB: 3\r\nSet-Cookie: x\r\nset-cookie: y\r\nContent-Length: 0\r\n"
        b"Via: 1.1 toolgate\r\nX-Toolgate-Call: call-7\r\n\r\n"
    )


@pytest.mark.parametrize(
    "fields",
    [
        b"Connection: X-Hop\r\nX-Hop: 1\r\n",
        b"X-Hop: 1\r\nConnection: close, x-hop\r\n",
        b"Connection: keep-alive, X-HOP\r\nx-hop: 1\r\n",
        b"Connection: keep-alive\r\nConnection: x-hop\r\nX-Hop: 1\r\n",
        b"Keep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\nProxy-Connection: close\r\n",
    ],
)
def test_hop_by_hop_fields_of_the_answer_end_here(fields):
    rig = Rig()
    rig.agent.says(GET)
    rig.tool.says(b"HTTP/1.1 200 OK\r\nX-End: 1\r\n" + fields + b"Content-Length: 0\r\n\r\n")
    names = [line.partition(b":")[0].lower() for line in untimed(rig.agent.heard()).split(b"\r\n")[1:-2]]
    assert names == [b"x-end", b"content-length", b"via", b"x-toolgate-call"]


# -- pipelining --------------------------------------------------------------------------------------------------


def numbered(count: int) -> bytes:
    return b"".join(b"GET /bank/%d HTTP/1.1\r\nHost: gate\r\n\r\n" % number for number in range(count))


def test_pipelined_requests_are_called_one_by_one_and_answered_in_order():
    rig = Rig(tools=3)
    rig.agent.says(numbered(3))
    for number in range(3):
        heard = rig.tool.heard()
        assert [request[1] for request in requests(heard)] == [b"/%d" % number]
        assert rig.agent.transport.reading == (number == 2), "while requests wait in line we do not read on"
        rig.tool.says(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
    assert [body for _, _, body in answers(rig.agent.heard(), ["GET"] * 3)] == [b"0", b"1", b"2"]
    assert len(rig.traces) == 3


def test_pipelined_requests_are_the_same_wherever_they_are_cut():
    raw = POST + GET + CHUNKED + numbered(1)
    for at in range(1, len(raw)):
        rig = Rig(tools=4)
        rig.agent.says(raw[:at], raw[at:])
        targets = []
        for _ in range(4):
            targets += [(target, body) for _, target, _, body in requests(rig.tool.heard())]
            rig.tool.says(OK)
        assert targets == [(b"/t", b"hello world"), (b"/a?b=%20c", b""), (b"/t", b"hello world"), (b"/0", b"")], at
        assert len(answers(rig.agent.heard(), ["POST", "GET", "PUT", "GET"])) == 4


def test_a_large_body_does_not_count_as_part_of_the_next_head():
    """The end of a body and the beginning of the next head may come in one read."""
    rig = Rig(tools=2, limits=Limits(max_head=1000))
    rig.agent.says(b"POST /bank/t HTTP/1.1\r\nHost: gate\r\nContent-Length: 5000\r\n\r\n" + b"x" * 2000)
    rig.agent.says(b"x" * 3000 + GET[:20], GET[20:])
    assert requests(rig.tool.heard())[0][3] == b"x" * 5000
    rig.tool.says(OK)
    assert [request[1] for request in requests(rig.tool.heard())] == [b"/a?b=%20c"]
    rig.tool.says(OK)
    assert [status for status, _, _ in answers(rig.agent.heard(), ["POST", "GET"])] == [200, 200]


def test_a_refusal_keeps_its_place_in_line():
    rig = Rig(tools=2)
    rig.agent.says(GET + b"GET /nobody HTTP/1.1\r\nHost: gate\r\n\r\n" + GET)
    rig.tool.says(OK)
    rig.tool.says(OK)
    assert [status for status, _, _ in answers(rig.agent.heard(), ["GET"] * 3)] == [200, 404, 200]


def test_a_malformed_request_is_refused_after_those_before_it_are_answered():
    rig = Rig()
    rig.agent.says(GET + b"this is nonsense\r\n\r\n")
    assert rig.agent.heard() == b""
    rig.tool.says(OK)
    assert [status for status, _, _ in answers(rig.agent.heard(), ["GET", "GET"])] == [200, 400]
    assert rig.agent.transport.eof


# -- malformed ---------------------------------------------------------------------------------------------------

HOST = b"Host: gate\r\n"
MALFORMED = {
    "both lengths": b"POST /bank/t HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both, the other way": b"POST /bank/t HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /bank/t HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "a list of lengths": b"POST /bank/t HTTP/1.1\r\n" + HOST + b"Content-Length: 3, 3\r\n\r\nabc",
    "signed length": b"POST /bank/t HTTP/1.1\r\n" + HOST + b"Content-Length: +3\r\n\r\nabc",
    "negative length": b"POST /bank/t HTTP/1.1\r\n" + HOST + b"Content-Length: -3\r\n\r\nabc",
    "hex length": b"POST /bank/t HTTP/1.1\r\n" + HOST + b"Content-Length: 0x3\r\n\r\nabc",
    "endless length": b"POST /bank/t HTTP/1.1\r\n" + HOST + b"Content-Length: " + b"9" * 40 + b"\r\n\r\nabc",
    "two codings": b"POST /bank/t HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "gzip coding": b"POST /bank/t HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": b"POST /bank/t HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "coding with a tab": b"POST /bank/t HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunked in 1.0": b"POST /bank/t HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no host": b"GET /bank/a HTTP/1.1\r\nAccept: a\r\n\r\n",
    "two hosts": b"GET /bank/a HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "bad host": b"GET /bank/a HTTP/1.1\r\nHost: gate/x\r\n\r\n",
    "space before colon": b"GET /bank/a HTTP/1.1\r\n" + HOST + b"X-A : 1\r\n\r\n",
    "obs-fold": b"GET /bank/a HTTP/1.1\r\n" + HOST + b"X-A: 1\r\n 2\r\n\r\n",
    "fold before the first": b"GET /bank/a HTTP/1.1\r\n Host: gate\r\n\r\n",
    "bare LF": b"GET /bank/a HTTP/1.1\nHost: gate\n\n",
    "bare LF in a head": b"GET /bank/a HTTP/1.1\r\n" + HOST + b"X-A: 1\nX-B: 2\r\n\r\n",
    "bare CR in a value": b"GET /bank/a HTTP/1.1\r\n" + HOST + b"X-A: 1\rX-B: 2\r\n\r\n",
    "NUL in a value": b"GET /bank/a HTTP/1.1\r\n" + HOST + b"X-A: 1\x002\r\n\r\n",
    "no colon": b"GET /bank/a HTTP/1.1\r\n" + HOST + b"X-A\r\n\r\n",
    "empty name": b"GET /bank/a HTTP/1.1\r\n" + HOST + b": 1\r\n\r\n",
    "space in name": b"GET /bank/a HTTP/1.1\r\n" + HOST + b"X A: 1\r\n\r\n",
    "space in target": b"GET /bank/a b HTTP/1.1\r\n" + HOST + b"\r\n",
    "control in target": b"GET /bank/\x01 HTTP/1.1\r\n" + HOST + b"\r\n",
    "fragment": b"GET /bank/a#b HTTP/1.1\r\n" + HOST + b"\r\n",
    "lower-case method": b"get /bank/a HTTP/1.1\r\n" + HOST + b"\r\n",
    "HTTP/0.9": b"GET /bank/a\r\n\r\n",
    "HTTP/1.2": b"GET /bank/a HTTP/1.2\r\n" + HOST + b"\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x7f" * 40,
}


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("cut", [False, True])
def test_what_is_no_clear_request_is_400_and_the_end_and_no_tool_hears_of_it(name, cut):
    raw = MALFORMED[name]
    rig = Rig()
    rig.agent.says(*([raw[at : at + 1] for at in range(len(raw))] if cut else [raw]))
    heard = rig.agent.heard()
    assert status_of(heard) == 400, heard
    assert b"Connection: close" in heard
    assert heard.count(b"HTTP/1.1 400") == 1
    assert rig.agent.transport.eof
    assert rig.tool.heard() == b""
    rig.agent.says(GET)
    assert rig.tool.heard() == b"", "nothing more is taken from this connection"


BAD_CHUNKS = [
    b"g\r\n",
    b"5 \r\nhello\r\n",
    b"5\nhello",
    b"5\r\nhelloX\r\n",
    b"-5\r\n",
    b"0x5\r\nhello\r\n",
    b"\r\n",
    b"5;\n\r\nhello\r\n",
]
BAD_CHUNKS += [b"fffffffffffffffff\r\n", b"5\r\nhello\n0\r\n\r\n", b" 5\r\nhello\r\n"]


@pytest.mark.parametrize("chunk", BAD_CHUNKS)
@pytest.mark.parametrize("together", [True, False])
def test_a_bad_chunk_is_400_and_the_tool_never_gets_a_whole_request(chunk, together):
    head = b"POST /bank/t HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\n\r\n"
    rig = Rig()
    rig.agent.says(head + chunk) if together else rig.agent.says(head, chunk)
    assert status_of(rig.agent.heard()) == 400
    assert not rig.tool.heard().endswith(b"0\r\n\r\n")
    assert rig.agent.transport.eof or rig.agent.transport.closing


# -- limits ------------------------------------------------------------------------------------------------------

SMALL = Limits(max_head=2000, max_headers=20)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"GET /bank/" + b"a" * 3000 + b" HTTP/1.1\r\nHost: gate\r\n\r\n", id="target"),
        pytest.param(b"GET /bank/" + b"a" * 3000, id="target without end"),
        pytest.param(b"GET /bank/a HTTP/1.1\r\nHost: gate\r\nX-A: " + b"a" * 3000 + b"\r\n\r\n", id="value"),
        pytest.param(b"GET /bank/a HTTP/1.1\r\nHost: gate\r\nX-A: " + b"a" * 3000, id="value without end"),
        pytest.param(b"GET /bank/a HTTP/1.1\r\nHost: gate\r\n" + b"a" * 3000, id="name without end"),
        pytest.param(b"GET /bank/a HTTP/1.1\r\nHost: gate\r\n" + b"X: 1\r\n" * 21 + b"\r\n", id="fields"),
        pytest.param(b"GET /bank/a HTTP/1.1\r\nHost: gate\r\n" + b"X: 1\r\n" * 1000, id="fields without end"),
    ],
)
@pytest.mark.parametrize("step", [10_000, 1000, 7])
def test_a_head_that_is_too_large_is_refused_before_it_ends(raw, step):
    rig = Rig(limits=SMALL)
    for at in range(0, len(raw), step):
        rig.agent.says(raw[at : at + step])
        if rig.agent.transport.eof:
            break
    assert status_of(rig.agent.heard()) == 400
    assert rig.tool.heard() == b""


def test_a_head_just_within_the_limits_is_taken():
    rig = Rig(limits=SMALL)
    rig.agent.says(b"GET /bank/a HTTP/1.1\r\nHost: gate\r\n" + b"X: 1\r\n" * 19 + b"\r\n")
    rig.tool.says(OK)
    rig.agent.says(b"GET /bank/a HTTP/1.1\r\nHost: gate\r\nX-A: " + b"a" * 1900 + b"\r\n\r\n")
    rig.tool.says(OK)
    assert [status for status, _, _ in answers(rig.agent.heard(), ["GET", "GET"])] == [200, 200]


def test_one_connection_too_many_is_told_so():
    rig = Rig(limits=Limits(max_connections=0))
    assert status_of(rig.agent.heard()) == 503
    assert rig.agent.transport.closing


def test_every_refused_head_has_an_id():
    rig = Rig()
    rig.agent.says(b"this is nonsense\r\n\r\n")
    assert re.search(rb"X-Toolgate-Call: call-7\r\n", rig.agent.heard())
