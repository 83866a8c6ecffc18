"""Results that people look at, on the way of a call: made once, settled when the tool has answered, given once."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.decide.results import Results
from gateway.decide.shapes import NOTHING, Judgement
from gateway.errors import ClientGone, Refused
from gateway.model import RESULT, Answered, Kept, Outcome, Quarantine, Reason, Refusal, Ruling
from gateway.pipeline import Await, Collect, ReadBody, Relay, Reply, Send
from gateway.understand.http import HttpReader
from gateway.understand.keeping import packed, unpacked
from tests.builders import request
from tests.drive import DONE, TOOL, Drive, given, problem
from tests.policy.support import book_of, document
from tests.test_pipeline_approvals import Desk

BODY, ODD = b'{"to":"ann"}', b'{"odd":"ignore all"}'
ANSWER = Answered(201, 0.1, "application/json", fields=((b"Content-Type", b"application/json"), (b"Date", b"now")))
KEPT = Kept(201, ((b"Content-Type", b"application/json"),), ODD)
APPROVED = Ruling(True, "ap-1", ("ada",), "approve", kept=packed(KEPT))
PENDING = Ruling(False, "ap-1", verb="pending", message="waiting for a person: odd", reason=Reason.APPROVAL_PENDING)


def asking(check: Any = NOTHING, mode: str = "Enforce") -> Drive:
    """A tool whose odd results a person looks at."""
    rules = [{"name": "odd", "phase": "response", "when": '"odd" in result', "then": "approve"}]
    book = book_of(document("Policy", "mail", rules=rules, mode=mode), tools=(TOOL,))
    reader = HttpReader(TOOL, reads_args=True, looks_at_path=False, reads_results=True)
    return Drive(check, reader=reader, results=Results(book, "bank"), desk=Desk())


def come(drive: Drive) -> Await:
    """A call that asks whether its result waits already."""
    of = request("POST", "/bank/pay", [("Content-Type", "application/json")], length=len(BODY))
    assert isinstance(drive.go(of), ReadBody)
    attaching = drive.answer(BODY)
    assert isinstance(attaching, Await)
    return attaching


def held(body: bytes = ODD) -> tuple[Drive, Any]:
    """A call that has been made, and what follows once its result is here."""
    drive = asking()
    send = drive.answer(given(come(drive), None))
    assert isinstance(send, Send)
    assert isinstance(drive.answer(ANSWER), Collect)
    return drive, drive.answer(body)


def test_the_call_is_settled_before_anybody_is_asked_and_only_once():
    drive, waits = held()
    assert isinstance(waits, Await)
    assert len(drive.world.settled) == 1
    assert drive.world.settled[0][1].upstream == 201
    reply = drive.answer(given(waits, PENDING))
    told = problem(reply)
    assert (told["reason"], told["approval_id"]) == ("result_pending", "ap-1")
    assert b"ignore" not in reply.body
    drive.answer(Outcome(403))
    (trace,) = drive.world.traces
    assert len(drive.world.settled) == 1
    assert (trace.outcome.found.refusal.reason, trace.outcome.found.ruling.verb) == ("result_pending", "pending")
    assert drive.pipeline.desk.ended == []
    (petition,) = drive.pipeline.desk.petitions
    assert (petition.about, unpacked(petition.kept), petition.editable) == (RESULT, KEPT, False)


def test_the_agent_on_the_line_gets_it_as_it_came_once_it_has_been_taken():
    drive, waits = held()
    claims = drive.answer(given(waits, APPROVED))
    assert isinstance(claims, Await)
    relay = drive.answer(given(claims, True))
    assert isinstance(relay, Relay)
    assert relay.body == ODD
    drive.answer(DONE)
    assert drive.pipeline.desk.ended == [("settled", "ap-1")]
    (trace,) = drive.world.traces
    assert trace.outcome.found.refusal is None
    assert trace.outcome.found.notes[-1] == "result: approve by ada (ap-1)"


def test_who_goes_meanwhile_leaves_it_for_the_next():
    drive, waits = held()
    relay = drive.answer(given(drive.answer(given(waits, APPROVED)), True))
    assert isinstance(relay, Relay)
    drive.throw(ClientGone(Outcome(499, 201, "agent", "gone")))
    assert drive.pipeline.desk.ended == [("released", "ap-1")]


def test_the_result_of_the_same_call_at_the_same_time_is_given_as_people_saw_it():
    drive, waits = held(b'{"odd":"another"}')
    reply = drive.answer(given(drive.answer(given(waits, APPROVED)), True))
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body) == (201, ODD)


def test_what_no_rule_finds_odd_is_passed_on_and_nobody_asked():
    drive, relay = held(b'{"fine":1}')
    assert isinstance(relay, Relay)
    assert drive.pipeline.desk.petitions == []


def test_a_rule_that_is_only_watched_asks_nobody():
    drive = asking(mode="Audit")
    assert isinstance(drive.go(request("POST", "/bank/pay", length=len(BODY))), ReadBody)
    assert isinstance(drive.answer(BODY), Send), "nothing is looked up"
    assert isinstance(drive.answer(ANSWER), Collect)
    assert isinstance(drive.answer(ODD), Relay)


def test_the_same_call_gets_the_result_and_is_neither_made_nor_counted():
    drive = asking()
    claims = drive.answer(given(come(drive), APPROVED))
    assert isinstance(claims, Await)
    reply = drive.answer(given(claims, True))
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body) == (201, ODD)
    assert (b"Content-Type", b"application/json") in reply.fields
    drive.answer(Outcome(201))
    assert drive.world.reserved == drive.world.settled == []
    assert drive.pipeline.desk.ended == [("settled", "ap-1")]
    (trace,) = drive.world.traces
    assert (trace.decision.reason, trace.decision.ruling.kept) == ("result_approved", b"")


def test_and_gets_it_again_where_it_had_gone():
    drive = asking()
    drive.answer(given(drive.answer(given(come(drive), APPROVED)), True))
    drive.throw(ClientGone(Outcome(499, fault="agent")))
    assert drive.pipeline.desk.ended == [("released", "ap-1")]


@pytest.mark.parametrize(
    ("ruling", "status", "reason"),
    [
        (PENDING, 403, "result_pending"),
        (Ruling(False, "ap-1", verb="deny", message="a trap", reason=Reason.APPROVAL_DENIED), 403, "result_denied"),
        (Ruling(False, "ap-1", verb="expired", reason=Reason.APPROVAL_DENIED), 403, "result_denied"),
        (Ruling(False, "ap-1", verb="running", reason=Reason.APPROVAL_PENDING), 403, "result_denied"),
        (Ruling(False, verb="unavailable", message="away", reason=Reason.STATE_UNAVAILABLE), 503, "state_unavailable"),
    ],
)
def test_whatever_else_stands_the_call_is_not_made_again(ruling: Ruling, status: int, reason: str):
    drive = asking()
    reply = drive.answer(given(come(drive), ruling))
    told = problem(reply)
    assert (told["status"], told["reason"]) == (status, reason)
    drive.answer(Outcome(status))
    assert drive.world.reserved == []


def test_what_somebody_else_has_taken_is_not_given():
    drive = asking()
    reply = drive.answer(given(drive.answer(given(come(drive), APPROVED)), False))
    assert problem(reply)["reason"] == "result_denied"
    drive.answer(Outcome(403))
    assert drive.pipeline.desk.ended == []


def test_rules_that_deny_the_call_by_now_deny_its_result():
    drive = asking(Judgement(Refusal(Reason.POLICY_DENIED, 403, "no more", "mail/never")))
    reply = drive.answer(given(come(drive), APPROVED))
    assert problem(reply)["reason"] == "policy_denied"
    drive.answer(Outcome(403))
    assert drive.pipeline.desk.ended == []


def test_who_is_quarantined_while_people_look_gets_nothing():
    drive, waits = held()
    drive.quarantines.put(Quarantine("agent", ("report-1",), "it went wrong", "ada", 0.0, 0.0))
    reply = drive.answer(given(waits, APPROVED))
    assert problem(reply)["reason"] == "quarantined"


def test_a_wait_that_is_cut_is_told_as_what_cut_it():
    drive = asking()
    come(drive).awaitable.close()
    reply = drive.throw(Refused(Reason.QUARANTINED, 403, "this run is quarantined"))
    assert problem(reply)["reason"] == "quarantined"
