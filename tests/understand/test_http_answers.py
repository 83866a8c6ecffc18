"""A plain HTTP answer as rules and prices see it: one JSON object, or a note why there is none."""

from __future__ import annotations

import gzip
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Answered, Findings, Reason, Refusal, Route, Run
from gateway.understand.http import HttpReader
from gateway.understand.http_answers import JsonAnswer
from tests.builders import ANYBODY, call, request, tool

NO = Refusal(Reason.RESULT_DENIED, 403, "no", "p/r")


class Judge:
    """Refuses what it is told to, and notes what it was asked."""

    def __init__(self, refusal: Refusal | None = None, *, reads: bool = True, fields: tuple[str, ...] = ()) -> None:
        self.reads_result = reads
        self.fields = fields
        self.wants_result = True
        self.compares = False
        self._refusal = refusal
        self.asked: list[tuple[int, Findings]] = []

    def result(self, status: int, found: Findings) -> Refusal | None:
        self.asked.append((status, found))
        return self._refusal


def answered(status: int = 200, kind: str = "application/json", coding: str = "") -> Answered:
    return Answered(status, 0.1, kind, coding)


def read(body: bytes, head: Answered | None = None, judge: Judge | None = None, limit: int = 100) -> JsonAnswer:
    """The answer after this body came in pieces of 7 bytes."""
    answer = JsonAnswer(head or answered(), judge or Judge(), limit)
    passed = b"".join(answer.feed(body[at : at + 7]) for at in range(0, len(body), 7)) + answer.end()
    assert passed == body, "the agent gets the bytes that came, whatever is made of them"
    return answer


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/problem+json",
        " application/json ",
    ],
)
@pytest.mark.parametrize("coding", ["", "identity", " Identity "])
@pytest.mark.parametrize("reads", [True, False])
def test_a_json_object_is_the_result(kind, coding, reads):
    answer = read(b'{"a": [1]}', answered(200, kind, coding), Judge(reads=reads))
    assert answer.found() == Findings(result={"a": [1]})


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_a_status_that_is_an_error_is_one(status):
    assert read(b"{}", answered(status)).found() == Findings(is_error=True, result={})
    assert not read(b"{}", answered(399)).found().is_error


@pytest.mark.parametrize(
    ("head", "body", "why"),
    [
        (answered(200, "text/plain"), b"{}", "text/plain, not JSON"),
        (answered(200, ""), b"{}", "of no type, not JSON"),
        (answered(200, "text/json"), b"{}", "not JSON"),
        (answered(200, "application/jsonp"), b"{}", "not JSON"),
        (answered(200, "text/event-stream"), b"data: {}\n\n", "not JSON"),
        (answered(coding="gzip"), gzip.compress(b"{}", mtime=0), "compressed (gzip)"),
        (answered(coding="identity, gzip"), b"{}", "compressed"),
        (answered(206), b'{"a": 1}', "only a part"),
        (answered(), b"[1]", "no JSON object"),
        (answered(), b"null", "no JSON object"),
        (answered(), b'{"a": 1, "a": 2}', "a"),
        (answered(), b'{"a": NaN}', "line 1"),
        (answered(), b'{"a": 9007199254740993}', "$.a"),
        (answered(), b'\xef\xbb\xbf{"a": 1}', "line 1"),
        (answered(), b'{"a": "\xff"}', "line 1"),
        (answered(), b'{"a": "' + b"x" * 100 + b'"}', "over 100 bytes"),
    ],
)
@pytest.mark.parametrize("reads", [True, False])
def test_what_is_no_json_object_is_noted_and_has_no_result(head, body, why, reads):
    judge = Judge(reads=reads)
    found = read(body, head, judge).found()
    assert found.result is None
    (note,) = found.notes
    assert note.startswith("the answer was not read: ")
    assert why in note
    assert [asked for _, asked in judge.asked] == ([found] if reads else []), "the judge decides what becomes of it"


def test_an_answer_that_a_rule_reads_is_held_back_until_it_is_judged():
    judge = Judge()
    answer = JsonAnswer(answered(201), judge, 100)
    assert (answer.whole, answer.rewrites) == (True, True)
    assert answer.feed(b'{"a"') + answer.feed(b": 1}") == b""
    assert judge.asked == []
    assert answer.found() == Findings()
    assert answer.end() == b'{"a": 1}'
    assert [(status, found.result) for status, found in judge.asked] == [(201, {"a": 1})]
    assert answer.refusal() is None


def test_what_the_judge_refuses_is_a_refusal_and_is_found():
    answer = read(b'{"a": 1}', judge=Judge(NO))
    assert answer.refusal() is NO
    assert answer.found() == Findings(result={"a": 1}, refusal=NO)


def test_an_answer_that_only_a_price_reads_passes_as_it_comes_and_is_never_refused():
    answer = JsonAnswer(answered(), Judge(NO, reads=False), 100)
    assert (answer.whole, answer.rewrites) == (False, False)
    assert answer.feed(b'{"a": 1}') == b'{"a": 1}'
    assert answer.end() == b""
    assert answer.refusal() is None
    assert answer.found() == Findings(result={"a": 1})


@given(st.lists(st.binary(max_size=30), max_size=8), st.booleans())
def test_no_byte_is_lost_and_nothing_is_raised_whatever_comes(pieces, reads):
    answer = JsonAnswer(answered(), Judge(reads=reads), 50)
    passed = b"".join([*[answer.feed(piece) for piece in pieces], answer.end()])
    assert passed == b"".join(pieces)
    assert (answer.found().result is None) == bool(answer.found().notes)


@given(st.dictionaries(st.text(max_size=5), st.integers(-(2**53), 2**53) | st.text(max_size=5), max_size=4))
def test_every_object_that_is_written_plainly_is_read_as_it_is(value):
    assert read(orjson.dumps(value), limit=10_000).found().result == value


# -- who asks for it ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wants", [True, False])
def test_the_reader_reads_answers_only_where_something_wants_the_result(wants):
    reader = HttpReader(tool(answer_limit=7), reads_args=False, looks_at_path=False, reads_results=True)
    judge: Any = Judge()
    judge.wants_result = wants
    answer = reader.answer(call(), answered(), judge)
    assert isinstance(answer, JsonAnswer) is wants
    assert answer is None or answer.feed(b"{}       ") + answer.end()
    assert answer is None or "over 7 bytes" in answer.found().notes[0]


@pytest.mark.parametrize("reads", [True, False])
def test_plain_bytes_are_asked_for_where_answers_may_be_read(reads):
    to = tool()
    reader = HttpReader(to, reads_args=False, looks_at_path=False, reads_results=reads)
    asked = reader.read("id", request(), Route(to, "/user", "/user", "", "h"), ANYBODY, Run(), None)
    assert reader.plain(asked) is reads


@pytest.mark.parametrize("reads", [True, False])
def test_an_answer_without_a_body_has_an_empty_result(reads):
    found = read(b"", judge=Judge(reads=reads)).found()
    assert (found.result, found.notes) == ({}, ())


def test_an_answer_over_the_limit_in_one_piece_is_not_taken_for_an_empty_one():
    answer = JsonAnswer(answered(), Judge(reads=False), 10)
    body = b'{"pages": 1234567}'
    assert answer.feed(body) + answer.end() == body
    assert answer.found().result is None
    assert answer.found().notes == ("the answer was not read: it is over 10 bytes",)


# -- compared with earlier ones ------------------------------------------------------------------------------------


def comparing(**more) -> Judge:
    judge = Judge(**more)
    judge.compares = True
    return judge


@pytest.mark.parametrize("reads", [True, False])
def test_an_answer_that_is_read_is_compared_too(reads):
    one, two = (read(body, judge=comparing(reads=reads)).found() for body in (b'{"a": 1, "b": 2}', b'{"b":2,"a":1}'))
    assert one.digest == two.digest != ""
    assert read(b'{"a": 1}', judge=Judge(reads=reads)).found().digest == ""
    assert read(b'{"a": "' + b"x" * 200 + b'"}', judge=comparing(reads=False)).found().digest == "", "not all was read"


def test_a_complaint_does_not_tell_what_rules_keep_from_the_agent():
    body, head = b'{"message": "no row for Ann"}', answered(404)
    assert read(body, head, comparing()).found().complaint == "no row for Ann"
    assert read(body, head, comparing(reads=False)).found().complaint == "no row for Ann"
    assert read(body, head, comparing(fields=("result.nothing",))).found().complaint == ""
    refused = JsonAnswer(head, comparing(refusal=NO), 100)
    refused.feed(body)
    refused.end()
    assert refused.found().complaint == ""


def test_an_answer_that_nobody_reads_is_looked_at_where_it_is_compared():
    reader = HttpReader(tool(), reads_args=False, looks_at_path=False)
    judge = comparing(reads=False)
    judge.wants_result = False
    answer = reader.answer(call(), answered(), judge)
    assert answer is not None
    assert not answer.rewrites
    assert not reader.plain(call()), "it is no reason to ask for another coding"
