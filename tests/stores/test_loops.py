"""When a run goes round in circles, by the keeper that says so: without clocks, tools or policies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.model import Findings, Hold, LoopClaim, LoopSettings, Outcome, RateClaim
from gateway.stores.buckets import Buckets
from gateway.stores.ledger import KeptLedger
from gateway.stores.loops import Loops
from tests.builders import rate


class Agent:
    """An agent in one run: says what it asks, and what comes of it."""

    def __init__(self, run: str = "r1", ledger: KeptLedger | None = None, **settings) -> None:
        self.settings = LoopSettings(**settings)
        self.ledger = ledger or KeptLedger({LoopClaim: Loops()}, lambda: 0.0)
        self.run, self.now, self.made = run, 1000.0, 0
        self.last: Hold | None = None

    def claim(self, asked: str, *, changes: bool = False, polls: bool = False, by_result: bool = True) -> LoopClaim:
        return LoopClaim("g", ("g", "a", self.run), asked, changes, polls, self.settings, by_result)

    def reserve(self, claim: LoopClaim) -> Hold:
        holds = self.ledger.reserve((claim,), self.now)
        assert isinstance(holds, tuple)
        self.last = holds[0]
        return holds[0]

    def call(
        self, asked: str, result: str = "same", *, error: bool = False, status: int = 200, said: str = "", **more: bool
    ) -> bool:
        """Make one call; whether it was let through."""
        self.now += 1
        hold = self.reserve(self.claim(asked, **more))
        if not hold.granted:
            return False
        self.made += 1
        found = Findings(digest=result, is_error=error, complaint=said)
        self.ledger.settle((hold,), Outcome(status, status, sent=1, found=found), self.now)
        return True

    def calls(self, asked: str, **more) -> list[bool]:
        """One call for each letter."""
        return [self.call(one, **more) for one in asked]

    @property
    def state(self) -> str:
        assert self.last is not None
        return self.last.state


def test_the_same_call_with_the_same_result_passes_three_times():
    agent = Agent()
    assert agent.calls("AAAA") == [True, True, True, False]
    assert (agent.state, agent.last.left) == ("repeats", 3.0)


def test_before_the_last_that_passes_the_agent_is_advised():
    agent = Agent()
    states = []
    for _ in range(4):
        agent.call("A")
        states.append(agent.state)
    assert states == ["", "", "near", "repeats"]


def test_after_a_refusal_another_call_goes_through():
    agent = Agent()
    agent.calls("AAAA")
    assert agent.call("B")


def test_a_changed_result_begins_anew():
    agent = Agent()
    assert all(agent.call("A", result) for result in ("1", "1", "1", "2", "2", "2")[:3])
    assert not agent.call("A", "2"), "nobody can know that it would have changed"
    agent = Agent()
    assert all(agent.call("A", str(number // 2)) for number in range(40))


@pytest.mark.parametrize("error", ["the same error", ""])
def test_the_same_error_counts_sooner(error):
    agent = Agent()
    assert [agent.call("A", error, error=True) for _ in range(3)] == [True, True, False]
    assert agent.state == "errors"


@pytest.mark.parametrize("status", [500, 503, 429, 409])
def test_trouble_of_the_tool_says_nothing_of_the_run(status):
    agent = Agent(streak=10)
    assert [agent.call("A", status=status) for _ in range(11)] == [True] * 10 + [False]
    assert agent.state == "streak"
    assert Agent().calls("A" * 30, status=status) == [True] * 30


def test_what_is_new_in_between_forgives_one_each():
    agent = Agent()
    for number in range(30):
        assert agent.call("A"), number
        assert agent.call(f"new {number}")


def test_new_errors_forgive_nothing():
    agent = Agent()
    for number in range(3):
        assert agent.call("A")
        agent.call(f"new {number}", error=True)
    assert not agent.call("A")


def test_what_was_new_before_is_not_saved_up():
    agent = Agent()
    agent.call("A")
    agent.calls("abcdefghijklmnop")
    assert agent.calls("AAAA") == [True, True, True, False]


def test_a_change_in_between_makes_reads_unknown_again():
    agent = Agent()
    agent.calls("RRR")
    assert agent.call("edit", "ok", changes=True)
    assert agent.calls("RR") == [True, True]


def test_a_change_that_is_no_other_than_the_last_makes_nothing_unknown():
    agent = Agent()
    for _ in range(3):
        agent.call("edit", "ok", changes=True)
        agent.call("R")
    assert not agent.call("edit", "ok", changes=True)
    assert not agent.call("R")


@pytest.mark.parametrize("length", [2, 3, 4, 5])
def test_rounds_of_several_calls_are_refused_after_three(length):
    agent = Agent(repeats=0)
    cycle = "ABCDE"[:length]
    assert all(agent.calls(cycle * 3))
    assert not agent.call("A")
    assert (agent.state, agent.last.left) == ("cycle", float(length))


def test_a_cycle_is_found_whatever_came_before_it():
    agent = Agent()
    agent.calls("abcdefgh")
    assert agent.calls("ABABABA")[-1] is False
    assert agent.state == "cycle"


def test_rounds_whose_results_change_are_no_cycle():
    agent = Agent()
    assert all(agent.call("AB"[number % 2], str(number)) for number in range(40))


def test_cycles_longer_than_five_are_stopped_where_nothing_is_new():
    agent = Agent()
    assert all(agent.calls("ABCDEFG" * 3))
    assert not agent.call("A")
    assert agent.state == "stalled"


@given(st.text("ABCDEF", max_size=60), st.integers(2, 5))
def test_no_run_makes_more_calls_for_each_distinct_one_than_repeats(asked, repeats):
    agent = Agent(repeats=repeats, refusals=0)
    passed = [one for one in asked if agent.call(one)]
    assert len(passed) <= repeats * max(1, len(set(passed)))


@given(st.text("ABCDEFGHIJ", max_size=60))
def test_what_was_never_asked_before_always_passes(asked):
    agent = Agent(refusals=0)
    seen: set[str] = set()
    for one in asked:
        assert agent.call(one) or one in seen
        seen.add(one)


def test_what_is_polled_has_a_bound_of_its_own():
    agent = Agent(poll_repeats=5)
    assert [agent.call("P", polls=True) for _ in range(6)] == [True] * 5 + [False]
    assert Agent(poll_repeats=0).calls("P" * 100, polls=True) == [True] * 100


def test_a_polled_operation_that_fails_is_repeated_as_little_as_any():
    agent = Agent()
    assert [agent.call("P", polls=True, error=True) for _ in range(3)] == [True, True, False]


def test_a_cycle_with_polling_in_it_is_none():
    agent = Agent(repeats=0, poll_repeats=50)
    for _ in range(20):
        assert agent.call("sleep")
        assert agent.call("P", polls=True)


@pytest.mark.parametrize(("settings", "most"), [({}, 3), ({"repeats": 5}, 5), ({"errors": 4}, 4), ({"errors": 1}, 3)])
def test_an_error_that_says_that_it_passes_counts_as_any_result_that_is_not_new(settings, most):
    agent = Agent(cycles=0, **settings)
    agent.call("first")
    agent.call("second")
    made = [agent.call("A", error=True, said="service temporarily unavailable") for _ in range(most + 1)]
    assert made == [True] * most + [False]
    assert agent.state == "errors"


def test_a_run_that_only_fails_makes_a_streak_for_each_refusal_and_no_more():
    agent = Agent(streak=4, refusals=3)
    for number in range(40):
        agent.call(f"new {number}", f"error {number}", error=True)
        if agent.last.escalate:
            break
    assert agent.made == 12


def test_errors_in_a_row_are_refused_once_whatever_the_calls():
    agent = Agent(streak=4)
    assert [agent.call(one, error=True) for one in "ABCDE"] == [True] * 4 + [False]
    assert agent.state == "streak"
    assert agent.call("F")


def test_calls_under_way_count_as_repetitions_to_be():
    agent = Agent()
    holds = [agent.reserve(agent.claim("A")) for _ in range(4)]
    assert [hold.granted for hold in holds] == [True, True, True, False]
    assert agent.state == "pending"
    for hold in holds[:3]:
        agent.ledger.release((hold,), agent.now)
    assert agent.call("A"), "they were never made"


def test_concurrent_calls_that_differ_are_let_be():
    agent = Agent()
    assert all(agent.reserve(agent.claim(f"A{number}")).granted for number in range(100))


def test_answers_that_nobody_reads_are_no_events():
    """As those of models: they neither repeat, nor are they news that would forgive repetitions of tools."""
    agent = Agent()
    assert agent.calls("M" * 50, result="") == [True] * 50
    for number in range(3):
        assert agent.call("A")
        assert agent.call(f"M{number}", "")
    assert not agent.call("A")


def test_a_call_without_an_intent_is_like_no_other():
    assert Agent().calls([""] * 50) == [True] * 50


def test_an_agent_that_left_has_met_no_result():
    agent = Agent()
    for _ in range(10):
        hold = agent.reserve(agent.claim("A"))
        assert hold.granted
        agent.ledger.settle((hold,), Outcome(499, 200, fault="agent"), agent.now)


def test_events_are_forgotten_after_a_while():
    agent = Agent(memory=60)
    agent.calls("AAA")
    agent.now += 61
    assert agent.call("A")


def test_refusals_end_in_quarantine():
    agent = Agent()
    agent.calls("AAA")
    told = []
    for _ in range(3):
        agent.call("A")
        told.append((bool(agent.last.detail), agent.last.escalate))
    assert told[:2] == [(True, False), (False, False)], "the first teaches, the next is short"
    assert told[2][1], "the third is enough"


def test_a_run_that_is_let_go_on_is_not_stopped_by_its_first_mistake():
    agent = Agent()
    agent.calls("AAA" + "AAA")
    assert agent.last.escalate, "the run is quarantined; somebody lifts it"
    stopped = []
    for _ in range(3):
        assert not agent.call("A"), "what was repeated is refused as before"
        stopped.append(agent.last.escalate)
    assert stopped == [False, False, True]


def test_progress_forgives_refusals():
    agent = Agent()
    for number in range(10):
        while agent.call("A"):
            pass
        assert not agent.last.escalate
        assert agent.call(f"new {number}")


def test_refusals_may_never_end_in_quarantine():
    agent = Agent(refusals=0)
    agent.calls("A" * 50)
    assert not agent.last.escalate


def test_a_run_that_was_refused_has_less_left_for_a_while():
    agent = Agent()
    agent.calls("AAAA")
    assert agent.calls("BBB") == [True, True, False]
    agent = Agent()
    agent.calls("AAAA")
    agent.calls(f"new {number}" for number in range(25))
    assert agent.calls("BBBB") == [True, True, True, False]


def test_calls_without_a_run_count_half_and_are_forgotten_soon():
    agent = Agent("")
    assert agent.calls("A" * 7) == [True] * 6 + [False]
    assert not any(agent.call("A") or agent.last.escalate for _ in range(20)), "never quarantined"
    agent.now += 61
    assert agent.call("A")


def test_calls_without_a_run_are_no_cycles():
    agent = Agent("", repeats=5)
    assert all(agent.calls("AB" * 5))


def test_in_audit_all_is_told_and_nothing_refused():
    agent = Agent(enforced=False)
    assert all(agent.calls("AAAAAA"))
    assert agent.state == "repeats"


def test_what_another_guard_refuses_counts_where_it_had_failed_by_its_own_fault():
    ledger = KeptLedger({LoopClaim: Loops(), RateClaim: Buckets()}, lambda: 0.0)
    empty = rate(1, 0.001)
    ledger.reserve((empty,), 1000.0)
    for asked, error, last in (("A", True, "errors"), ("B", False, "")):
        agent = Agent(asked, ledger)
        assert agent.call(asked, error=error)
        states = []
        for _ in range(2):
            loop, limit = ledger.reserve((agent.claim(asked), empty), agent.now)
            assert not limit.granted
            states.append(loop.state)
        assert states[-1] == last


def test_one_run_does_not_count_for_another_nor_an_agent():
    ledger = KeptLedger({LoopClaim: Loops()}, lambda: 0.0)
    Agent("r1", ledger).calls("AAA")
    assert Agent("r2", ledger).call("A")


def test_an_agent_with_many_runs_pushes_out_only_its_own():
    loops = Loops(capacity=100)
    ledger = KeptLedger({LoopClaim: loops}, lambda: 0.0)
    victim = Agent("r1", ledger)
    victim.calls("AAA")
    for number in range(1000):
        claim = structs.replace(victim.claim("A"), key=("g", "greedy", f"r{number}"))
        ledger.settle(ledger.reserve((claim,), 1000.0), Outcome(200, 200), 1000.0)
    assert len(loops) <= 100
    assert not victim.call("A")


def test_what_one_run_is_remembered_by_is_bounded():
    agent = Agent(window=5)
    agent.calls(f"{number}" for number in range(1000))
    trail = agent.ledger._keepers[LoopClaim]._trails.get(("g", "a", "r1"))
    assert len(trail._seen) <= 5
    assert len(trail._tail) <= 15
    assert not trail.busy


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from(["settle", "release", "lost"])), max_size=40))
def test_what_is_under_way_is_known_whatever_becomes_of_it(steps):
    """Holds end in any order, by settling or by release; then nothing is under way any more."""
    agent = Agent(refusals=0)
    held = []
    for asked, end in steps:
        hold = agent.reserve(agent.claim(asked))
        if hold.granted:
            held.append((hold, end))
    for hold, end in reversed(held):
        if end == "release":
            agent.ledger.release((hold,), agent.now)
        else:
            outcome = Outcome(200, 200, sent=1) if end == "settle" else Outcome(502, fault="tool")
            agent.ledger.settle((hold,), outcome, agent.now)
    trail = agent.ledger._keepers[LoopClaim]._trails.get(("g", "a", "r1"))
    assert trail is None or not trail.busy
