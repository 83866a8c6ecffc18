"""Answers that are read on the wire: gathered before they pass, or passed through a reader; and every way it breaks."""

from __future__ import annotations

import asyncio

import pytest

from gateway.model import NOTHING_FOUND, Reason, Refusal
from tests.builders import tool
from tests.reading import Judged, Speaks
from tests.wire.rig import GET, OK, POST, answers, requests, rig_of, settled, status_of

LIMIT = 40
BANK = tool("bank", ("http", "127.0.0.1", 7000), answer_limit=LIMIT, upgrades=("websocket",))
OLD = GET.replace(b"1.1", b"1.0")


class Reads:
    """An answer that makes of a body what a test says. ``upper``: other bytes; ``hold``: all of it comes at the end."""

    def __init__(self, *, whole: bool = False, upper: bool = True, hold: bool = False, breaks: str = "") -> None:
        self.whole, self.rewrites = whole, whole or upper
        self._upper, self._hold, self._breaks = upper, hold, breaks
        self._held = b""
        self.refused: Refusal | None = None

    def feed(self, data: bytes) -> bytes:
        if self._breaks == "feed":
            raise ZeroDivisionError
        data = data.upper() if self._upper else data
        if not self._hold:
            return data
        self._held += data
        return b""

    def end(self) -> bytes:
        if self._breaks == "end":
            raise ZeroDivisionError
        return self._held

    def found(self):
        return NOTHING_FOUND

    def refusal(self) -> Refusal | None:
        return self.refused


def reading(answer: Reads, **settings):
    """A rig whose answers go through this."""
    return rig_of(to=BANK, reader=Speaks(answer, BANK), results=Judged(), **settings)


def fields_of(answer) -> dict[bytes, bytes]:
    return {name.lower(): value for name, value in answer[1]}


BODIES = {
    "length": b"HTTP/1.1 200 OK\r\nETag: x\r\nContent-Length: 9\r\n\r\nsome body",
    "chunked": b"HTTP/1.1 200 OK\r\nETag: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4\r\nsome\r\n5\r\n body\r\n0\r\nX-T: 1\r\n\r\n",
    "close": b"HTTP/1.1 200 OK\r\nETag: x\r\n\r\nsome body",
    "old": b"HTTP/1.0 200 OK\r\nETag: x\r\n\r\nsome body",
}
"""The same answer in each framing that a tool may choose."""


def play(called, framing: str, *, bytewise: bool = False) -> None:
    """The tool gives the answer in this framing."""
    pieces = BODIES[framing]
    called.tool.says(*([pieces[at : at + 1] for at in range(len(pieces))] if bytewise else [pieces]))
    if framing in ("close", "old"):
        called.tool.goes()


# -- gathered before it passes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("bytewise", [False, True])
@pytest.mark.parametrize("framing", BODIES)
def test_nothing_passes_before_the_answer_is_complete(framing, bytewise):
    called = reading(Reads(whole=True, upper=False))
    called.agent.says(GET)
    body = BODIES[framing]
    called.tool.says(body[:-3])
    assert called.agent.heard() == b""
    called.tool.says(*([body[at : at + 1] for at in range(len(body) - 3, len(body))] if bytewise else [body[-3:]]))
    if framing in ("close", "old"):
        called.tool.goes()
    (answer,) = answers(called.agent.heard(), ["GET"])
    assert (answer[0], answer[2]) == (200, b"some body")
    assert fields_of(answer)[b"content-length"] == b"9"
    assert b"transfer-encoding" not in fields_of(answer)
    assert settled(called).sent == 9


@pytest.mark.parametrize("framing", BODIES)
def test_unchanged_bytes_keep_what_the_tool_says_of_them(framing):
    called = reading(Reads(whole=True, upper=False))
    called.agent.says(GET)
    play(called, framing)
    assert fields_of(answers(called.agent.heard(), ["GET"])[0])[b"etag"] == b"x"


@pytest.mark.parametrize("framing", BODIES)
def test_changed_bytes_do_not(framing):
    called = reading(Reads(whole=True))
    called.agent.says(GET)
    play(called, framing)
    (answer,) = answers(called.agent.heard(), ["GET"])
    assert answer[2] == b"SOME BODY"
    assert fields_of(answer)[b"content-length"] == b"9"
    assert b"etag" not in fields_of(answer)


@pytest.mark.parametrize("framing", BODIES)
@pytest.mark.parametrize("keep", [True, False])
def test_an_agent_of_1_0_gets_a_length_and_may_keep_its_connection(framing, keep):
    called = reading(Reads(whole=True))
    called.agent.says(OLD[:-2] + b"Connection: keep-alive\r\n\r\n" if keep else OLD)
    play(called, framing)
    head, _, body = called.agent.heard().partition(b"\r\n\r\n")
    assert (body, b"Content-Length: 9" in head) == (b"SOME BODY", True)
    assert called.agent.transport.closing is not keep


@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1])
@pytest.mark.parametrize("chunked", [True, False])
def test_the_limit_is_to_the_byte(size, chunked):
    called = reading(Reads(whole=True))
    called.agent.says(GET)
    body = b"x" * size
    if chunked:
        pieces = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n"] * size, b"0\r\n\r\n"]
    else:
        pieces = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size, body]
    called.tool.says(*pieces)
    (answer,) = answers(called.agent.heard(), ["GET"])
    assert answer[0] == (200 if size == LIMIT else 502)
    outcome = settled(called)
    assert (outcome.upstream, outcome.fault) == (200, "" if size == LIMIT else "gateway")
    assert called.tool.transport.aborted is (size > LIMIT), "no more of it is read"
    assert not called.agent.transport.closing


def test_a_refusal_takes_the_place_of_the_answer_and_both_connections_live_on():
    reads = Reads(whole=True)
    reads.refused = Refusal(Reason.RESULT_DENIED, 403, "kept back", "p/r")
    called = reading(reads)
    for _ in range(2):
        called.agent.says(GET)
        called.tool.says(OK)
        (answer,) = answers(called.agent.heard(), ["GET"])
        assert answer[0] == 403
        assert b"HI" not in answer[2]
    assert called.pool.idle == [called.tools[0].protocol]
    assert [trace.outcome.upstream for trace in called.traces] == [200, 200]


def test_requests_in_line_wait_for_an_answer_that_is_gathered():
    called = reading(Reads(whole=True), tools=2)
    called.agent.says(GET + GET.replace(b"/a", b"/b"))
    called.tool.says(BODIES["length"][:-1])
    assert called.agent.heard() == b""
    called.tool.says(b"y")
    called.tool.says(OK)
    assert [answer[2] for answer in answers(called.agent.heard(), ["GET", "GET"])] == [b"SOME BODY", b"HI"]


@pytest.mark.parametrize(
    "breaks",
    [
        [BODIES["length"][:-1]],
        [BODIES["chunked"][:-2]],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"],
    ],
)
def test_an_answer_that_breaks_while_it_is_gathered_is_a_502(breaks):
    called = reading(Reads(whole=True))
    called.agent.says(GET)
    called.tool.says(*breaks)
    called.tool.goes()
    assert status_of(called.agent.heard()) == 502
    outcome = settled(called)
    assert (outcome.status, outcome.upstream, outcome.fault) == (502, 200, "tool")
    assert not called.agent.transport.closing


def test_a_reset_does_not_pass_for_the_end_of_an_answer():
    called = reading(Reads(whole=True))
    called.agent.says(GET)
    called.tool.says(BODIES["close"])
    called.tool.goes(ConnectionResetError())
    assert status_of(called.agent.heard()) == 502


def test_a_post_is_not_repeated_once_its_answer_has_begun():
    called = reading(Reads(whole=True), tools=2)
    called.agent.says(POST + b"body")
    called.tool.says(BODIES["length"][:-1])
    called.tool.goes()
    assert status_of(called.agent.heard()) == 502
    assert len([side for side in called.tools if side.heard()]) == 1


def test_an_agent_that_goes_ends_the_call():
    called = reading(Reads(whole=True))
    called.agent.says(GET)
    called.tool.says(BODIES["length"][:-1])
    called.agent.goes()
    outcome = settled(called)
    assert (outcome.status, outcome.upstream, outcome.fault, outcome.sent) == (499, 200, "agent", 0)
    assert called.tool.transport.aborted


def test_a_reader_that_breaks_at_the_end_lets_nothing_pass():
    called = reading(Reads(whole=True, breaks="end"))
    called.agent.says(GET)
    called.tool.says(OK)
    heard = called.agent.heard()
    assert heard.startswith(b"HTTP/1.1 502 ")
    assert OK.partition(b"\r\n\r\n")[2] not in heard
    assert settled(called).fault == "gateway"


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_an_answer_without_a_body_is_not_gathered(status):
    called = reading(Reads(whole=True))
    called.agent.says(GET)
    called.tool.says(b"HTTP/1.1 " + status + b"\r\n\r\n")
    assert status_of(called.agent.heard()) == int(status[:3])
    assert not called.agent.transport.closing


def test_a_tunnel_that_rules_would_have_to_read_is_not_opened():
    called = reading(Reads(whole=True))
    called.agent.says(GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nahead")
    called.tool.says(b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nsecret")
    heard = called.agent.heard()
    assert status_of(heard) == 502
    assert b"secret" not in heard
    assert called.tool.transport.aborted
    assert b"ahead" not in called.tool.heard()
    assert settled(called).fault == "gateway"


def test_the_tool_is_asked_for_plain_bytes():
    called = reading(Reads(whole=True))
    called.agent.says(GET[:-2] + b"Accept-Encoding: gzip\r\n\r\n")
    ((_, _, fields, _),) = requests(called.tool.heard())
    assert [value for name, value in fields if name.lower() == b"accept-encoding"] == [b"identity"]


# -- through a reader --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("framing", BODIES)
def test_a_reader_that_rewrites_gives_the_body_a_framing_of_its_own(framing, hold):
    called = reading(Reads(hold=hold))
    called.agent.says(GET)
    play(called, framing, bytewise=True)
    (answer,) = answers(called.agent.heard(), ["GET"])
    assert answer[2] == b"SOME BODY"
    assert fields_of(answer)[b"transfer-encoding"] == b"chunked"
    assert not fields_of(answer).keys() & {b"content-length", b"etag"}
    assert settled(called).sent == 9
    assert not called.agent.transport.closing


@pytest.mark.parametrize("framing", BODIES)
def test_to_an_agent_of_1_0_a_rewritten_body_ends_with_the_connection(framing):
    called = reading(Reads())
    called.agent.says(OLD[:-2] + b"Connection: keep-alive\r\n\r\n")
    play(called, framing)
    head, _, body = called.agent.heard().partition(b"\r\n\r\n")
    assert body == b"SOME BODY"
    assert b"Connection: close" in head
    assert called.agent.transport.closing


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_reader_that_only_looks_changes_nothing(framing):
    called, plain = reading(Reads(upper=False)), rig_of(to=BANK)
    for rig in (called, plain):
        rig.agent.says(GET)
        play(rig, framing)
    assert answers(called.agent.heard(), ["GET"]) == answers(plain.agent.heard(), ["GET"])


def test_each_piece_passes_as_it_comes():
    called = reading(Reads())
    called.agent.says(GET)
    called.tool.says(BODIES["length"][:-5])
    assert called.agent.heard().endswith(b"4\r\nSOME\r\n")
    called.tool.says(BODIES["length"][-5:])
    assert called.agent.heard() == b"5\r\n BODY\r\n0\r\n\r\n"


def test_an_answer_that_is_read_lets_others_have_their_turn_between_long_pieces():
    async def played() -> None:
        called = reading(Reads())
        called.agent.says(GET)
        called.tool.says(b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n")
        called.tool.says(b"x" * 100_000)
        assert not called.tool.transport.reading
        await asyncio.sleep(0)
        assert called.tool.transport.reading
        called.tool.says(b"x" * 100_000)
        called.agent.protocol.pause_writing()
        await asyncio.sleep(0)
        assert not called.tool.transport.reading, "the agent is slow"
        called.agent.protocol.resume_writing()
        assert called.tool.transport.reading

    asyncio.run(played())


def test_what_is_held_back_makes_no_empty_chunk():
    """An empty chunk would end the body."""
    called = reading(Reads(hold=True))
    called.agent.says(GET)
    called.tool.says(BODIES["length"][:-5])
    assert called.agent.heard().endswith(b"\r\n\r\n"), "the head goes out, nothing of the body"
    called.tool.says(BODIES["length"][-5:])
    assert called.agent.heard() == b"9\r\nSOME BODY\r\n0\r\n\r\n"


@pytest.mark.parametrize("at", ["feed", "end"])
def test_a_looking_reader_that_breaks_does_not_break_the_answer(at, caplog):
    called = reading(Reads(upper=False, breaks=at))
    called.agent.says(GET)
    called.tool.says(OK)
    assert answers(called.agent.heard(), ["GET"])[0][2] == b"hi"
    assert "could not be read" in caplog.text
    assert settled(called).fault == ""


@pytest.mark.parametrize("at", ["feed", "end"])
@pytest.mark.parametrize("asked", [GET, OLD])
def test_a_rewriting_reader_that_breaks_ends_the_answer_so_that_the_agent_can_tell(at, asked, caplog):
    called = reading(Reads(hold=True, breaks=at))
    called.agent.says(asked)
    called.tool.says(OK)
    heard = called.agent.heard()
    assert b"hi" not in heard.lower().partition(b"\r\n\r\n")[2]
    assert not heard.endswith(b"0\r\n\r\n"), "an end that cannot be taken for a good one"
    assert called.agent.transport.closing
    assert called.agent.transport.aborted is (asked == OLD)
    assert settled(called).fault == "gateway"
    assert "could not be read" in caplog.text


def test_an_answer_that_breaks_off_does_not_give_what_was_held_back():
    called = reading(Reads(hold=True))
    called.agent.says(GET)
    called.tool.says(BODIES["length"][:-1])
    called.tool.goes()
    assert b"SOME" not in called.agent.heard()
    assert called.agent.transport.closing
    assert (settled(called).upstream, settled(called).fault) == (200, "tool")


# -- a body that a reader changed --------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"quite another body"])
@pytest.mark.parametrize("chunked", [True, False])
def test_a_changed_body_goes_out_with_its_length(body, chunked):
    called = rig_of(to=BANK, reader=WantsBody(body))
    if chunked:
        called.agent.says(POST.replace(b"Content-Length: 4", b"Transfer-Encoding: chunked") + b"4\r\nbody\r\n0\r\n\r\n")
    else:
        called.agent.says(POST, b"bo", b"dy")
    ((_, _, fields, sent),) = requests(called.tool.heard())
    told = [(name.lower(), value) for name, value in fields]
    assert sent == body
    assert (b"content-length", b"%d" % len(body)) in told
    assert b"transfer-encoding" not in dict(told)
    called.tool.says(OK)
    assert answers(called.agent.heard(), ["POST"])[0][0] == 200
    assert settled(called).received == 4
    assert called.pool.idle, "the tool's connection lives on"


class WantsBody(Speaks):
    """Reads the body ahead and changes it."""

    def __init__(self, body: bytes) -> None:
        super().__init__(None, BANK, body=body)

    def wants_body(self, request) -> bool:
        return True
