"""Runs as state machines: which state their calls leave them in, and which call it was."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.errors import refusal_of
from gateway.model import Findings, Mode, Outcome, Permit, Quarantine, Reason, Refusal, Spoke, Verdict
from gateway.observe.runstate import IDLE, Ended, RunState, Transition, ended_in, ended_of, history
from gateway.observe.trace import line_of
from gateway.replies import quarantined
from tests.builders import call
from tests.observe.support import trace

ACTIVE, FINISHED, LOOPING = RunState.ACTIVE, RunState.FINISHED, RunState.LOOPING


def allowed(number: float, ident: str = "", took: float = 0.5) -> Ended:
    return Ended(ident or f"c{number}", number, number + took, "allow")


def refused(number: float, reason: Reason, rule: str = "loop/l") -> Ended:
    return Ended(f"c{number}", number, number + 0.1, "refuse", reason.value, rule)


def told(moved: tuple[Transition, ...]) -> list[tuple[str, str, str]]:
    return [(one.before, one.after, one.call) for one in moved]


def test_a_run_without_calls_is_over():
    assert history([], 0.0) == (FINISHED, ())


def test_a_run_that_is_silent_for_long_has_finished_when_the_silence_had_lasted_long_enough():
    state, moved = history([allowed(1)], 1.5 + IDLE + 1)
    assert (state, moved[-1]) == (FINISHED, Transition(1.5 + IDLE, "active", "finished"))
    assert history([allowed(1)], 1.5 + IDLE)[0] is ACTIVE


def test_a_run_that_makes_calls_again_was_finished_in_between():
    state, moved = history([allowed(1), allowed(1000)], 1001)
    assert state is ACTIVE
    assert told(moved) == [("", "active", "c1"), ("active", "finished", ""), ("finished", "active", "c1000")]


def test_a_long_call_is_no_silence():
    assert len(history([allowed(1), allowed(2, took=900), allowed(903)], 904)[1]) == 1


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (Reason.LOOP_DETECTED, "looping"),
        (Reason.REPEATED_FAILURE, "looping"),
        (Reason.RATE_LIMITED, "throttled"),
        (Reason.QUEUE_TIMEOUT, "throttled"),
        (Reason.APPROVAL_PENDING, "waiting for a human"),
        (Reason.CONCURRENCY_LIMITED, "throttled"),
        (Reason.RETRY_BUDGET_EXHAUSTED, "throttled"),
        (Reason.BUDGET_EXHAUSTED, "out of budget"),
        (Reason.RUN_LIMITED, "out of budget"),
        (Reason.APPROVAL_REQUIRED, "waiting for a human"),
        (Reason.QUARANTINED, "quarantined"),
    ],
)
def test_what_refuses_a_call_stops_its_run_until_one_is_let_through(reason, state):
    calls = [allowed(1), refused(2, reason, "kind/guard"), allowed(3)]
    assert history(calls[:2], 10_000)[0] == state
    found, moved = history(calls, 4)
    assert found is ACTIVE
    assert moved[1] == Transition(2.1, "active", state, "c2", reason.value, "kind/guard")
    assert told(moved[2:]) == [(state, "active", "c3")]


def test_a_refusal_by_a_rule_stops_nothing():
    assert told(history([allowed(1), refused(2, Reason.POLICY_DENIED)], 3)[1]) == [("", "active", "c1")]


def test_a_call_under_way_when_its_run_was_stopped_does_not_set_it_going():
    calls = [refused(2, Reason.LOOP_DETECTED), Ended("slow", 1, 5, "allow")]
    assert history(calls, 6)[0] is LOOPING


def test_what_is_refused_otherwise_does_not_end_a_quarantine():
    calls = [refused(1, Reason.QUARANTINED), refused(2, Reason.POLICY_DENIED), refused(3, Reason.RATE_LIMITED)]
    assert told(history(calls, 4)[1]) == [("", "quarantined", "c1")]


def test_an_agent_that_left_before_a_decision_says_nothing_of_its_run():
    assert history([refused(1, Reason.RATE_LIMITED), Ended("gone", 2, 3)], 4)[0] is RunState.THROTTLED


CALLS = st.lists(
    st.builds(
        lambda gap, took, decision, reason, stops: (gap, took, decision, reason if decision == "refuse" else "", stops),
        st.integers(0, 700),
        st.integers(0, 700),
        st.sampled_from(["allow", "allow", "refuse", ""]),
        st.sampled_from([reason.value for reason in Reason]),
        st.sampled_from([False] * 9 + [True]),
    ),
    max_size=30,
)


def in_order(made: list[tuple[int, int, str, str, bool]]) -> list[Ended]:
    at, found = 0, []
    for number, (gap, took, decision, reason, stops) in enumerate(made):
        at += gap
        found.append(Ended(f"c{number}", at, at + took, decision, reason, "", stops and decision == "allow"))
    return sorted(found, key=lambda one: one.ended)


@given(CALLS, st.integers(0, 2000))
def test_transitions_are_a_chain_in_time_from_nothing_to_the_present_state(made, later):
    calls = in_order(made)
    now = (calls[-1].ended if calls else 0) + later
    state, moved = history(calls, now)
    assert [one.before for one in moved] == ["", *(one.after for one in moved[:-1])][: len(moved)]
    assert all(one.before != one.after for one in moved)
    assert [one.at for one in moved] == sorted(one.at for one in moved)
    assert all(one.at <= now for one in moved)
    assert not moved or moved[-1].after == state
    by_id = {one.call: one for one in calls}
    assert all(one.at == by_id[one.call].ended if one.call else one.after == "finished" for one in moved)


@given(CALLS)
def test_a_run_is_stopped_only_by_a_call_that_says_so_and_set_going_only_by_one_that_arrived_later(made):
    calls = in_order(made)
    by_id = {one.call: one for one in calls}
    _, moved = history(calls, calls[-1].ended if calls else 0)
    for before, one in zip((None, *moved), moved, strict=False):
        cause = by_id.get(one.call)
        if one.after not in ("active", "finished"):
            assert cause is not None
            assert cause.reason or cause.stops
        elif one.before == "quarantined":
            assert cause is not None
            assert before is not None
            assert cause.decision == "allow"
            assert cause.began > before.at


@given(CALLS, st.integers(0, 30))
def test_the_state_is_told_by_the_calls_one_after_the_other(made, at):
    """What was told of the first calls is not told otherwise once more have ended."""
    calls = in_order(made)
    first = calls[:at]
    if first:
        early, late = history(first, first[-1].ended)[1], history(calls, calls[-1].ended)[1]
        assert late[: len(early)] == early


IMPOSES = Spoke("p", "q", Verdict.DENY, Mode.ENFORCE, "no", quarantine="run", seconds=60)
STANDING = Quarantine("run", ("a", "r"), "went mad", "p/q", 0.0)


@pytest.mark.parametrize(
    ("decision", "found", "stops", "reason"),
    [
        (None, Findings(), False, ""),
        (Permit(call()), Findings(), False, ""),
        (Permit(call()), Findings(spoke=(IMPOSES,)), True, ""),
        (Permit(call()), Findings(spoke=(structs.replace(IMPOSES, mode=Mode.AUDIT),)), False, ""),
        (Permit(call()), Findings(spoke=(structs.replace(IMPOSES, quarantine="tool"),)), False, ""),
        (Refusal(Reason.LOOP_DETECTED, 403, "", "loop/l", quarantine="run"), Findings(), True, "loop_detected"),
        (Refusal(Reason.POLICY_DENIED, 403, "", "p/q", spoke=(IMPOSES,)), Findings(), True, "policy_denied"),
        (refusal_of(quarantined(STANDING, 1.0)), Findings(), False, "quarantined"),
        (refusal_of(quarantined(structs.replace(STANDING, scope="tool"), 1.0)), Findings(), False, ""),
    ],
)
def test_a_record_says_of_its_run_what_the_trace_says(decision, found, stops, reason):
    one = trace(decision, Outcome(200, found=found))
    said = ended_of(one)
    assert (said.stops, said.reason) == (stops, reason)
    read = ended_in(orjson.loads(line_of(one)))
    assert structs.replace(read, began=0.0, ended=0.0) == structs.replace(said, began=0.0, ended=0.0)
    assert (read.began, read.ended) == pytest.approx((said.began, said.ended), abs=0.001)
