"""What two results have in common, and what a tool complained of."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Answered, Findings
from gateway.understand.digests import LONGEST, MOST_HASHED, Digested, complaint_in, of_complaint, of_result
from gateway.understand.mcp_answers import Tap

JSON, TEXT = "application/json", "text/plain"
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda one: st.lists(one) | st.dictionaries(st.text(), one),
    max_leaves=10,
)


def read(body: bytes, kind: str = JSON, status: int = 200, encoding: str = "", *, piece: int = 1 << 30) -> Findings:
    """What is found in an answer that comes in pieces."""
    answer = Digested(Answered(status, 0.1, kind, encoding))
    for at in range(0, len(body), piece):
        assert answer.feed(body[at : at + piece]) == body[at : at + piece], "it passes as it comes"
    assert answer.end() == b""
    assert answer.refusal() is None
    return answer.found()


def test_json_counts_by_value():
    assert read(b'{"a": 1, "b": [2]}').digest == read(b'{"b":[2],"a":1}').digest != read(b'{"b":[3],"a":1}').digest


def test_ids_of_the_exchange_do_not_count_at_the_top_and_do_below():
    assert read(b'{"request_id": 1, "a": 1}').digest == read(b'{"request_id": 2, "a": 1}').digest
    assert read(b'{"a": {"request_id": 1}}').digest != read(b'{"a": {"request_id": 2}}').digest


def test_other_answers_count_by_their_bytes():
    assert read(b"one", TEXT).digest == read(b"one", TEXT).digest != read(b"two", TEXT).digest
    assert read(b"\x1f\x8b one", JSON, encoding="gzip").digest != read(b"\x1f\x8b two", JSON, encoding="gzip").digest
    assert read(b"").digest == read(b"", TEXT).digest != ""


@given(st.binary(max_size=400), st.integers(1, 50), st.sampled_from([JSON, TEXT]), st.sampled_from([200, 400]))
def test_the_cuts_between_pieces_do_not_show(body, piece, kind, status):
    assert read(body, kind, status, piece=piece) == read(body, kind, status)


@pytest.mark.parametrize("kind", [JSON, TEXT])
def test_of_long_answers_beginning_and_length_count(kind):
    long = b'"' + b"x" * (2 * MOST_HASHED) + b'"'
    assert read(long, kind, piece=65536).digest == read(long, kind, piece=65536).digest
    assert read(long, kind, piece=65536).digest != read(long + b" ", kind, piece=65536).digest


@pytest.mark.parametrize("depth", [60, 300, 900, 5000])
def test_however_deep_an_answer_is_it_passes(depth):
    read(b"[" * depth + b"]" * depth)
    read(b'{"a":' * depth + b"1" + b"}" * depth, status=400)
    tap = Tap(events=False, keep=False, limit=100_000, compares=True)
    tap.feed(b'{"jsonrpc":"2.0","id":1,"result":{"content":[],"x":' + b"[" * depth + b"]" * depth + b"}}")
    tap.end()


def test_an_answer_that_broke_off_is_like_no_other():
    answer = Digested(Answered(200, 0.1, JSON))
    answer.feed(b'{"a":')
    assert answer.found().digest == ""


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b'{"message": "no such column"}', "no such column"),
        (b'{"error": {"code": 7, "message": "no such column"}}', "no such column"),
        (b'{"errors": [{"detail": "no such column"}]}', "no such column"),
        (b'{"title": "Bad Request", "detail": "no such column"}', "no such column"),
        (b'{"error": "no such column", "status": 400}', "no such column"),
        (b'{"ok": false}', ""),
        (b"[]", ""),
        (b'{"message": {"message": {"message": {"message": {"message": "deep"}}}}}', ""),
        (b"no JSON", "no JSON"),
    ],
)
def test_a_complaint_is_what_apis_say_is_wrong(body, complaint):
    found = read(body, status=400)
    assert (found.complaint, found.is_error) == (complaint, True)


def test_complaints_are_short_and_only_text():
    assert len(read(b"x" * 100_000, TEXT, 400, piece=1000).complaint) == LONGEST
    assert read(b"\x00\xff", "image/png", 400).complaint == ""
    assert read(b"{}", JSON, 400, "gzip").complaint == ""
    assert read(b"it went well", TEXT).complaint == ""


def test_numbers_and_ids_are_not_what_a_complaint_is_about():
    assert of_complaint("request 7f3a-99: line 12, syntax error") == of_complaint(
        "request 1b2c-07: line 9, syntax error"
    )
    assert of_complaint("syntax error") != of_complaint("no such table")


@given(JSON_VALUES)
def test_any_value_has_a_digest_and_a_complaint(value):
    assert len(of_result(value)) == 32
    assert len(complaint_in(value)) <= LONGEST


# -- MCP ------------------------------------------------------------------------------------------------------------


def tapped(*messages: object, events: bool = False, compares: bool = True) -> Findings:
    tap = Tap(events=events, keep=False, limit=100_000, compares=compares)
    for message in messages:
        data = orjson.dumps(message)
        tap.feed(b"data: " + data + b"\n\n" if events else data)
    tap.end()
    return tap.found()


def result(text: str, *, id_: int = 1, error: bool = False, **more: object) -> dict[str, object]:
    content = [{"type": "text", "text": text}]
    return {"jsonrpc": "2.0", "id": id_, "result": {"content": content, "isError": error, **more}}


@pytest.mark.parametrize("events", [False, True])
def test_results_of_mcp_count_without_the_message_around_them(events):
    one = tapped(result("a", id_=1, _meta={"took": 5}), events=events)
    assert one.digest == tapped(result("a", id_=2, _meta={"took": 7}), events=events).digest != ""
    assert one.digest != tapped(result("b"), events=events).digest


def test_what_else_a_stream_brings_does_not_count():
    progress = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1}}
    assert tapped(progress, result("a"), events=True).digest == tapped(result("a"), events=True).digest


def test_a_tool_that_failed_says_what_it_complains_of():
    found = tapped(result("no such file: /tmp/7", error=True))
    assert (found.is_error, found.complaint) == (True, "no such file: /tmp/7")
    assert found.digest == tapped(result("no such file: /tmp/8", error=True)).digest
    error = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32602, "message": "unknown tool"}}
    assert (tapped(error).complaint, tapped(error).is_error) == ("unknown tool", True)


def test_all_results_of_a_batch_count():
    assert tapped([result("a"), result("b")]).digest != tapped([result("a"), result("c")]).digest


def test_what_nobody_compares_costs_nothing():
    found = tapped(result("a", error=True), compares=False)
    assert (found.digest, found.complaint) == ("", "")


def test_an_answer_too_long_to_be_read_is_like_no_other():
    assert tapped(result("x" * 200_000)).digest == ""
