"""What was taken for a call is given back, whatever its exit, and at whatever instant its agent goes."""

from __future__ import annotations

import pytest

from gateway.errors import ClientGone, UpstreamError
from gateway.model import Answered, Hold, Outcome, Permit, Reason, Refusal
from gateway.pipeline import Await, Reply, Send
from tests.builders import pool, rate, request, slot
from tests.drive import DONE, Drive, Later, Quota, drop, given, problem
from tests.reading import Speaks

PLACE, TOKEN, SLOT = pool(), rate(), slot()
WAITED = Hold(PLACE, True)


def queued(*later: Quota) -> tuple[Drive, Await]:
    """A call that waits for a place in a pool."""
    drive = Drive(quotas=(Quota(PLACE), *later))
    drive.world.paced = Later()
    waiting = drive.go()
    assert isinstance(waiting, Await)
    return drive, waiting


def fetching(*before: Quota) -> tuple[Drive, Await]:
    """A call whose counters must be fetched first."""
    drive = Drive(quotas=(*before, Quota(TOKEN, SLOT)))
    drive.world.reserve = lambda claims, now: Later()
    waiting = drive.go()
    assert isinstance(waiting, Await)
    return drive, waiting


def granted(*claims):
    return tuple(Hold(claim, True) for claim in claims)


# -- granted while it waited -------------------------------------------------------------------------------------


@pytest.mark.parametrize("leaves", ["goes", "is dropped"])
def test_a_place_that_is_granted_in_the_instant_in_which_the_agent_goes_is_given_back(leaves):
    drive, waiting = queued()
    given(waiting, WAITED)
    if leaves == "goes":
        drive.throw(ClientGone())
    else:
        drive.way.close()
    assert drive.world.released == [(WAITED,)]
    assert drive.recorded().decision is None


def test_counters_that_are_granted_in_the_instant_in_which_the_agent_goes_are_given_back():
    drive, waiting = fetching()
    given(waiting, granted(TOKEN, SLOT))
    drive.throw(ClientGone())
    assert drive.world.released == [granted(TOKEN, SLOT)]
    drive.recorded()


def test_an_agent_that_goes_before_anything_is_granted_has_nothing_to_give_back():
    for drive, waiting in (queued(), fetching()):
        drive.throw(ClientGone())
        drop(waiting)
        assert drive.world.released == []
        drive.recorded()


def test_who_fetches_counters_with_a_place_in_hand_gives_back_the_place():
    drive, waiting = fetching(Quota(PLACE))
    drive.throw(ClientGone())
    drop(waiting)
    assert drive.world.released == [(WAITED,)]


def test_a_reservation_that_breaks_while_it_is_waited_for_refuses_and_gives_back_what_was_held():
    drive, waiting = fetching(Quota(PLACE))
    drop(waiting)
    reply = drive.throw(ConnectionError("the store is gone"))
    assert problem(reply)["reason"] == "internal_error"
    drive.answer(Outcome(500))
    assert drive.world.released == [(WAITED,)]
    drive.recorded()


# -- refused further on ------------------------------------------------------------------------------------------


def test_a_place_is_given_back_where_a_counter_refuses_afterwards():
    drive = Drive(quotas=(Quota(PLACE), Quota(SLOT)))
    drive.world.grants = False
    drive.world.look = lambda claims, now: granted(*claims)
    reply = drive.go()
    assert isinstance(reply, Reply)
    assert drive.world.released == [], "given back when the agent has its answer, as all else"
    drive.answer(Outcome(429))
    assert drive.world.released == [(WAITED,)]
    decision = drive.recorded().decision
    assert isinstance(decision, Refusal)
    assert [hold.granted for hold in decision.holds] == [True, False]


def test_a_turn_that_came_too_late_holds_nothing():
    drive, waiting = queued()
    late = given(waiting, Hold(PLACE, False, retry_after=1.0))
    assert isinstance(drive.answer(late), Reply)
    drive.answer(Outcome(429))
    assert drive.world.released == []


def test_a_refusal_with_two_lines_gives_back_the_first_place():
    drive = Drive(quotas=(Quota(PLACE), Quota(pool("other"))))
    turns = iter([WAITED, Hold(pool("other"), False)])
    drive.world.pace = lambda claim: next(turns)
    drive.go()
    drive.answer(Outcome(429))
    assert drive.world.released == [(WAITED,)]


def test_holds_are_noted_all_or_none():
    """One hold that is not granted means that nothing was taken: there is nothing to give back."""
    drive, waiting = fetching()
    told = given(waiting, (Hold(TOKEN, True), Hold(SLOT, False)))
    assert isinstance(drive.answer(told), Reply)
    drive.answer(Outcome(429))
    assert drive.world.released == drive.world.settled == []


# -- settled or released -----------------------------------------------------------------------------------------


def test_a_call_that_was_sent_is_settled_with_all_it_held_from_the_lines_too():
    drive, waiting = queued(Quota(SLOT))
    send = drive.answer(given(waiting, WAITED))
    assert isinstance(send, Send)
    drive.answer(Answered(200, 0.1))
    drive.answer(DONE)
    assert drive.world.settled == [((WAITED, *granted(SLOT)), DONE)]
    assert drive.world.released == []


def test_a_tool_that_could_not_be_reached_is_settled_so_that_breakers_hear_of_it():
    drive = Drive()
    drive.go()
    drive.throw(UpstreamError(Reason.UPSTREAM_UNREACHABLE, 502, "refused the connection"))
    drive.answer(Outcome(502))
    ((holds, outcome),) = drive.world.settled
    assert (holds, outcome.upstream, outcome.fault) == (granted(SLOT), 0, "tool")
    assert drive.world.released == []


@pytest.mark.parametrize("at", ["sending", "answering"])
def test_an_agent_that_goes_after_the_call_was_sent_is_settled(at):
    """What the tool was asked to do cannot be taken back, nor what it cost."""
    drive = Drive()
    drive.go()
    if at == "answering":
        drive.answer(Answered(200, 0.1))
    drive.throw(ClientGone())
    assert [holds for holds, _ in drive.world.settled] == [granted(SLOT)]
    assert drive.world.released == []


def test_a_permitted_call_that_breaks_before_it_is_sent_is_released():
    drive = Drive(counts=True)
    drive.runs.began = lambda *given: 1 / 0
    with pytest.raises(ZeroDivisionError):
        drive.go(IN_RUN)
    assert drive.world.released == [granted(SLOT)]
    assert drive.world.settled == []
    assert isinstance(drive.world.traces[0].decision, Permit)


# -- steps of runs -----------------------------------------------------------------------------------------------

TREE = ("report-1", "job-1")
IN_RUN = request("POST", "/bank/t", [("X-Run-Id", "job-1")])


@pytest.mark.parametrize(
    ("answers", "errors"),
    [([Outcome(200, upstream=200)], 0), ([Outcome(500, upstream=500)], 1), ([Outcome(404, upstream=404)] * 2, 2)],
)
def test_permitted_calls_are_steps_of_their_run_and_failures_in_a_row_are_counted(answers, errors):
    drive = Drive(counts=True)
    for outcome in answers:
        drive.go(IN_RUN)
        assert drive.runs.tally(TREE, drive.world.now)[0] > 0, "a step counts before it ends"
        drive.answer(Answered(outcome.status, 0.1))
        drive.answer(outcome)
    assert drive.runs.tally(TREE, drive.world.now)[:2] == (len(answers), errors)


def test_a_step_ends_for_its_run_where_the_ledger_breaks():
    drive = Drive(counts=True)
    drive.world.settle = lambda *given: 1 / 0
    drive.go(IN_RUN)
    drive.answer(Answered(500, 0.1))
    with pytest.raises(ZeroDivisionError):
        drive.answer(Outcome(500, upstream=500))
    assert drive.runs.tally(TREE, drive.world.now)[:2] == (1, 1)
    assert len(drive.world.traces) == 1


def test_a_refused_call_is_no_step():
    drive = Drive(counts=True)
    drive.world.grants = False
    drive.go(IN_RUN)
    drive.answer(Outcome(429))
    assert drive.runs.tally(TREE, drive.world.now) == (0, 0, 0.0)


def test_what_only_keeps_a_session_going_is_no_step():
    drive = Drive(counts=True, reader=Speaks(implied=True))
    assert isinstance(drive.go(IN_RUN), Send)
    assert drive.runs.tally(TREE, drive.world.now)[0] == 0
    drive.way.close()
