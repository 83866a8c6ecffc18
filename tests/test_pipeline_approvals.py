"""People on the way of a call: what they are asked, and what becomes of the call by their word."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.decide.shapes import Judgement
from gateway.errors import Refused, StoreUnavailable, UpstreamError
from gateway.model import Answered, Mode, Outcome, Permit, Quarantine, Question, Reason, Refusal, Ruling, Spoke, Verdict
from gateway.pipeline import Await, ReadBody, Relay, Reply, Send
from tests.builders import request
from tests.drive import DONE, Drive, Later, drop, given, problem

SPOKE = Spoke("payments", "large", Verdict.APPROVE, Mode.ENFORCE, "too much")
ASKS = Judgement(questions=(Question("payments/large", "too much"),), spoke=(SPOKE,))
APPROVED = Ruling(True, "ap-1", ("ada",), "approve", waited=3.0)
BODY = b'{"amount":100,"iban":"DE1"}'


class Desk:
    """Where the test decides."""

    def __init__(self) -> None:
        self.petitions: list[Any] = []
        self.ended: list[tuple[str, str]] = []

    async def ask(self, call, petition):
        self.petitions.append(petition)
        return await Later()

    async def attach(self, call, binding, version):
        return await Later()

    async def claim(self, ruling, call):
        return await Later()

    def settle(self, ruling, call, outcome):
        self.ended.append(("settled", ruling.approval))

    def release(self, ruling, call):
        self.ended.append(("released", ruling.approval))


class Rules:
    """Asks about every call but small ones, and wants ``fields`` masked; refuses what is ``forbidden``."""

    def __init__(self, *fields: str, forbidden: int = 0, more: str = "") -> None:
        self._fields, self._forbidden, self._more = fields, forbidden, more

    def judge(self, call):
        if call.args.get("amount") == self._forbidden:
            return Judgement(Refusal(Reason.POLICY_DENIED, 403, "never", "payments/never"))
        spoke = (Spoke("payments", "mask", Verdict.REDACT, Mode.ENFORCE, fields=self._fields),) if self._fields else ()
        more = (Question(self._more, "another"),) if self._more and call.args.get("amount") == 7 else ()
        return Judgement(None, (*ASKS.questions, *more), (SPOKE, *spoke), fields=self._fields)


def asked(check: Any = ASKS, body: bytes = BODY, **settings: Any) -> tuple[Drive, Await]:
    """A call that is at the desk."""
    drive = Drive(check, desk=Desk(), reads_args=True, **settings)
    of = request("POST", "/bank/transfers", [("Content-Type", "application/json")], length=len(body))
    assert isinstance(drive.go(of), ReadBody)
    waits = drive.answer(body)
    assert isinstance(waits, Await)
    return drive, waits


def ruled(drive: Drive, waits: Await, ruling: Ruling) -> Any:
    """What follows once a person has ruled."""
    return drive.answer(given(waits, ruling))


def sent(drive: Drive, waits: Any) -> Send:
    """The call as it goes to its tool, once its approval has been claimed."""
    assert isinstance(waits, Await)
    send = drive.answer(given(waits, True))
    assert isinstance(send, Send)
    return send


def test_a_call_that_is_approved_is_claimed_then_made_and_settled():
    drive, waits = asked()
    send = sent(drive, ruled(drive, waits, APPROVED))
    assert send.permit.ruling == APPROVED
    relay = drive.answer(Answered(200, 0.1))
    assert isinstance(relay, Relay)
    assert b", person;dur=" in relay.lines
    drive.answer(DONE)
    trace = drive.recorded()
    assert drive.pipeline.desk.ended == [("settled", "ap-1")]
    assert trace.decision.spoke == (SPOKE,)
    assert trace.asked > 0
    assert trace.queued == 0, "a person is no queue"


def test_what_a_person_can_do_with_a_call_is_laid_before_them():
    drive, waits = asked()
    with pytest.raises(StopIteration):
        waits.awaitable.send(None)
        waits.awaitable.send(APPROVED)
    (petition,) = drive.pipeline.desk.petitions
    assert (petition.editable, petition.answerable) == (True, True)
    assert orjson.loads(petition.payload)["args"] == {"amount": 100, "iban": "DE1"}


def test_a_call_whose_arguments_nobody_reads_cannot_be_edited():
    drive = Drive(ASKS, desk=Desk())
    of = request("POST", "/bank/transfers", length=len(BODY))
    drive.go(of)
    waits = drive.answer(BODY)
    with pytest.raises(StopIteration):
        waits.awaitable.send(None)
        waits.awaitable.send(APPROVED)
    assert drive.pipeline.desk.petitions[0].editable is False


def test_the_tool_gets_the_arguments_of_the_person_with_the_masks_that_rules_want():
    drive, waits = asked(Rules("args.iban"))
    edit = Ruling(True, "ap-1", ("ada",), "edit", edited={"amount": 5, "iban": "DE2"})
    send = sent(drive, ruled(drive, waits, edit))
    assert orjson.loads(send.permit.call.body or b"") == {"amount": 5, "iban": "[redacted]"}
    assert send.permit.call.amendments == ("arguments edited by a person", "redacted args.iban")


@pytest.mark.parametrize(
    ("edited", "reason"),
    [
        ({"amount": 13}, Reason.POLICY_DENIED),
        ({"amount": 7}, Reason.APPROVAL_REQUIRED),
        ({"n": 2**60}, Reason.UNREADABLE_BODY),
    ],
)
def test_a_persons_arguments_are_decided_again(edited: dict[str, Any], reason: Reason):
    drive, waits = asked(Rules(forbidden=13, more="payments/other"))
    reply = ruled(drive, waits, Ruling(True, "ap-1", ("ada",), "edit", edited=edited))
    assert problem(reply)["reason"] == reason.value
    drive.answer(Outcome(reply.status))
    assert drive.recorded().decision.ruling.verb == "edit"
    assert drive.pipeline.desk.ended == [], "it was never claimed"


@pytest.mark.parametrize(
    ("ruling", "status", "told"),
    [
        (Ruling(False, "ap-1", (), "answer", message="7", reason=Reason.ANSWERED_BY_PERSON, status=200), 200, b"7"),
        (Ruling(False, "ap-1", (), "deny", message="no", reason=Reason.APPROVAL_DENIED), 403, b"approval_denied"),
        (
            Ruling(False, "ap-1", (), "pending", message="wait", reason=Reason.APPROVAL_PENDING),
            403,
            b"approval_pending",
        ),
    ],
)
def test_what_a_person_says_is_what_the_agent_gets(ruling: Ruling, status: int, told: bytes):
    drive, waits = asked()
    reply = ruled(drive, waits, ruling)
    assert isinstance(reply, Reply)
    assert reply.status == status
    assert told in reply.body
    drive.answer(Outcome(status))
    trace = drive.recorded()
    assert (trace.decision.ruling, trace.decision.spoke) == (ruling, (SPOKE,))


@pytest.mark.parametrize("verdict", [False, StoreUnavailable("away")])
def test_what_cannot_be_claimed_is_not_made(verdict: Any):
    drive, waits = asked()
    claims = ruled(drive, waits, APPROVED)
    if isinstance(verdict, Exception):
        drop(claims)
        reply = drive.throw(verdict)
    else:
        reply = drive.answer(given(claims, verdict))
    assert reply.status in (403, 503)
    drive.answer(Outcome(reply.status))
    assert drive.recorded().decision.spoke == (SPOKE,)
    assert drive.pipeline.desk.ended == []
    assert drive.world.released, "what was reserved before is given back"


def test_what_rules_said_is_recorded_where_a_quarantine_ends_the_wait():
    drive, waits = asked()
    drop(waits)
    reply = drive.throw(Refused(Reason.QUARANTINED, 403, "this agent is quarantined"))
    assert problem(reply)["reason"] == "quarantined"
    drive.answer(Outcome(403))
    assert drive.recorded().decision.spoke == (SPOKE,)


def test_and_where_it_is_found_to_stand_at_the_end_of_the_wait():
    drive, waits = asked()
    drive.quarantines.put(Quarantine("agent", ("report-1",), "it went wrong", "ada", 0.0, 0.0))
    reply = ruled(drive, waits, APPROVED)
    assert problem(reply)["reason"] == "quarantined"
    drive.answer(Outcome(403))
    assert drive.recorded().decision.spoke == (SPOKE,)
    assert drive.pipeline.desk.ended == [], "its approval was not claimed"


def test_a_call_of_which_nothing_reached_its_tool_leaves_the_approval_for_the_next():
    drive, waits = asked()
    send = sent(drive, ruled(drive, waits, APPROVED))
    assert isinstance(send.permit, Permit)
    refused = UpstreamError(Reason.UPSTREAM_UNREACHABLE, 502, "nobody there")
    refused.unsent = True
    reply = drive.throw(refused)
    drive.answer(Outcome(502, fault="tool", unsent=True))
    assert isinstance(reply, Reply)
    assert drive.pipeline.desk.ended == [("released", "ap-1")]
