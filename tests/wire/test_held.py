"""A call that waits for a person keeps its agent's connection alive, and what comes of it ends the stream."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

import orjson
import pytest

from gateway.decide.shapes import Judgement
from gateway.errors import Refused
from gateway.model import Permit, Question, Reason, Ruling
from gateway.understand import sse
from tests.builders import tool
from tests.drive import Drive
from tests.understand.llm_support import Judge, chat_stream, chunk, delta
from tests.understand.mcp_world import Judge as McpJudge
from tests.understand.mcp_world import reader as mcp_reader
from tests.understand.test_llm import CHAT
from tests.understand.test_llm import reader as llm_reader
from tests.wire.rig import Rig, answers, requests, untimed

NOTES = tool("notes", ("http", "127.0.0.1", 7001), protocol="mcp", body_limit=100_000)
EVERY = 5.0
TOOL_CALL = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "pay", "arguments": {"n": 1}}}
RESULT = {"jsonrpc": "2.0", "id": 7, "result": {"content": [{"type": "text", "text": "paid"}]}}
BEAT, THEN = b": waiting for a person\n\n", b": waiting for the tool\n\n"
APPROVED = Ruling(True, "ap-1", ("ada",), "approve")
PENDING = Ruling(
    False, "ap-1", verb="pending", message="waiting for a person: too much", reason=Reason.APPROVAL_PENDING
)


class Desk:
    """Holds each call until the test rules."""

    def __init__(self) -> None:
        self.asked: list[asyncio.Future[Ruling]] = []
        self.settled: list[str] = []
        self.released: list[str] = []

    def ask(self, call, petition):
        self.asked.append(asyncio.get_running_loop().create_future())
        return self.asked[-1]

    async def claim(self, ruling, call):
        return True

    def settle(self, ruling, call, outcome):
        self.settled.append(ruling.approval)

    def release(self, ruling, call):
        self.released.append(ruling.approval)


class Results:
    """Results that this judge reads."""

    any_results = any_asks = False

    def __init__(self, judge: Any) -> None:
        self._judge = judge

    def of(self, call, price, *, priced, hears):
        return self._judge


class Held:
    """One call that is held, on the wire."""

    def __init__(self, reader: Any = None, *, keep_alive: float = EVERY, **rest: Any) -> None:
        self.desk = Desk()
        self.reader = reader or mcp_reader(to=NOTES)
        check = Judgement(questions=(Question("payments/large", "too much"),))
        drive = Drive(
            check, to=self.reader.tool, reader=self.reader, quotas=(), desk=self.desk, keep_alive=keep_alive, **rest
        )
        self.rig = Rig(drive=drive)
        self.began = monotonic()

    async def says(self, body: object, *fields: str, path: str = "/notes/mcp", version: str = "1.1") -> None:
        data = orjson.dumps(body)
        given = ("Content-Type: application/json", f"Content-Length: {len(data)}", *fields)
        head = f"POST {path} HTTP/{version}\r\nHost: 127.0.0.1:8080\r\n" + "".join([f"{field}\r\n" for field in given])
        self.rig.agent.says(head.encode() + b"\r\n" + data)
        await turns()

    async def later(self, seconds: float) -> None:
        self.rig.agent.protocol.check(self.began + seconds)
        await turns()

    async def rules(self, ruling: Ruling) -> None:
        self.desk.asked[-1].set_result(ruling)
        await turns()

    def heard(self) -> tuple[int, dict[bytes, bytes], bytes]:
        ((status, fields, body),) = answers(self.rig.agent.heard(), ["POST"])
        return status, dict(fields), body


async def turns() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


async def waiting(accept: str = "application/json, text/event-stream", **settings: Any) -> Held:
    """A tool call for which the stream is open, with one beat."""
    held = Held(**settings)
    await held.says(TOOL_CALL, f"Accept: {accept}")
    await held.later(EVERY + 1)
    return held


def events(body: bytes) -> list[Any]:
    """The messages of a stream; its comments are left out."""
    return [orjson.loads(event.data) for event in sse.EventParser(1 << 20).feed(body) if event.data]


def ok(body: bytes, kind: str = "application/json", status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def test_nothing_is_sent_before_its_time_and_then_the_tools_answer_is_as_ever():
    held = Held()
    await held.says(TOOL_CALL, "Accept: text/event-stream")
    await held.later(EVERY - 1)
    assert held.rig.agent.heard() == b""
    await held.rules(APPROVED)
    await held.later(10 * EVERY)
    held.rig.tool.says(ok(orjson.dumps(RESULT)))
    status, fields, body = held.heard()
    assert (status, fields[b"Content-Type"], body) == (200, b"application/json", orjson.dumps(RESULT))


async def test_the_stream_is_framed_byte_for_byte():
    held = await waiting()
    opened = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\n"
        b"X-Toolgate-Call: call-7\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    assert held.rig.agent.heard() == opened + b"18\r\n" + BEAT + b"\r\n"
    await held.later(EVERY + 2)
    assert held.rig.agent.heard() == b"", "not so soon again"
    await held.later(2 * EVERY + 2)
    assert held.rig.agent.heard() == b"18\r\n" + BEAT + b"\r\n"


async def test_a_json_answer_of_the_tool_is_one_event_and_its_lines_are_a_comment():
    held = await waiting()
    await held.rules(APPROVED)
    assert requests(held.rig.tool.heard())[0][3] == orjson.dumps(TOOL_CALL)
    held.rig.tool.says(ok(orjson.dumps(RESULT)))
    status, fields, body = held.heard()
    assert (status, fields[b"Content-Type"]) == (200, b"text/event-stream")
    assert events(body) == [RESULT]
    assert body.startswith(BEAT + b": Server-Timing: decide;dur=")
    assert b"\n: X-Toolgate-Call: call-7\n\nevent: message\ndata: " in body
    (trace,) = held.rig.traces
    assert (trace.outcome.status, trace.outcome.upstream, trace.outcome.fault) == (200, 200, "")
    assert trace.outcome.sent == len(body)
    assert held.desk.settled == ["ap-1"]


async def test_an_event_stream_of_the_tool_goes_on_as_it_comes():
    held = await waiting()
    await held.rules(APPROVED)
    first, last = sse.event(b'{"jsonrpc":"2.0","method":"notifications/x"}'), sse.event(orjson.dumps(RESULT), "message")
    held.rig.tool.says(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + first)
    so_far = held.rig.agent.heard()
    assert so_far.endswith(b"%x\r\n%b\r\n" % (len(first), first)), "at once, in a chunk of its own"
    held.rig.tool.says(last)
    held.rig.tool.goes()
    ((_, _, body),) = answers(so_far + held.rig.agent.heard(), ["POST"])
    assert body.endswith(b"\n\n" + first + last)


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (ok(b"no such session", "text/plain", "404 Not Found"), 1404, "HTTP status 404"),
        (ok(b"", "application/json", "202 Accepted"), 1202, "HTTP status 202"),
        (ok(b'{"a":1}'), 1200, "HTTP status 200"),
        (b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://evil.test/\r\nContent-Length: 0\r\n\r\n", 1307, "307"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 1204, "204"),
    ],
)
async def test_what_is_no_message_becomes_an_error_of_json_rpc(answer: bytes, code: int, said: str):
    held = await waiting()
    await held.rules(APPROVED)
    held.rig.tool.says(answer)
    _, _, body = held.heard()
    (message,) = events(body)
    assert (message["id"], message["error"]["code"]) == (7, code)
    assert said in message["error"]["message"]
    assert held.rig.traces[0].outcome.upstream == code - 1000


async def test_an_error_of_the_server_in_json_rpc_stays_its_own():
    held = await waiting()
    await held.rules(APPROVED)
    error = {"jsonrpc": "2.0", "id": 7, "error": {"code": -32602, "message": "unknown tool"}}
    held.rig.tool.says(ok(orjson.dumps(error), status="400 Bad Request"))
    assert events(held.heard()[2]) == [error]


async def test_a_tool_that_breaks_off_before_its_answer_is_an_error_in_the_stream():
    held = await waiting()
    await held.rules(APPROVED)
    held.rig.tool.says(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{")
    held.rig.tool.goes()
    (message,) = events(held.heard()[2])
    assert message["result"]["isError"] is True
    assert "broke off" in message["result"]["content"][0]["text"]
    assert held.rig.traces[0].outcome.fault == "tool"


async def test_an_answer_over_the_limit_is_an_error_in_the_stream():
    held = await waiting(reader=mcp_reader(to=tool("notes", protocol="mcp", body_limit=1000, answer_limit=50)))
    await held.rules(APPROVED)
    held.rig.tool.says(ok(b"x" * 51))
    assert events(held.heard()[2])[0]["result"]["isError"] is True


async def test_beats_go_on_while_the_tool_works():
    held = await waiting()
    await held.rules(APPROVED)
    held.rig.agent.heard()
    await held.later(2 * EVERY + 2)
    assert held.rig.agent.heard() == b"%x\r\n%b\r\n" % (len(THEN), THEN)
    held.rig.tool.says(ok(orjson.dumps(RESULT)))
    assert held.rig.traces[0].outcome.upstream == 200


async def test_a_refusal_ends_the_stream_as_the_protocols_message():
    held = await waiting()
    await held.rules(PENDING)
    status, _, body = held.heard()
    (message,) = events(body)
    assert status == 200
    assert message["result"]["_meta"]["toolgate/refusal"]["approval_id"] == "ap-1"
    (trace,) = held.rig.traces
    assert (trace.outcome.status, trace.outcome.sent) == (200, len(body))
    assert trace.decision.reason is Reason.APPROVAL_PENDING


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
@pytest.mark.parametrize("refuses", ["", "paid"])
async def test_an_answer_that_rules_read_whole_is_the_end_of_the_stream_or_what_is_told_instead(
    kind: str, refuses: str
):
    held = await waiting(results=Results(McpJudge(refuses=refuses, reads=True)))
    await held.rules(APPROVED)
    answer = orjson.dumps(RESULT)
    held.rig.tool.says(ok(answer if kind == "application/json" else sse.event(answer, "message"), kind))
    (message,) = events(held.heard()[2])
    assert (message == RESULT) is not bool(refuses)
    assert message["result"].get("isError", False) is bool(refuses)
    assert held.rig.traces[0].outcome.upstream == 200


async def test_progress_is_told_to_who_asked_for_it_and_grows():
    held = Held()
    asking = {**TOOL_CALL, "params": {**TOOL_CALL["params"], "_meta": {"progressToken": "t-1"}}}  # type: ignore[dict-item]
    await held.says(asking, "Accept: text/event-stream")
    await held.later(EVERY + 1)
    await held.later(2 * EVERY + 2)
    await held.rules(APPROVED)
    held.rig.tool.says(ok(orjson.dumps(RESULT)))
    first, second, last = events(held.heard()[2])
    for notice in (first, second):
        assert notice["method"] == "notifications/progress"
        assert notice["params"]["progressToken"] == "t-1"
    assert 0 < first["params"]["progress"] < second["params"]["progress"] < 0.001
    assert last == RESULT


async def test_the_connection_goes_on_with_the_next_request():
    held = await waiting()
    await held.rules(PENDING)
    held.heard()
    await held.says(TOOL_CALL)
    await held.rules(PENDING)
    assert held.heard()[0] == 200
    assert len(held.rig.traces) == 2


@pytest.mark.parametrize(
    ("fields", "version"),
    [(("Accept: application/json",), "1.1"), ((), "1.1"), (("Accept: text/event-stream",), "1.0")],
)
async def test_who_takes_no_stream_waits_in_silence(fields: tuple[str, ...], version: str):
    held = Held()
    await held.says(TOOL_CALL, *fields, version=version)
    await held.later(10 * EVERY)
    assert held.rig.agent.heard() == b""
    await held.rules(PENDING)
    assert held.rig.agent.heard().startswith(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")


async def test_an_agent_that_ends_its_side_of_an_open_stream_has_gone():
    held = await waiting()
    held.rig.agent.ends()
    assert held.rig.agent.transport.closing
    held.rig.agent.goes()
    await turns()
    assert held.desk.asked[0].cancelled()
    assert held.rig.traces[0].outcome.status == 499


async def test_an_agent_that_half_closed_before_is_asked_by_the_stream_alone():
    held = Held()
    await held.says(TOOL_CALL, "Accept: text/event-stream")
    held.rig.agent.ends()
    assert not held.rig.agent.transport.closing
    await held.later(EVERY + 1)
    said = held.rig.agent.heard()
    await held.later(3 * EVERY)
    said += held.rig.agent.heard()
    assert said.count(b"HTTP/1.1 ") == said.count(b"HTTP/1.1 200 OK") == 1, "no interim answer behind the head"


async def test_beats_wait_for_an_agent_that_does_not_read():
    held = await waiting()
    held.rig.agent.heard()
    held.rig.agent.protocol.pause_writing()
    await held.later(2 * EVERY + 2)
    assert held.rig.agent.heard() == b""
    held.rig.agent.protocol.resume_writing()
    await held.later(3 * EVERY + 3)
    assert BEAT in held.rig.agent.heard()


async def test_a_call_that_is_cut_while_it_waits_is_told_so_in_the_stream():
    held = await waiting()
    refused = Refused(Reason.QUARANTINED, 403, "this agent is quarantined")
    assert held.rig.agent.protocol.cut(lambda call: True, refused, running=False)
    (message,) = events(held.heard()[2])
    assert message["result"]["_meta"]["toolgate/refusal"]["reason"] == "quarantined"
    await turns()
    assert held.desk.asked[0].cancelled()


async def test_the_end_of_the_process_is_told_in_the_stream():
    held = await waiting()
    held.rig.agent.protocol.stop()
    (message,) = events(held.heard()[2])
    assert message["result"]["_meta"]["toolgate/refusal"]["reason"] == "draining"


# -- streams of models -----------------------------------------------------------------------------------------------

STREAMED = {**CHAT, "stream": True}
ANSWER = chat_stream(chunk(delta(role="assistant", content="hi")), chunk(delta("stop")))


async def asking(body: object = STREAMED) -> Held:
    held = Held(llm_reader(), results=Results(Judge()))
    await held.says(body, path="/llm/v1/chat/completions")
    await held.later(EVERY + 1)
    return held


async def test_a_models_stream_goes_on_behind_the_beats():
    held = await asking()
    await held.rules(APPROVED)
    held.rig.tool.says(ok(ANSWER, "text/event-stream; charset=utf-8"))
    _, fields, body = held.heard()
    assert fields[b"Content-Type"] == b"text/event-stream"
    assert body.startswith(BEAT)
    assert b'"content":"hi"' in body
    assert body.endswith(b"data: [DONE]\n\n")
    assert isinstance(held.rig.traces[0].decision, Permit)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (ok(b'{"error":{"message":"no such model"}}', status="404 Not Found"), "no such model"),
        (ok(b"oops", "text/html", "500 Oops"), "HTTP status 500"),
    ],
)
async def test_an_error_of_the_provider_is_one_in_the_stream(answer: bytes, said: str):
    held = await asking()
    await held.rules(APPROVED)
    held.rig.tool.says(answer)
    body = held.heard()[2]
    assert body.endswith(b"data: [DONE]\n\n")
    error = orjson.loads(body.split(b"\n\ndata: ")[-2])["error"]
    assert said in error["message"]


async def test_a_request_to_a_model_that_still_waits_is_told_so_as_the_provider_tells_errors():
    held = await asking()
    await held.rules(PENDING)
    status, _, body = held.heard()
    error = orjson.loads(body.split(b"\n\ndata: ")[-2])["error"]
    assert (status, error["code"]) == (200, "approval_pending")
    assert "waiting for a person: too much" in error["message"]


async def test_an_answer_that_is_not_streamed_is_waited_for_in_silence():
    held = await asking(CHAT)
    assert held.rig.agent.heard() == b""
    await held.rules(PENDING)
    assert untimed(held.rig.agent.heard()).startswith(b"HTTP/1.1 403 Forbidden\r\n")
