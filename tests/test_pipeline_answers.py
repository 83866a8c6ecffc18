"""The way of a call whose answer is read: passed through, gathered and judged, refused, priced; recorded once."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from msgspec import structs

from gateway.cost.calls import CallPrice
from gateway.cost.pricer import Pricer
from gateway.decide.results import Results
from gateway.decide.shapes import Judgement
from gateway.errors import ClientGone, UpstreamError
from gateway.model import (
    Answered,
    Findings,
    Mode,
    Outcome,
    Permit,
    Reason,
    Refusal,
    Request,
    Verdict,
)
from gateway.pipeline import Collect, Relay, Send
from gateway.story import Story
from gateway.understand.reader import Phrased
from tests.builders import call, request, spoke
from tests.drive import DONE, TOOL, Drive, problem
from tests.policy.support import book_of, document
from tests.reading import HEAD, KEPT_BACK, READ, Judged, Saying, Speaks, reading

WARNING = spoke(Verdict.WARN, message="odd")


# -- which answers are read --------------------------------------------------------------------------------------


def test_a_tool_without_rules_over_answers_has_none_of_them_read():
    drive = Drive(reader=Speaks(Saying(whole=True)))
    drive.go()
    relay = drive.answer(HEAD)
    assert (type(relay), relay.through, relay.body) == (Relay, None, None)
    assert drive.reader.asked == []


@pytest.mark.parametrize("reads", [True, False])
def test_a_tunnel_that_rules_would_have_to_read_is_not_opened(reads):
    drive = Drive(reader=Speaks(Saying(whole=True)), results=Judged(reads_result=reads))
    drive.go()
    effect = drive.answer(Answered(101, 0.1))
    assert drive.reader.asked == []
    if not reads:
        assert (type(effect), effect.through) == (Relay, None)
        return
    told = problem(effect)
    assert (told["status"], told["reason"], told["retryable"]) == (502, "result_unreadable", False)
    drive.answer(Outcome(502))
    assert (drive.recorded().outcome.upstream, drive.recorded().outcome.fault) == (101, "gateway")


@pytest.mark.parametrize("status", [204, 304])
def test_answers_that_have_no_body_are_passed_on(status):
    drive = reading(Saying(whole=True))
    drive.go()
    assert isinstance(drive.answer(Answered(status, 0.1)), Relay)
    assert drive.reader.asked == []


@pytest.mark.parametrize("status", [200, 205, 206, 302, 404, 500])
def test_all_other_answers_are_read(status):
    drive = reading(Saying(whole=True))
    drive.go()
    assert drive.answer(Answered(status, 0.1)) == Collect(TOOL.answer_limit)


def test_the_answer_to_head_is_passed_on():
    drive = reading(Saying(whole=True))
    drive.go(request("HEAD", "/bank/x"))
    assert isinstance(drive.answer(HEAD), Relay)


@pytest.mark.parametrize("answer", [None, Saying()])
def test_the_tool_is_asked_for_plain_bytes_where_its_answer_is_read(answer):
    assert reading(answer).go().plain is (answer is not None)


def test_an_answer_that_is_read_in_passing_goes_through_its_reader():
    answer = Saying(found=READ)
    drive = reading(answer, WARNING)
    drive.go()
    relay = drive.answer(HEAD)
    assert (relay.through, relay.body) == (answer, None)
    drive.answer(DONE)
    assert drive.recorded().outcome == structs.replace(DONE, found=structs.replace(READ, spoke=(WARNING,)))


# -- held back until it is judged --------------------------------------------------------------------------------


def test_an_answer_that_passes_is_relayed_whole_with_the_warnings_of_both_phases():
    before, shadow = spoke(Verdict.WARN, message="early"), spoke(Verdict.DENY, Mode.AUDIT, "shadow")
    drive = Drive(Judgement(spoke=(before,)), reader=Speaks(Saying(whole=True)), results=Judged(WARNING, shadow))
    drive.go()
    assert drive.answer(HEAD) == Collect(TOOL.answer_limit)
    relay = drive.answer(b"body")
    assert (relay.through, relay.body) == (None, b"<body>")
    warnings = [line for line in relay.lines.split(b"\r\n") if b"Warning" in line]
    assert [line.partition(b": ")[2] for line in warnings] == [b"payments/warn-rule: early", b"payments/warn-rule: odd"]
    drive.answer(DONE)
    assert drive.recorded().outcome.found.spoke == (WARNING, shadow)


def test_an_answer_that_is_refused_is_replaced_and_recorded_with_what_the_tool_said():
    found = Findings(refusal=KEPT_BACK)
    drive = reading(Saying(whole=True, found=found, refusal=KEPT_BACK))
    drive.go()
    drive.answer(Answered(201, 0.25))
    reply = drive.answer(b"secret")
    told = problem(reply)
    assert (reply.status, told["reason"], told["rule"]) == (403, "result_denied", "results/secret")
    assert b"secret" not in reply.body.replace(b"results/secret", b"").replace(b"holds a secret", b"")
    assert drive.answer(Outcome(403, received=3, sent=len(reply.body))) is None
    trace = drive.recorded()
    assert isinstance(trace.decision, Permit)
    assert trace.outcome == Outcome(403, 201, received=3, sent=len(reply.body), first_byte=0.25, found=found)


@pytest.mark.parametrize(
    ("error", "status", "fault", "retryable"),
    [
        (UpstreamError(Reason.RESULT_UNREADABLE, 502, "over 8 bytes"), 502, "gateway", False),
        (UpstreamError(Reason.UPSTREAM_UNREACHABLE, 502, "broke off"), 502, "tool", True),
        (UpstreamError(Reason.UPSTREAM_TIMEOUT, 504, "stalled"), 504, "tool", True),
        (UpstreamError(Reason.DRAINING, 503, "stopped"), 503, "gateway", False),
    ],
)
def test_an_answer_that_cannot_be_gathered_is_a_refusal_that_blames_the_right_one(error, status, fault, retryable):
    drive = reading(Saying(whole=True))
    drive.go()
    drive.answer(HEAD)
    reply = drive.throw(error)
    told = problem(reply)
    assert (reply.status, told["reason"], told["retryable"]) == (status, error.reason.value, retryable)
    drive.answer(Outcome(status, sent=9))
    outcome = drive.recorded().outcome
    assert (outcome.status, outcome.upstream, outcome.fault, outcome.first_byte) == (status, 200, fault, 0.25)


def test_what_may_not_be_repeated_says_so():
    drive = reading(Saying(whole=True))
    drive.go()
    drive.answer(HEAD)
    advice = problem(drive.throw(UpstreamError(Reason.RESULT_UNREADABLE, 502, "over 8 bytes")))["advice"]
    assert "the call was made" in advice
    assert "do not repeat" in advice


@pytest.mark.parametrize("at", ["Collect", "Relay"])
def test_an_agent_that_goes_while_its_answer_is_read_is_recorded_with_what_was_found(at):
    drive = reading(Saying(whole=at == "Collect", found=READ))
    drive.go()
    assert type(drive.answer(HEAD)).__name__ == at
    gone = Outcome(499, 200, "agent")
    assert drive.throw(ClientGone(gone)) is None
    assert drive.recorded().outcome == structs.replace(gone, found=READ)


@pytest.mark.parametrize(
    ("gone", "found", "status", "fault"),
    [
        (Outcome(499, 200, "agent", "left"), Findings(answered=True), 200, ""),
        (Outcome(499, 200, "agent", "left"), Findings(), 499, "agent"),
        (Outcome(499, 0, "agent", "left"), Findings(answered=True), 499, "agent"),
        (Outcome(200, 200, "tool", "broke off"), Findings(answered=True), 200, "tool"),
    ],
)
def test_an_agent_that_leaves_with_what_it_asked_for_has_broken_nothing_off(gone, found, status, fault):
    drive = reading(Saying(found=found))
    drive.go()
    drive.answer(HEAD)
    drive.throw(ClientGone(gone))
    outcome = drive.recorded().outcome
    assert (outcome.status, outcome.fault, bool(outcome.error)) == (status, fault, bool(fault))


class Breaks(Saying):
    def end(self) -> bytes:
        raise ZeroDivisionError

    def found(self) -> Findings:
        return READ


def test_a_reader_that_breaks_lets_nothing_pass_and_loses_no_record():
    drive = reading(Breaks(whole=True))
    drive.go()
    drive.answer(HEAD)
    reply = drive.answer(b"secret")
    assert (reply.status, b"secret" in reply.body) == (502, False)
    drive.answer(Outcome(502, sent=len(reply.body)))
    outcome = drive.recorded().outcome
    assert (outcome.status, outcome.upstream, outcome.fault) == (502, 200, "gateway")


class FindsNothing(Saying):
    def found(self) -> Findings:
        raise ZeroDivisionError


def test_findings_that_cannot_be_told_do_not_lose_the_record():
    drive = reading(FindsNothing())
    drive.go()
    drive.answer(HEAD)
    with pytest.raises(ZeroDivisionError):
        drive.answer(DONE)
    assert drive.recorded().outcome == DONE


class Wordless(Speaks):
    def phrase(self, refusal: Refusal, ident: str, request: Request, body: bytes | None) -> Phrased:
        raise ZeroDivisionError


def test_a_refusal_that_the_protocol_cannot_phrase_is_given_in_plain_http():
    drive = Drive(reader=Wordless(Saying(whole=True, refusal=KEPT_BACK)), results=Judged())
    drive.go()
    drive.answer(HEAD)
    assert problem(drive.answer(b"x"))["reason"] == "result_denied"


# -- batches and the record --------------------------------------------------------------------------------------


def in_batch(*operations: str) -> dict[str, Any]:
    return {"operation": "batch", "parts": tuple(call(operation, to=TOOL) for operation in operations)}


def test_a_batch_is_refused_where_rules_read_results():
    """One answer for many calls: no rule could be held against its own."""
    drive = Drive(reader=Speaks(None, **in_batch("a", "b")), results=Judged())
    told = problem(drive.go())
    assert (told["status"], told["reason"]) == (400, "bad_request")
    assert "one by one" in told["advice"]
    drive.answer(Outcome(400))
    assert drive.recorded().operation == "batch"


def test_a_batch_passes_where_none_does_and_costs_as_many_calls():
    drive = Drive(
        reader=Speaks(None, **in_batch("a", "b", "c")),
        results=Judged(any_results=False),
        pricer=Pricer(call_price=CallPrice(0.5)),
    )
    assert isinstance(drive.go(), Send)
    drive.answer(HEAD)
    drive.answer(DONE)
    assert drive.recorded().outcome.cost_usd == 1.5


def test_facts_and_amendments_of_a_call_are_recorded():
    drive = Drive(reader=Speaks(None, facts={"llm.model": "m"}, amendments=("max_tokens 9 -> 4",)))
    drive.go()
    drive.answer(HEAD)
    drive.answer(DONE)
    trace = drive.recorded()
    assert (trace.facts, trace.amendments) == ({"llm.model": "m"}, ("max_tokens 9 -> 4",))


def test_a_body_that_a_reader_changed_goes_with_the_permit():
    drive = Drive(reader=Speaks(None, body=b"changed"))
    assert drive.go().permit.call.body == b"changed"


def stories() -> list[Story]:
    """All that there are now."""
    return [each for each in gc.get_objects() if isinstance(each, Story)]


def test_what_is_known_of_a_call_is_freed_with_it_and_waits_for_no_collector():
    """The judge of an answer knows the story, and the story the judge: each call would leave both behind."""
    book = book_of(document("Loop", "circles", match={"tools": ["bank"]}), tools=(TOOL,))
    drive = Drive(results=Results(book, "bank"))
    gc.collect()
    gc.disable()
    try:
        others = stories()
        drive.go()
        assert len(stories()) == len(others) + 1
        assert drive.answer(HEAD).through is not None
        drive.answer(DONE)
        assert drive.recorded().outcome.status == 200
        assert len(stories()) == len(others)
    finally:
        gc.enable()
