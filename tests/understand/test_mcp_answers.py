"""Answers of MCP servers: lists without what is not granted, results judged or looked at, everything else untouched."""

from __future__ import annotations

import json
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Answered, Reason
from gateway.understand.sse import EventParser
from tests.builders import request, tool
from tests.understand.mcp_world import (
    NOTES,
    OK_EVENTS,
    OK_JSON,
    Judge,
    Offered,
    asked,
    post,
    read,
    reader,
    through,
)

SEARCH = '{"name": "search", "inputSchema": {"maximum": 18446744073709551616, "x": 1e3}}'
DELETE = '{"name":"delete","inputSchema":{}}'
_PAGE = f'{{"tools":[{SEARCH},{DELETE}],"nextCursor":"p\\u0032","x-own":[1e3]}}'
LIST = f'{{"jsonrpc":"2.0","id":1,"result":{_PAGE}}}'.encode()
DONE = b'{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"the secret"}]}}'
FAILED = b'{"jsonrpc":"2.0","id":7,"result":{"content":[],"isError":true}}'
ERROR = b'{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"no"}}'
PROGRESS = b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"result":1,"progress":1}}'
ASKS = b'{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"message":"the secret?"}}'


def only(*operations: str) -> Judge:
    return Judge(offers=lambda operation, facts: operation in operations)


def called(by=None, *fields, name: str = "search"):
    return asked(by or reader(), "tools/call", {"name": name}, *fields, ident=7)


def sse(*messages: bytes, ends: str = "\n") -> bytes:
    """Messages as a stream, each with an id and a comment between."""
    events = [f"id: {at}{ends}event: message{ends}data: {one.decode()}{ends}{ends}" for at, one in enumerate(messages)]
    return f": alive{ends}{ends}".join(events).encode()


def data_of(stream: bytes) -> list[object]:
    return [orjson.loads(event.data) for event in EventParser().feed(stream) if event.data]


# -- lists ------------------------------------------------------------------------------------------------------------


def test_a_list_of_which_everything_is_granted_keeps_its_bytes():
    by = reader()
    answer = by.answer(asked(by, "tools/list"), OK_JSON, Judge())
    assert through(answer, [LIST]) == LIST
    assert answer.refusal() is None


def test_a_list_leaves_out_what_the_agent_may_not_call_and_keeps_the_bytes_of_the_rest():
    catalogue = Offered()
    by = reader(catalogue=catalogue)
    answer = by.answer(asked(by, "tools/list"), OK_JSON, only("search"))
    assert answer.whole
    got = through(answer, [LIST[:50], LIST[50:]])
    assert SEARCH.encode() in got
    assert b"delete" not in got
    assert b'"x-own":[1e3]' in got
    assert orjson.loads(got)["result"]["nextCursor"] == "p2"
    assert catalogue.learnt == [(["search", "delete"], False)], "what was learnt is the whole page"


@pytest.mark.parametrize(
    ("params", "page", "complete"),
    [
        ({}, {}, True),
        ({"cursor": "p2"}, {}, False),
        ({}, {"nextCursor": "p2"}, False),
        ({"_meta": {"progressToken": 1}}, {"nextCursor": ""}, True),
    ],
)
def test_only_a_first_page_without_a_next_is_the_whole_list(params, page, complete):
    catalogue = Offered()
    by = reader(catalogue=catalogue)
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": "a"}], **page}})
    through(by.answer(asked(by, "tools/list", params), OK_JSON, Judge()), [body])
    assert catalogue.learnt == [(["a"], complete)]


@pytest.mark.parametrize(("verdict", "stays"), [("refuse", False), ("approve", False), ("warn", True), ("", True)])
def test_a_tool_that_its_pin_keeps_from_being_called_is_not_offered(verdict, stays):
    by = reader(catalogue=Offered(verdicts={"delete": (verdict, "changed")}))
    got = through(by.answer(asked(by, "tools/list"), OK_JSON, Judge()), [LIST])
    assert (b"delete" in got) is stays


def test_rules_of_lists_see_what_the_tool_says_of_itself():
    catalogue = Offered(annotations={"search": {"readOnlyHint": True}})
    by = reader(catalogue=catalogue)
    judge = Judge(offers=lambda operation, facts: facts["tool.readOnly"] and facts["mcp.name"] == operation)
    got = through(by.answer(asked(by, "tools/list"), OK_JSON, judge), [LIST])
    assert [entry["name"] for entry in json.loads(got)["result"]["tools"]] == ["search"]


@pytest.mark.parametrize(
    ("method", "key", "entry", "operation"),
    [
        ("resources/list", "resources", {"uri": "notes://1"}, "resources/read notes://1"),
        ("resources/templates/list", "resourceTemplates", {"uriTemplate": "n://{x}"}, "resources/read n://{x}"),
        ("prompts/list", "prompts", {"name": "greet"}, "prompts/get greet"),
        ("tools/list", "tools", {"name": "tools/list"}, "tools/call tools/list"),
    ],
)
def test_entries_of_every_list_are_judged_by_the_operation_that_uses_them(method, key, entry, operation):
    by = reader()
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "result": {key: [entry, {"title": "nameless"}, 7]}})
    got = through(by.answer(asked(by, method), OK_JSON, only(operation)), [body])
    assert orjson.loads(got)["result"] == {key: [entry]}
    got = through(by.answer(asked(by, method), OK_JSON, only()), [body])
    assert orjson.loads(got)["result"] == {key: []}


def test_a_list_that_was_made_for_one_agent_may_not_be_cached_for_others():
    by = reader()
    result = {"tools": [{"name": "a"}, {"name": "b"}], "ttlMs": 1000, "cacheScope": "public", "resultType": "complete"}
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "result": result})
    got = orjson.loads(through(by.answer(asked(by, "tools/list"), OK_JSON, only("a")), [body]))["result"]
    assert got == result | {"tools": [{"name": "a"}], "cacheScope": "private"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc":"2.0","id":1,"result":{"tools":[],"tools":[{"name":"delete"}]}}',
        b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"delete"}]}}',
        '{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"delete"}]}}'.encode("utf-16"),
        b"delete",
        b'"delete"',
    ],
)
def test_a_list_that_cannot_be_read_in_one_way_is_refused(body):
    by = reader()
    answer = by.answer(asked(by, "tools/list"), OK_JSON, only("search"))
    assert through(answer, [body]) == b""
    assert answer.refusal().reason is Reason.RESULT_UNREADABLE
    assert answer.found().refusal is answer.refusal()


def test_a_list_in_a_stream_is_filtered_in_its_event():
    by = reader()
    answer = by.answer(asked(by, "tools/list"), OK_EVENTS, only("search"))
    assert not answer.whole
    got = through(answer, [sse(PROGRESS, LIST)])
    assert got.startswith(sse(PROGRESS))
    assert b"id: 1\nevent: message\ndata: {" in got
    assert [entry["name"] for entry in json.loads(EventParser().feed(got)[-1].data)["result"]["tools"]] == ["search"]


def test_a_list_that_comes_by_a_resumed_stream_is_filtered_too():
    by = reader()
    call = read(by, request("GET", "/notes", [("Last-Event-ID", "3")]))
    got = through(by.answer(call, OK_EVENTS, only("search")), [b"data: ping\n\n" + sse(ASKS, LIST)])
    assert got.startswith(b"data: ping\n\n" + sse(ASKS))
    assert b"delete" not in got


def test_a_list_in_a_batch_is_filtered_and_its_neighbours_keep_their_bytes():
    by = reader()
    call = read(by, *post([{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}]))
    body = b"[" + DONE + b"," + LIST + b"]"
    got = through(by.answer(call, OK_JSON, only("search")), [body])
    assert got.startswith(b"[" + DONE + b",")
    assert b"delete" not in got
    assert through(by.answer(call, OK_JSON, Judge()), [body]) == body
    assert b"delete" not in through(by.answer(call, OK_EVENTS, only("search")), [sse(body)])


def test_a_compressed_answer_that_had_to_be_read_is_refused():
    by = reader()
    coded = Answered(200, 0.01, "application/json", "gzip")
    answer = by.answer(asked(by, "tools/list"), coded, Judge())
    assert through(answer, [b"\x1f\x8b"]) == b""
    assert answer.refusal().reason is Reason.RESULT_UNREADABLE


# -- results ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answered", "body"),
    [(OK_JSON, lambda one: one), (OK_JSON, lambda one: b"[" + one + b"]"), (OK_EVENTS, lambda one: sse(PROGRESS, one))],
)
@pytest.mark.parametrize(("message", "failed"), [(DONE, False), (FAILED, True), (ERROR, True)])
def test_whether_a_tool_failed_is_seen_while_the_bytes_pass(answered, body, message, failed):
    by = reader()
    answer = by.answer(called(by), answered, Judge())
    assert (answer.rewrites, answer.whole, answer.refusal()) == (False, False, None)
    pieces = [body(message)[:30], body(message)[30:]]
    assert [answer.feed(piece) for piece in pieces] == pieces
    assert answer.end() == b""
    assert (answer.found().is_error, answer.found().result) == (failed, None)


def test_a_result_is_kept_where_a_price_reads_it():
    by = reader()
    for answered, body in ((OK_JSON, DONE), (OK_EVENTS, sse(PROGRESS, DONE))):
        answer = by.answer(called(by), answered, Judge(wants=True))
        assert through(answer, [body]) == body
        assert answer.found().result == orjson.loads(DONE)["result"]


@pytest.mark.parametrize("body", [b"", b"?", b"[]", b"[1]", b'{"result":[]}', b'{"result":{"isError":"yes"}}', b"\xff"])
def test_whatever_a_tool_says_passes_where_nobody_judges_it(body):
    by = reader()
    for answered in (OK_JSON, OK_EVENTS):
        answer = by.answer(called(by), answered, Judge(wants=True))
        assert answer.feed(body) == body
        assert answer.end() == b""
        assert not answer.found().is_error


def test_an_answer_too_long_to_be_read_passes_with_a_note():
    by = reader(to=tool("notes", protocol="mcp", base_path="/mcp", answer_limit=50))
    for answered, body in ((OK_JSON, FAILED), (OK_EVENTS, sse(FAILED))):
        answer = by.answer(called(by), answered, Judge())
        assert answer.feed(body[:-1]) + answer.feed(body[-1:]) == body
        assert answer.end() == b""
        assert (answer.found().is_error, answer.found().notes) == (False, ("the answer was too long to be read",))


def test_a_result_is_judged_before_the_agent_gets_it():
    by, judge = reader(), Judge(refuses="secret")
    answer = by.answer(called(by), OK_JSON, judge)
    assert answer.whole
    assert through(answer, [DONE]) == b""
    assert answer.refusal().detail == "no secrets"
    assert answer.found().refusal is answer.refusal()
    assert judge.judged[0].result == orjson.loads(DONE)["result"]


def test_a_result_that_no_rule_refuses_passes_as_it_came():
    by, judge = reader(), Judge(reads=True)
    for message, failed in ((DONE, False), (FAILED, True), (ERROR, True)):
        answer = by.answer(called(by), OK_JSON, judge)
        assert through(answer, [message]) == message
        assert judge.judged[-1].is_error is failed
    assert judge.judged[-1].result == {"error": {"code": -32602, "message": "no"}}


@pytest.mark.parametrize("body", [b"the secret", b'"the secret"', b'{"result":{"a":1,"a":2}}', b"[1]"])
def test_a_result_that_no_rule_can_read_is_refused(body):
    by = reader()
    answer = by.answer(called(by), OK_JSON, Judge(reads=True))
    got = through(answer, [body])
    assert b"secret" not in got
    assert answer.found().refusal.reason is Reason.RESULT_UNREADABLE


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_in_a_stream_the_result_is_judged_and_all_other_events_pass(ends):
    by = reader()
    answer = by.answer(called(by), OK_EVENTS, Judge(refuses="secret"))
    head = sse(PROGRESS, ASKS, ends=ends)
    tail = f"id: 9{ends}data: {DONE.decode()}{ends}{ends}".encode()
    assert answer.feed(head + (b"" if ends != "\r" else b": alive\r\r")).startswith(head[:-1])
    got = answer.feed(tail) + answer.end()
    (refused,) = [message for message in data_of(got) if "result" in message]
    assert refused["id"] == 7
    assert refused["result"]["isError"] is True
    assert b"id: 9\n" in got
    assert b'the secret"' not in got
    assert answer.refusal() is None
    assert answer.found().refusal.detail == "no secrets"


def test_the_id_of_a_judged_response_does_not_matter_since_clients_take_any_for_theirs():
    by = reader()
    answer = by.answer(called(by), OK_EVENTS, Judge(refuses="secret"))
    got = through(answer, [sse(DONE.replace(b'"id":7', b'"id":"another"'))])
    assert data_of(got)[0]["id"] == "another"
    assert b"the secret" not in got


def test_an_event_that_was_cut_is_judged_as_clients_that_read_it_would():
    by = reader()
    answer = by.answer(called(by), OK_EVENTS, Judge(refuses="secret"))
    assert b"the secret" not in through(answer, [b"data: " + DONE])


def test_a_stream_with_an_event_too_long_to_be_judged_ends_with_a_refusal():
    by = reader(to=tool("notes", protocol="mcp", base_path="/mcp", answer_limit=200))
    answer = by.answer(called(by), OK_EVENTS, Judge(reads=True))
    long = sse(DONE.replace(b"the secret", b"the secret" * 30))
    got = answer.feed(sse(PROGRESS) + long[:250]) + answer.feed(long[250:]) + answer.feed(sse(DONE)) + answer.end()
    assert got.startswith(sse(PROGRESS))
    assert b"secret" not in got
    assert data_of(got)[-1]["result"]["_meta"]["toolgate/refusal"]["reason"] == "result_unreadable"


def test_refused_results_are_written_as_the_revision_and_the_configuration_say():
    by = reader(refusal="error")
    answer = by.answer(called(by), OK_EVENTS, Judge(refuses="secret"))
    assert data_of(through(answer, [sse(DONE)]))[0]["error"]["code"] == 1403
    by = reader()
    answer = by.answer(called(by, ("MCP-Protocol-Version", "2026-07-28")), OK_EVENTS, Judge(refuses="secret"))
    assert data_of(through(answer, [sse(DONE)]))[0]["result"]["resultType"] == "complete"


def test_in_a_batch_each_response_is_judged():
    by = reader()
    message = {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "search"}}
    call = read(by, *post([message | {"id": 7}, message | {"id": 8}]))
    other = DONE.replace(b"secret", b"weather").replace(b'"id":7', b'"id":8')
    got = through(by.answer(call, OK_JSON, Judge(refuses="secret")), [b"[" + DONE + b"," + other + b"]"])
    assert [answer["id"] for answer in orjson.loads(got)] == [7, 8]
    assert other in got
    assert b"the secret" not in got


# -- results that come another way ------------------------------------------------------------------------------------


def test_a_result_that_rules_must_see_with_its_call_is_not_had_by_resuming_a_stream():
    by = reader(judges_results=True)
    call = read(by, request("GET", "/notes", [("Last-Event-ID", "3")]))
    answer = by.answer(call, OK_EVENTS, Judge())
    got = through(answer, [sse(ASKS, PROGRESS, DONE)])
    assert got.startswith(sse(ASKS, PROGRESS))
    assert b'the secret"}' not in got
    assert data_of(got)[-1]["result"]["isError"] is True
    assert answer.found().refusal.reason is Reason.RESULT_DENIED


def test_nor_as_the_result_of_a_task():
    by = reader(judges_results=True)
    answer = by.answer(asked(by, "tasks/result", {"taskId": "1"}), OK_JSON, Judge())
    assert through(answer, [DONE]) == b""
    assert answer.refusal().reason is Reason.RESULT_DENIED
    answer = by.answer(asked(by, "tasks/result", {"taskId": "1"}), OK_JSON, Judge(reads=True))
    assert through(answer, [DONE]) == DONE, "a rule that names tasks/result judges it"


def test_without_rules_for_results_streams_can_be_resumed():
    by = reader()
    call = read(by, request("GET", "/notes", [("Last-Event-ID", "3")]))
    assert through(by.answer(call, OK_EVENTS, Judge()), [sse(DONE)]) == sse(DONE)


# -- what is not read -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["initialize", "ping", "subscriptions/listen", "notifications/cancelled"])
def test_what_keeps_a_session_going_passes_unread(method):
    by = reader()
    assert by.answer(asked(by, method), OK_EVENTS, Judge()) is None


@pytest.mark.parametrize("status", [202, 204, 302, 400, 404, 500])
def test_so_does_what_is_no_success(status):
    by = reader()
    assert (
        status == 204 or by.answer(asked(by, "tools/list"), Answered(status, 0.0, "application/json"), Judge()) is None
    )


@pytest.mark.parametrize(("kind", "coding"), [("text/html", ""), ("application/json", "gzip")])
def test_so_does_a_result_of_another_kind_that_nobody_judges(kind, coding):
    by = reader()
    assert by.answer(called(by), Answered(200, 0.0, kind, coding), Judge()) is None


def test_plain_http_has_plain_answers():
    by = reader()
    call = read(by, request("GET", "/notes/.well-known/x"))
    assert by.answer(call, OK_JSON, Judge()) is None
    assert not by.plain(call)
    assert by.plain(called(by))
    assert by.plain(read(by, request("GET", "/notes")))


# -- however it comes -------------------------------------------------------------------------------------------------


@given(
    st.lists(st.sampled_from([DONE, FAILED, ERROR, PROGRESS, ASKS, LIST]), max_size=5),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(0, 4000), max_size=8),
    st.sampled_from([Judge(), Judge(refuses="secret"), only("search")]),
    st.sampled_from(["tools/list", "tools/call"]),
)
def test_any_cutting_of_any_stream_gives_the_agent_the_same(messages, ends, places, judge, method):
    by = reader(to=NOTES)
    stream = sse(*messages, ends=ends)
    at = [0, *sorted({place % (len(stream) + 1) for place in places}), len(stream)]
    call = asked(by, method, {"name": "search"})
    whole = through(by.answer(call, OK_EVENTS, judge), [stream])
    assert through(by.answer(call, OK_EVENTS, judge), [stream[a:b] for a, b in pairwise(at)]) == whole
    if type(judge) is Judge and not judge.reads_result and judge.lists("delete", {}):
        assert whole == stream


@given(st.binary(max_size=60), st.sampled_from([OK_JSON, OK_EVENTS]), st.booleans())
def test_no_answer_of_a_tool_breaks_the_gateway(body, answered, judged):
    by = reader()
    for call in (called(by), asked(by, "tools/list")):
        answer = by.answer(call, answered, Judge(reads=judged))
        through(answer, [body])
        assert answer.found() is not None
