"""Guardrails on the way of a call: who is asked, when, and what becomes of the call where asking comes to no good."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from msgspec import structs

from gateway.decide.shapes import NOTHING, Judgement
from gateway.effects import Await, Collect, Relay, Reply, Send
from gateway.errors import ClientGone, Refused, UpstreamError
from gateway.model import Outcome, Question, Reason, Refusal, Ruling
from tests.builders import request
from tests.drive import DONE, Drive, Later, drop, given, problem
from tests.reading import HEAD, Saying, Speaks

FINE: Mapping[str, Any] = {"injection": {"flagged": False}}
FOUND: Mapping[str, Any] = {"injection": {"flagged": True}}
FIELDS = [("Content-Type", "application/json")]


class Guards:
    """Notes what it is asked about, and answers later."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Any]] = []

    def ask(self, names, about):
        assert dict(names) == {"injection": True}
        self.asked.append(about)
        return self._later()

    async def _later(self):
        return await Later()


class Reads:
    """Rules that read one guardrail, before a call or of its result."""

    def __init__(self, *, call: bool = False, result: bool = False) -> None:
        self._call, self._result = call, result

    def of_call(self, call):
        return {"injection": True} if self._call else {}

    def of_result(self, call):
        return {"injection": True} if self._result else {}


class Asking:
    """Asks people about large sums, and refuses what the guardrail objects to."""

    def judge(self, call):
        if call.facts["guardrail"]["injection"]["flagged"]:
            return Judgement(Refusal(Reason.POLICY_DENIED, 403, "it objects", "pay/injection"))
        if call.args["amount"] > 100:
            return Judgement(questions=(Question("pay/large", "sure?"),))
        return NOTHING


class Desk:
    async def ask(self, call, petition):
        return await Later()

    async def claim(self, ruling, call):
        return await Later()

    def settle(self, ruling, call, outcome):
        pass

    def release(self, ruling, call):
        pass


def guarded(drive: Drive, reads: Reads) -> Guards:
    guards = Guards()
    streets = {name: structs.replace(street, guards=reads) for name, street in drive.pipeline.streets.items()}
    drive.pipeline = structs.replace(drive.pipeline, streets=streets, guards=guards)
    return guards


# -- after a person has changed the call -------------------------------------------------------------------------


def edited(amount: int) -> tuple[Drive, Guards, Any]:
    """The call that a person has changed, with what it waits for after that."""
    drive = Drive(Asking(), reads_args=True, desk=Desk())
    guards = guarded(drive, Reads(call=True))
    body = orjson.dumps({"amount": 500})
    drive.go(request("POST", "/bank/transfers", FIELDS, length=len(body)))
    person = drive.answer(given(drive.answer(body), FINE))
    assert isinstance(person, Await)
    again = drive.answer(given(person, Ruling(True, "ap-1", ("ada",), "edit", edited={"amount": amount})))
    return drive, guards, again


def test_what_a_person_put_in_is_told_to_them_before_rules_see_it() -> None:
    drive, guards, again = edited(5)
    assert isinstance(again, Await)
    assert [asked["args"] for asked in guards.asked] == [{"amount": 500}, {"amount": 5}]
    claim = drive.answer(given(again, FINE))
    send = drive.answer(given(claim, True))
    assert isinstance(send, Send)
    assert send.permit.call.args == {"amount": 5}
    drive.answer(HEAD)
    drive.answer(DONE)
    assert drive.recorded().facts["guardrail"] == FINE


def test_what_they_object_to_in_it_is_refused_and_nothing_is_taken() -> None:
    drive, _, again = edited(5)
    assert problem(drive.answer(given(again, FOUND)))["reason"] == "policy_denied"
    drive.answer(Outcome(403))
    decision = drive.recorded().decision
    assert isinstance(decision, Refusal)
    assert (decision.ruling.verb, decision.holds) == ("edit", ())


@pytest.mark.parametrize("reason", [Reason.QUARANTINED, Reason.GUARDRAIL_UNAVAILABLE])
def test_without_their_word_on_it_the_call_is_refused(reason: Reason) -> None:
    drive, _, again = edited(5)
    drop(again)
    assert problem(drive.throw(Refused(reason, 403, "no word")))["reason"] == reason.value
    drive.answer(Outcome(403))
    assert drive.recorded().decision.ruling.verb == "edit"


# -- while a result waits for their word -------------------------------------------------------------------------


class Results:
    """Rules that read results: makes judges that note what guardrails said."""

    any_results, any_asks = True, False
    judge: Any = None

    def of(self, call, price, **more):
        self.judge = SimpleNamespace(call=call, spoke=(), reads_result=True, guards=None, asks=False, questions=())
        return self.judge


def withheld() -> tuple[Drive, Guards, Await]:
    """A call whose whole answer is here, and waits."""
    drive = Drive(reader=Speaks(Saying()), results=Results())
    guards = guarded(drive, Reads(result=True))
    assert isinstance(drive.go(), Send)
    assert isinstance(drive.answer(HEAD), Collect)
    asks = drive.answer(b"mail")
    assert isinstance(asks, Await)
    return drive, guards, asks


def test_a_result_is_passed_on_once_they_have_spoken() -> None:
    drive, guards, asks = withheld()
    relay = drive.answer(given(asks, FINE))
    assert isinstance(relay, Relay)
    assert relay.body == b"<mail>"
    assert guards.asked[0]["result"] == "mail"
    (street,) = drive.pipeline.streets.values()
    assert street.results.judge.guards == FINE
    drive.answer(DONE)
    drive.recorded()


@pytest.mark.parametrize(
    ("thrown", "reason", "fault"),
    [
        (Refused(Reason.GUARDRAIL_UNAVAILABLE, 503, "down"), "guardrail_unavailable", ""),
        (Refused(Reason.QUARANTINED, 403, "the agent is quarantined"), "quarantined", ""),
        (UpstreamError(Reason.QUARANTINED, 403, "the agent is quarantined"), "quarantined", "gateway"),
        (UpstreamError(Reason.DRAINING, 503, "the gateway was stopped"), "draining", "gateway"),
        (ValueError("broken"), "result_unreadable", "gateway"),
    ],
)
def test_without_their_word_a_result_is_withheld_with_an_honest_end(thrown: Exception, reason: str, fault: str) -> None:
    drive, _, asks = withheld()
    drop(asks)
    reply = drive.throw(thrown)
    assert isinstance(reply, Reply)
    assert problem(reply)["reason"] == reason
    assert b"mail" not in reply.body
    drive.answer(Outcome(reply.status))
    outcome = drive.recorded().outcome
    assert (outcome.status, outcome.upstream, outcome.fault) == (reply.status, 200, fault)


def test_an_agent_that_goes_meanwhile_is_recorded() -> None:
    drive, _, asks = withheld()
    drop(asks)
    drive.throw(ClientGone())
    assert drive.recorded().outcome.status == 499
