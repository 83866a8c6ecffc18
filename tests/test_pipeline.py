"""The whole way of a call, driven by hand: whatever its exit, it is recorded once and settled once."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.decide.shapes import Judgement
from gateway.errors import ClientGone, Refused, UpstreamError
from gateway.model import (
    Answered,
    Hold,
    Mode,
    Outcome,
    Permit,
    Question,
    Reason,
    Refusal,
    Request,
    Spoke,
    Trace,
    Verdict,
)
from gateway.pipeline import Await, Pipeline, ReadBody, Relay, Reply, Send, Street
from gateway.understand.http import HttpReader
from tests.builders import rate, request, slot
from tests.drive import DONE, TOOL, Drive, Later, Quota, drop, given, problem

# -- allowed -----------------------------------------------------------------------------------------------------


def test_a_permitted_call_is_sent_relayed_settled_and_recorded():
    drive = Drive(Judgement(grant="payers"))
    send = drive.go(request("POST", "/bank/transfers", [("X-Run-Id", "job-1")], length=3))
    assert isinstance(send, Send)
    assert (send.permit.call.operation, send.permit.grant) == ("POST /transfers", "payers")
    relay = drive.answer(Answered(200, 0.25))
    assert isinstance(relay, Relay)
    assert drive.answer(DONE) is None
    trace = drive.recorded()
    assert trace.decision == send.permit
    assert (trace.id, trace.agent.id, trace.run.id, trace.tool, trace.operation, trace.policy, trace.outcome) == (
        "call-7", "report-1", "job-1", "bank", "POST /transfers", "v1", DONE,
    )  # fmt: skip
    assert drive.world.heard == [Answered(200, 0.25)]


def test_the_answer_tells_timings_the_calls_id_and_warnings():
    said = (
        Spoke("p", "warns", Verdict.WARN, Mode.ENFORCE, "large\r\nSet-Cookie: x=\xe9"),
        Spoke("p", "shadow", Verdict.DENY, Mode.AUDIT, "secret"),
        Spoke("p", "soft", Verdict.DENY, Mode.WARN, "would be refused"),
    )
    drive = Drive(Judgement(spoke=said))
    drive.go()
    timing, *others = drive.answer(Answered(200, 0.25)).lines.split(b"\r\n")
    assert timing.startswith(b"Server-Timing: decide;dur=")
    assert timing.endswith(b", upstream;dur=250.000")
    assert others == [
        b"X-Toolgate-Call: call-7",
        b"X-Toolgate-Warning: p/warns: large??Set-Cookie: x=?",
        b"X-Toolgate-Warning: p/soft: would be refused",
        b"",
    ]


def test_a_quota_with_nothing_to_claim_reserves_nothing():
    drive = Drive(quotas=(Quota(),))
    assert isinstance(drive.go(), Send)
    assert drive.world.reserved == []


# -- refused -----------------------------------------------------------------------------------------------------


def refused_at_once(drive: Drive, of: Request | None = None) -> tuple[dict[str, Any], Trace]:
    """The call is answered by the gateway, and the tool hears nothing of it."""
    reply = drive.go(of)
    told = problem(reply)
    assert drive.answer(Outcome(reply.status, sent=len(reply.body))) is None
    trace = drive.recorded()
    assert isinstance(trace.decision, Refusal)
    assert trace.outcome.status == reply.status
    assert drive.world.heard == []
    return told, trace


def test_a_refused_call_is_answered_with_why_and_recorded():
    refusal = Refusal(Reason.POLICY_DENIED, 403, "no", "payments/known")
    told, trace = refused_at_once(Drive(Judgement(refusal)))
    assert (told["reason"], told["rule"], told["detail"]) == ("policy_denied", "payments/known", "no")
    assert trace.operation == "POST /transfers"


def test_a_refusal_tells_no_credential_that_the_gateway_holds():
    refusal = Refusal(Reason.POLICY_DENIED, 403, "not to s3cret", fields=((b"X-Why", b"s3cret"),))
    drive = Drive(Judgement(refusal))
    fields = {name: getattr(drive.pipeline, name) for name in drive.pipeline.__struct_fields__}
    drive.pipeline = Pipeline(**{**fields, "hide": lambda told: told.replace(b"s3cret", b"[redacted]")})
    reply = drive.go()
    assert problem(reply)["detail"] == "not to [redacted]"
    assert (b"X-Why", b"[redacted]") in reply.fields
    assert drive.answer(Outcome(403)) is None


def test_a_full_counter_refuses_and_settles_nothing():
    drive = Drive()
    drive.world.grants = False
    told, trace = refused_at_once(drive)
    assert (told["reason"], told["retry_after"]) == ("rate_limited", 3.0)
    assert trace.decision.holds[0].granted is False


def test_without_an_approval_desk_nobody_approves():
    told, _ = refused_at_once(Drive(Judgement(questions=(Question("p/large", "transfer of 5000?"),))))
    assert (told["status"], told["reason"], told["detail"]) == (403, "approval_required", "transfer of 5000?")


@pytest.mark.parametrize(
    ("of", "status", "reason"),
    [
        (request(target="/nobody/x"), 404, "unknown_tool"),
        (request(target="http://evil.example/"), 404, "unknown_tool"),
        (request("CONNECT", "bank:443"), 403, "unknown_tool"),
        (request(target="nonsense"), 400, "bad_request"),
    ],
)
def test_a_request_for_no_tool_is_refused_and_recorded(of, status, reason):
    told, trace = refused_at_once(Drive(), of)
    assert (told["status"], told["reason"], trace.tool) == (status, reason, "")
    assert trace.agent.id == "report-1"


def test_an_unknown_agent_is_refused_and_recorded():
    told, trace = refused_at_once(Drive(sources=()))
    assert (told["status"], told["reason"]) == (401, "unauthenticated")
    assert trace.agent is None


def test_calls_that_cannot_be_recorded_are_not_made():
    drive = Drive()
    drive.world.available = False
    told, _ = refused_at_once(drive)
    assert (told["status"], told["reason"], told["retryable"]) == (503, "trace_unavailable", True)


# -- fail closed -------------------------------------------------------------------------------------------------


class Breaks:
    """Stands in for any part; whatever is asked of it raises."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("a part broke")


def broken(**parts: Any) -> Drive:
    drive = Drive()
    settings = {name: getattr(drive.pipeline, name) for name in drive.pipeline.__struct_fields__}
    drive.pipeline = Pipeline(**{**settings, **parts})
    return drive


def street(**parts: Any) -> dict[str, Street]:
    reader = HttpReader(TOOL, reads_args=False, looks_at_path=False)
    return {"bank": Street(**{"tool": TOOL, "reader": reader, "checks": (), "quotas": (), **parts})}


@pytest.mark.parametrize(
    "drive",
    [
        pytest.param(lambda: broken(sources=(Breaks(),)), id="a source"),
        pytest.param(lambda: broken(router=Breaks()), id="the router"),
        pytest.param(lambda: broken(streets={}), id="no street"),
        pytest.param(lambda: broken(streets=street(reader=Breaks())), id="the reader"),
        pytest.param(lambda: broken(streets=street(checks=(Breaks(),))), id="a check"),
        pytest.param(lambda: broken(streets=street(quotas=(Breaks(),))), id="a quota"),
        pytest.param(lambda: broken(streets=street(quotas=(Quota(rate(wait=1)),)), pacer=Breaks()), id="the pacer"),
        pytest.param(lambda: broken(ledger=Breaks()), id="the ledger"),
        pytest.param(lambda: Drive(ZeroDivisionError()), id="a rule"),
        pytest.param(lambda: Drive(UpstreamError(Reason.UPSTREAM_TIMEOUT, 504, "?")), id="an error of another step"),
    ],
)
def test_whatever_breaks_before_the_permit_is_a_refusal(drive):
    told, _ = refused_at_once(drive())
    assert (told["status"], told["reason"], told["rule"]) == (500, "internal_error", "pipeline")


def test_a_recorder_that_cannot_even_say_is_a_refusal():
    drive = Drive()
    drive.world.available = RuntimeError("?")
    told, _ = refused_at_once(drive)
    assert told["status"] == 500


@pytest.mark.parametrize("refused", [Refused(Reason.POLICY_ERROR, 403, "per failed")])
def test_a_guard_may_refuse_with_its_own_reason(refused):
    told, _ = refused_at_once(Drive(refused))
    assert (told["status"], told["reason"], told["detail"]) == (403, "policy_error", "per failed")


@pytest.mark.parametrize("wrong", [(), (Hold(slot(), True), Hold(slot(), True)), None])
def test_a_ledger_that_answers_nonsense_permits_nothing(wrong):
    drive = Drive()
    drive.world.reserve = lambda claims, now: wrong
    told, _ = refused_at_once(drive)
    assert told["status"] == 500


# -- the body ----------------------------------------------------------------------------------------------------


def test_the_body_is_asked_for_only_where_a_rule_reads_it():
    drive = Drive(reads_args=True)
    assert drive.go(request("POST", "/bank/t", length=8)) == ReadBody(1000, optional=False)
    send = drive.answer(b'{"a": 1}')
    assert send.permit.call.args == {"a": 1}
    assert isinstance(Drive(reads_args=True).go(request("POST", "/bank/t")), Send)
    assert isinstance(Drive(reads_args=False).go(request("POST", "/bank/t", length=8)), Send)


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (Refused(Reason.BODY_TOO_LARGE, 413, "too large"), 413, "body_too_large"),
        (Refused(Reason.BAD_REQUEST, 400, "the body ended early"), 400, "bad_request"),
        (RuntimeError("?"), 500, "internal_error"),
    ],
)
def test_a_body_that_cannot_be_had_is_a_refusal(error, status, reason):
    drive = Drive(reads_args=True)
    drive.go(request("POST", "/bank/t", length=5000))
    reply = drive.throw(error)
    assert (problem(reply)["status"], problem(reply)["reason"]) == (status, reason)
    assert drive.answer(Outcome(status)) is None
    assert drive.recorded().outcome == Outcome(status)


def test_a_body_that_reads_in_two_ways_is_a_refusal():
    drive = Drive(reads_args=True)
    drive.go(request("POST", "/bank/t", length=16))
    assert problem(drive.answer(b'{"a": 1, "a": 2}'))["reason"] == "unreadable_body"


# -- waiting -----------------------------------------------------------------------------------------------------


def test_a_limit_that_waits_is_awaited_and_the_wait_is_told():
    drive = Drive(quotas=(Quota(rate(wait=5), slot()),))
    drive.world.paced = Later()
    waiting = drive.go()
    assert isinstance(waiting, Await)
    assert drive.world.reserved == [], "nothing is counted while a call waits"
    drive.world.now += 2
    assert isinstance(drive.answer(given(waiting, Hold(rate(wait=5), True))), Send)
    drive.answer(Answered(200, 0.1))
    drive.answer(DONE)
    assert 2 < drive.recorded().queued < 2.1


@pytest.mark.parametrize("later", [False, True])
def test_no_room_in_time_refuses(later):
    drive = Drive(quotas=(Quota(rate(wait=5)),))
    drive.world.paced = Later() if later else False
    if not later:
        told, _ = refused_at_once(drive)
    else:
        waiting = drive.go()
        told = problem(drive.answer(given(waiting, Hold(rate(wait=5), False, retry_after=5.0))))
        assert drive.answer(Outcome(429)) is None
        drive.recorded()
    assert told["reason"] == "rate_limited"


@pytest.mark.parametrize("nonsense", [None, "yes", 1])
def test_a_turn_that_is_no_hold_is_a_refusal(nonsense):
    drive = Drive(quotas=(Quota(rate(wait=5)),))
    drive.world.pace = lambda claim: nonsense
    reply = drive.go()
    assert isinstance(reply, Await)
    assert problem(drive.throw(TypeError("cannot be awaited")))["reason"] == "internal_error"
    drop(reply)


# -- the tool fails ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "reason", "fault"),
    [
        (502, Reason.UPSTREAM_UNREACHABLE, "tool"),
        (504, Reason.UPSTREAM_TIMEOUT, "tool"),
        (400, Reason.BAD_REQUEST, "agent"),
        (408, Reason.REQUEST_TIMEOUT, "agent"),
    ],
)
@pytest.mark.parametrize("answered", [False, True])
def test_a_call_that_broke_is_answered_blamed_settled_and_recorded(status, reason, fault, answered):
    drive = Drive()
    drive.go()
    if answered:
        drive.answer(Answered(200, 0.1))
    reply = drive.throw(UpstreamError(reason, status, "it broke"))
    assert problem(reply)["reason"] == reason.value
    assert drive.answer(Outcome(status, received=3, sent=9)) is None
    trace = drive.recorded()
    assert isinstance(trace.decision, Permit)
    assert (trace.outcome.status, trace.outcome.fault, trace.outcome.error) == (status, fault, "it broke")
    assert (trace.outcome.received, trace.outcome.sent) == (3, 9)


def test_a_tool_that_broke_off_mid_answer_is_recorded_as_the_wire_saw_it():
    drive = Drive()
    drive.go()
    drive.answer(Answered(200, 0.1))
    outcome = Outcome(200, upstream=200, fault="tool", error="broke off")
    assert drive.answer(outcome) is None
    assert drive.recorded().outcome == outcome


# -- the agent goes ----------------------------------------------------------------------------------------------

GONE = Outcome(499, fault="agent", error="gone", received=1)


def to_body(drive: Drive):
    return drive.go(request("POST", "/bank/t", length=9))


def to_send(drive: Drive):
    to_body(drive)
    return drive.answer(b"{}")


def to_relay(drive: Drive):
    to_send(drive)
    return drive.answer(Answered(200, 0.1))


def to_reply_to_a_broken_call(drive: Drive):
    to_send(drive)
    return drive.throw(UpstreamError(Reason.UPSTREAM_TIMEOUT, 504, "slow"))


def to_refusal(drive: Drive):
    to_body(drive)
    return drive.answer(b"[]")


YIELDS = [
    (to_body, ReadBody, False),
    (to_refusal, Reply, False),
    (to_send, Send, True),
    (to_relay, Relay, True),
    (to_reply_to_a_broken_call, Reply, True),
]


@pytest.mark.parametrize(("reach", "effect", "permitted"), YIELDS)
@pytest.mark.parametrize(("leaves", "expected"), [(ClientGone(GONE), GONE), (ClientGone(), None)])
def test_an_agent_that_goes_is_recorded_and_settled_wherever_it_goes(reach, effect, permitted, leaves, expected):
    drive = Drive(reads_args=True)
    assert isinstance(reach(drive), effect)
    assert drive.throw(leaves) is None
    trace = drive.recorded()
    assert isinstance(trace.decision, Permit) == permitted
    assert trace.outcome == expected if expected else trace.outcome.status == 499


@pytest.mark.parametrize(("reach", "effect", "permitted"), YIELDS)
def test_a_way_that_is_dropped_is_recorded_and_settled_too(reach, effect, permitted):
    """Closing the generator is what happens to calls that a shutdown cuts off."""
    drive = Drive(reads_args=True)
    reach(drive)
    drive.way.close()
    assert isinstance(drive.recorded().decision, Permit) == permitted


def test_an_agent_that_goes_while_waiting_for_room_holds_nothing():
    drive = Drive(quotas=(Quota(rate(wait=5)),))
    drive.world.paced = Later()
    waiting = drive.go()
    assert isinstance(waiting, Await)
    assert drive.throw(ClientGone(GONE)) is None
    assert drive.recorded().decision is None
    assert drive.world.reserved == drive.world.released == []
    drop(waiting)


# -- parts that break after the permit ---------------------------------------------------------------------------


def test_a_ledger_that_breaks_at_the_answer_still_settles_and_records():
    drive = Drive()
    drive.go()
    drive.world.answered = lambda *given: 1 / 0
    with pytest.raises(ZeroDivisionError):
        drive.answer(Answered(200, 0.1))
    outcome = drive.recorded().outcome
    assert (outcome.status, outcome.fault, outcome.error) == (500, "gateway", "ZeroDivisionError: division by zero")


def test_a_ledger_that_breaks_at_the_end_does_not_lose_the_record():
    drive = Drive()
    drive.go()
    drive.answer(Answered(200, 0.1))
    drive.world.settle = lambda *given: 1 / 0
    with pytest.raises(ZeroDivisionError):
        drive.answer(DONE)
    assert len(drive.world.traces) == 1


def test_the_arrival_is_told_in_wall_time():
    drive = Drive()
    drive.go()
    drive.answer(Answered(200, 0.1))
    drive.answer(DONE)
    trace = drive.recorded()
    assert trace.wall == pytest.approx(1_700_000_000.0 - (trace.ended - trace.began))
