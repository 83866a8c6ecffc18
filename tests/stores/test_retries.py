"""What becomes of retries, by the keeper that says so, with a clock that stands still."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Findings, Hold, Outcome, RetryClaim, RetrySettings
from gateway.stores.ledger import KeptLedger
from gateway.stores.retries import Retries
from gateway.stores.throttle import Outage

GOOD, BAD, DOWN = Outcome(200, 200), Outcome(400, 400, found=Findings(complaint="no such column")), Outcome(503, 503)
LOST = Outcome(502, 0, fault="tool")


class World:
    """A tool, and agents that call it."""

    def __init__(self, **settings) -> None:
        self.settings = RetrySettings(**settings)
        self.keeper = Retries()
        self.ledger = KeptLedger({RetryClaim: self.keeper}, lambda: 0.0)
        self.now = 1000.0
        self.reached = 0

    def claim(self, asked: str, agent: str = "a", *, run: str = "r", by_result: bool = False, **more) -> RetryClaim:
        operation, changes = more.get("operation", "op"), more.get("changes", False)
        tree = (more.get("root", agent), run)
        return RetryClaim("g", ("g", agent, "bank"), tree, operation, asked, changes, self.settings, by_result)

    def reserve(self, claim: RetryClaim) -> Hold:
        holds = self.ledger.reserve((claim,), self.now)
        assert isinstance(holds, tuple)
        return holds[0]

    def call(self, asked: str, outcome: Outcome = GOOD, agent: str = "a", **more) -> Hold:
        """One call, which ends like this where it is let through."""
        hold = self.reserve(self.claim(asked, agent, **more))
        if hold.granted:
            self.reached += 1
            self.ledger.settle((hold,), outcome, self.now)
        return hold


# -- the caller's fault ---------------------------------------------------------------------------------------------


def test_a_call_that_failed_by_its_own_fault_is_answered_from_memory_twice_then_shortly():
    world = World()
    assert world.call("x", BAD).granted
    holds = [world.call("x", GOOD) for _ in range(4)]
    assert [(hold.granted, hold.state, hold.status) for hold in holds] == [
        (False, "taught", 400),
        (False, "taught", 400),
        (False, "stopped", 400),
        (False, "stopped", 400),
    ]
    assert [hold.detail for hold in holds] == ["no such column", "no such column", "", ""]
    assert world.reached == 1


def test_another_call_goes_through():
    world = World()
    world.call("x", BAD)
    assert world.call("y").granted


def test_it_is_forgotten_after_a_while():
    world = World(remember=30)
    world.call("x", BAD)
    world.now += 31
    assert world.call("x").granted


def test_a_change_of_the_run_may_have_mended_it():
    world = World()
    world.call("x", BAD)
    world.call("y", GOOD)
    assert not world.call("x").granted, "reading mends nothing"
    world.call("y", GOOD, changes=True, operation="other")
    assert world.call("x").granted


def test_another_agent_of_the_tree_is_neither_refused_for_it_nor_told_of_it():
    world = World()
    world.call("x", BAD, "planner")
    assert world.call("x", BAD, "searcher", root="planner").granted, "it may have other credentials"
    world.call("y", GOOD, "searcher", root="planner", changes=True)
    assert world.call("x", GOOD, "planner").granted, "what it changed may have been what was missing"


def test_a_change_of_another_run_mends_nothing():
    world = World()
    world.call("x", BAD)
    world.call("y", GOOD, changes=True, run="other")
    assert not world.call("x").granted
    assert world.call("x", run="other").granted


@pytest.mark.parametrize("status", [401, 407, 408, 409, 412, 415, 423, 425, 428, 429])
def test_what_may_succeed_later_or_with_other_fields_is_not_remembered(status):
    world = World()
    world.call("x", Outcome(status, status))
    assert world.call("x").granted


def test_of_an_mcp_server_only_results_speak_of_the_call():
    world = World()
    world.call("x", Outcome(404, 404), by_result=True)
    assert world.call("x", Outcome(200, 200, found=Findings(is_error=True)), by_result=True).granted
    hold = world.call("x", by_result=True)
    assert (hold.granted, hold.status) == (False, 200)


def test_a_result_that_tells_of_a_passing_trouble_may_be_asked_for_again_as_often_as_what_failed_by_the_tools_fault():
    world, passing = World(), Outcome(200, 200, found=Findings(is_error=True, complaint="request timed out"))
    down, fails = World(), Outcome(503, 503)
    for _ in range(30):
        world.call("x", passing, by_result=True)
        down.call("x", fails)
    assert world.reached == down.reached <= 7


def test_words_in_results_make_no_outage_for_other_agents():
    world, passing = World(), Outcome(200, 200, found=Findings(is_error=True, complaint="request timed out"))
    for agent in "abcdef":
        for _ in range(20):
            world.call("x", passing, agent, by_result=True)
    assert not any(outage.down for outage in world.keeper._outages.values())
    assert [world.call("x", passing, "fresh", by_result=True).granted for _ in range(3)] == [True] * 3


def test_faults_may_go_unremembered():
    world = World(teach=0)
    world.call("x", BAD)
    assert world.call("x", BAD).granted


@given(st.lists(st.integers(0, 100), max_size=200))
def test_what_is_remembered_of_a_run_is_bounded(asked):
    world = World()
    for number in asked:
        world.call(str(number), BAD)
    faults = world.keeper._faults.get(("g", "a", "r"))
    assert faults is None or len(faults._faults) <= 8


# -- the tool's fault -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [DOWN, LOST, Outcome(429, 429)])
def test_retries_pass_while_more_than_half_of_the_bucket_is_left(outcome):
    world = World(tokens=10)
    holds = [world.call("x", outcome) for _ in range(20)]
    assert [hold.granted for hold in holds] == [True] * 6 + [False] * 14
    assert holds[-1].state == "exhausted"
    assert 1 <= holds[-1].retry_after <= 60


def test_another_call_of_the_operation_that_failed_is_a_retry_too():
    world = World(tokens=4)
    assert sum(world.call(f"x{number}", DOWN).granted for number in range(20)) == 3


def test_another_operation_is_none():
    world = World(tokens=4)
    assert sum(world.call(f"x{number}", DOWN, operation=f"op{number}").granted for number in range(20)) == 20


def test_another_agent_has_a_bucket_of_its_own():
    world = World(tokens=2)
    for _ in range(10):
        world.call("x", DOWN)
    assert world.call("x", DOWN, "b").granted
    assert world.call("x", DOWN, "b").granted


def test_a_success_is_no_retry_any_more_and_puts_a_fraction_back():
    world = World(tokens=10, ratio=0.5)
    world.call("x", DOWN)
    assert world.call("x", GOOD).state == "retry"
    assert world.call("x", GOOD).state == ""
    assert world.call("x", GOOD).left == 10.0


def test_errors_now_and_then_are_retried_for_ever():
    world = World()
    for number in range(2000):
        assert world.call(str(number), DOWN if number % 20 == 0 else GOOD).granted


def test_a_tool_that_fails_half_the_time_is_spared():
    world = World()
    for number in range(2000):
        world.call(str(number), DOWN if number % 2 else GOOD)
        world.now += 0.01
    assert world.reached < 200


def test_an_agent_that_goes_on_trying_is_not_forgotten():
    world = World(tokens=2, within=10)
    world.call("x", DOWN)
    world.call("x", DOWN)
    granted = 0
    for _ in range(600):
        world.now += 0.1
        granted += world.call("x", DOWN).granted
    assert granted <= 60 / 5 + 5, "probes only"


def test_one_that_waits_may_try_again():
    world = World(tokens=2, within=10)
    for _ in range(5):
        world.call("x", DOWN)
    world.now += 11
    assert world.call("x", GOOD).granted


def test_a_call_that_was_never_made_gives_its_token_back():
    world = World(tokens=10)
    world.call("x", DOWN)
    for _ in range(50):
        hold = world.reserve(world.claim("x"))
        assert hold.state == "retry"
        world.ledger.release((hold,), world.now)


def test_a_probe_that_was_never_sent_may_be_sent():
    world = World(tokens=1)
    world.call("x", DOWN)
    world.call("x", DOWN)
    world.now += 6
    hold = world.reserve(world.claim("x"))
    assert hold.state == "probe"
    assert not world.reserve(world.claim("x")).granted
    world.ledger.release((hold,), world.now)
    assert world.reserve(world.claim("x")).state == "probe"


def test_in_audit_all_is_told_and_nothing_refused():
    world = World(enforced=False, tokens=2)
    world.call("x", BAD)
    assert (world.call("x", DOWN).granted, world.call("y", DOWN).granted) == (True, True)
    holds = [world.call("z", DOWN) for _ in range(10)]
    assert all(hold.granted for hold in holds)
    assert holds[-1].state == "exhausted"


# -- many agents ----------------------------------------------------------------------------------------------------


def storm(world: World, seconds: float, outcome: Outcome, agents: int = 50) -> int:
    """Every agent tries its one call ten times a second; how many of those reach the tool."""
    before = world.reached
    for _ in range(round(seconds * 10)):
        for number in range(agents):
            world.call("x", outcome, f"agent-{number}", run=f"run-{number}")
        world.now += 0.1
    return world.reached - before


def test_fifty_agents_that_do_nothing_but_retry_hardly_reach_a_tool_that_is_down():
    world = World()
    assert storm(world, 60, DOWN) <= 1.1 * 50 + 20


def test_when_the_tool_is_back_all_get_through_within_seconds():
    world = World()
    storm(world, 60, DOWN)
    storm(world, 6, GOOD)
    before = world.reached
    assert storm(world, 1, GOOD) == world.reached - before == 500


def test_one_agent_whose_calls_fail_makes_no_outage_for_others():
    world = World(tokens=10)
    for _ in range(1000):
        world.call("x", DOWN, "greedy")
    assert [world.call("x", DOWN, "other").granted for _ in range(6)] == [True] * 6


def test_an_outage_of_one_tool_is_none_of_another():
    world = World()
    storm(world, 1, DOWN)
    key = ("g", "agent-1", "mail")
    claim = RetryClaim("g", key, ("agent-1", "run-1"), "send", "m", False, world.settings)
    assert world.reserve(claim).state == ""


def test_names_that_agents_choose_fill_nothing():
    world = World()
    for number in range(3000):
        world.call(f"x{number}", DOWN, operation=f"op{number}")
    throttle = world.keeper._throttles.get(("g", "a", "bank"))
    assert throttle is not None
    assert len(throttle._marks) <= 32


def test_a_tool_that_is_back_is_not_met_by_all_who_waited():
    """Each success lets the next one pass and a little more, so that load grows as the tool bears it."""
    world = World(tokens=1000)
    storm(world, 20, DOWN)
    world.now += 6
    held = [world.reserve(world.claim("x", f"agent-{number}", run=f"run-{number}")) for number in range(50)]
    assert [hold.state for hold in held if hold.granted] == ["probe"]
    in_flight = [hold for hold in held if hold.granted]
    most, waiting = [], list(range(50))
    for _ in range(20):
        for hold in in_flight:
            world.ledger.settle((hold,), GOOD, world.now)
        held = [(number, world.reserve(world.claim("x", f"agent-{number}", run=f"run-{number}"))) for number in waiting]
        in_flight = [hold for _, hold in held if hold.granted]
        waiting = [number for number, hold in held if not hold.granted]
        most.append(len(in_flight))
        world.now += 0.2
    assert most[0] <= 4
    assert all(later <= 2 * max(1, earlier) for earlier, later in pairwise(most))


def test_failures_on_the_way_back_halve_what_may_pass():
    outage = Outage()
    for name in "abc":
        outage.failed(name, 0.0, drew=False)
    assert outage.governs(1.0)
    outage.worked(1.0, drew=True)
    for _ in range(20):
        outage.worked(1.0, drew=False)
    before = outage._credit
    outage.failed("a", 2.0, drew=True)
    assert outage._credit == before / 2
    outage.failed("a", 2.0, drew=False)
    assert outage._credit == before / 2, "what was no retry takes nothing from others"


def test_the_way_back_has_an_end():
    outage = Outage()
    for name in "abc":
        outage.failed(name, 0.0, drew=False)
    outage.worked(1.0, drew=True)
    assert outage.governs(16.0)
    assert not outage.governs(17.0), "nobody was kept waiting"
    for name in "abc":
        outage.failed(name, 20.0, drew=False)
    outage.worked(21.0, drew=True)
    for second in range(21, 90):
        outage.keep_waiting(float(second))
        assert outage.governs(float(second)) is (second <= 81)
