"""How many runs are in which state."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.model import Agent, Mode, Outcome, Permit, Reason, Refusal, Run, Spoke, Trace, Verdict
from gateway.observe.runs_now import MEMORY, RunsNow
from gateway.observe.runstate import IDLE, ended_of, history
from gateway.stores.shares import Shares
from tests.builders import call
from tests.observe.support import trace

STOP = Spoke("p", "q", Verdict.DENY, Mode.ENFORCE, "no", quarantine="run")
DECISIONS = st.sampled_from(
    [
        None,
        Permit(call()),
        Permit(call()),
        Permit(call(), spoke=(structs.replace(STOP, mode=Mode.AUDIT),)),
        Refusal(Reason.LOOP_DETECTED, 403, "", "loop/l"),
        Refusal(Reason.RATE_LIMITED, 429, "", "limit/l"),
        Refusal(Reason.POLICY_DENIED, 403, "", "p/q", spoke=(STOP,)),
    ]
)


def ended(decision, wall: float, took: float = 1.0, run: str = "r", agent: str = "ann") -> Trace:
    made = trace(decision, Outcome(200, 200))
    return structs.replace(made, wall=wall, began=0.0, ended=took, run=Run(run), agent=Agent(agent))


def counted(now: RunsNow) -> dict[str, int]:
    return {state: count for state, count in now.counts().items() if count}


@given(st.lists(st.tuples(DECISIONS, st.integers(0, 900), st.integers(0, 900)), max_size=20))
def test_a_run_is_in_the_state_that_its_history_ends_in(calls):
    at, made = 0, []
    for decision, gap, took in calls:
        at += gap
        made.append(ended(decision, at, took))
    made.sort(key=lambda one: one.wall + one.ended)
    end = max((one.wall + one.ended for one in made), default=0.0)
    now = RunsNow(Shares(10), lambda: end)
    for one in made:
        now.record(one)
    expected = history([ended_of(one) for one in made], end)[0]
    assert counted(now) == ({expected.value: 1} if made else {})


def test_a_run_of_which_a_call_waits_for_a_person_waits_unless_it_is_quarantined():
    asked = [("report-1", "r"), ("ann", "r"), ("bob", "r"), ("eve", "")]
    now = RunsNow(Shares(10), lambda: 10.0, lambda: asked)
    now.record(ended(Permit(call()), 1, agent="ann"))
    now.record(ended(Refusal(Reason.QUARANTINED, 403, "this run is quarantined"), 1, agent="bob"))
    assert counted(now) == {"waiting for a human": 2, "quarantined": 1}, "one of them by its first call"


def test_runs_are_told_apart_by_agent_and_forgotten_after_an_hour():
    clock = [10.0]
    now = RunsNow(Shares(10), lambda: clock[0])
    now.record(ended(Permit(call()), 1))
    now.record(ended(Permit(call()), 1, agent="bob"))
    now.record(ended(Permit(call()), 1, run=""))
    assert counted(now) == {"active": 2}
    clock[0] += IDLE
    assert counted(now) == {"finished": 2}
    clock[0] += MEMORY
    assert counted(now) == {}
