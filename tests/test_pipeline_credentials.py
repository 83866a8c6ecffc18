"""A call whose credential is lent for it: had before anything is sent, and refused where it cannot be."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from gateway.effects import Await, ReadBody, Send
from gateway.errors import Refused, UpstreamError
from gateway.model import Answered, Lent, Permit, Reason
from gateway.pipeline import Relay
from tests.drive import DONE, Drive, Later, drop, given, problem

LENT = Lent(((b"Authorization", b"Bearer t"),), (), ("t",))


class Lender:
    def __init__(self, lent: Any = LENT) -> None:
        self.lent, self.asked, self.rejections = lent, [], 0

    def lend(self, call, body):
        self.asked.append(body)
        if isinstance(self.lent, Exception):
            raise self.lent
        return self.lent if isinstance(self.lent, Lent) else self._later(self.lent)

    async def _later(self, later):
        return await later

    def rejected(self, call):
        self.rejections += 1


def driving(lender: Lender, *, signs: bool = False) -> Drive:
    drive = Drive()
    (street,) = drive.pipeline.streets.values()
    street = structs.replace(street, lender=lender, signs=signs)
    drive.pipeline = structs.replace(drive.pipeline, streets={"bank": street})
    return drive


def unavailable() -> UpstreamError:
    error = UpstreamError(Reason.CREDENTIAL_UNAVAILABLE, 502, "the tool's credential cannot be had: down")
    error.unsent = True
    return error


def test_what_is_there_is_sent_at_once() -> None:
    drive = driving(Lender())
    send = drive.go()
    assert isinstance(send, Send)
    assert send.lent is LENT
    assert isinstance(drive.answer(Answered(200, 0.1)), Relay)
    assert drive.answer(DONE) is None
    drive.recorded()


def test_what_must_be_fetched_is_waited_for_before_anything_is_sent() -> None:
    drive = driving(Lender(Later()))
    wait = drive.go()
    assert isinstance(wait, Await)
    send = drive.answer(given(wait, LENT))
    assert isinstance(send, Send)
    assert send.lent is LENT


def test_a_body_that_is_signed_is_read_first() -> None:
    lender = Lender()
    drive = driving(lender, signs=True)
    assert isinstance(drive.go(), ReadBody)
    assert isinstance(drive.answer(b"abc"), Send)
    assert lender.asked == [b"abc"]


def test_without_it_the_call_is_refused_and_what_was_reserved_given_back() -> None:
    drive = driving(Lender(unavailable()))
    reply = drive.go()
    told = problem(reply)
    assert (told["status"], told["reason"]) == (502, "credential_unavailable")
    assert drive.answer(DONE) is None
    assert drive.world.released
    assert not drive.world.settled
    (trace,) = drive.world.traces
    assert isinstance(trace.decision, Permit)
    assert trace.outcome.unsent
    assert trace.outcome.fault == "gateway"
    assert trace.outcome.reason is Reason.CREDENTIAL_UNAVAILABLE


def test_a_call_that_is_ended_while_it_waits_is_refused() -> None:
    drive = driving(Lender(Later()))
    wait = drive.go()
    drop(wait)
    reply = drive.throw(Refused(Reason.QUARANTINED, 403, "the agent is quarantined"))
    assert problem(reply)["reason"] == "quarantined"
    assert drive.answer(DONE) is None
    assert drive.world.released
    assert not drive.world.settled


def test_a_401_is_told_to_the_lender_and_other_statuses_are_not() -> None:
    lender = Lender()
    for status in (200, 403, 401):
        drive = driving(lender)
        drive.go()
        drive.answer(Answered(status, 0.1))
    assert lender.rejections == 1
