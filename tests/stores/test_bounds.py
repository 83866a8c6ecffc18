"""Bounds of runs: what a tree of runs has used up, told apart from all others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.model import Hold, Outcome, RunClaim, RunSettings
from gateway.stores.bounds import IDLE, RunBounds
from gateway.stores.memory import MemoryLedger

ROOT = ("planner", "r1")


def claim(settings, run=ROOT, parent=None, depth=0, root=ROOT, steps=1):
    """A step of a run, in the tree of its root."""
    return RunClaim("b", ("b", *root), run, parent or run, depth, settings, steps)


def stepped(bounds, of, now=0.0) -> Hold:
    """What becomes of a step: looked at, and taken where it is granted."""
    hold = bounds.look(of, now)
    return bounds.take(of, hold, now) if hold.granted else hold


def test_steps_are_counted_over_all_runs_of_the_tree():
    bounds, settings = RunBounds(), RunSettings(steps=3)
    below = claim(settings, ("searcher", "s1"), ROOT, 1)
    assert [stepped(bounds, each).granted for each in (claim(settings), below, below)] == [True, True, True]
    refused = stepped(bounds, claim(settings))
    assert (refused.granted, refused.state, refused.left) == (False, "steps", 0.0)
    assert "made 3 of the 3 steps" in refused.detail
    assert stepped(bounds, claim(settings, ("planner", "r2"), root=("planner", "r2"))).granted
    assert stepped(bounds, claim(settings, ("other", "r1"), root=("other", "r1"))).granted


def test_holds_say_how_many_steps_are_left():
    bounds, settings = RunBounds(), RunSettings(steps=3)
    assert [stepped(bounds, claim(settings)).left for _ in range(3)] == [2.0, 1.0, 0.0]


def test_a_batch_takes_as_many_steps_as_it_has_calls_or_none():
    bounds, settings = RunBounds(), RunSettings(steps=3)
    batch = claim(settings).joined(claim(settings))
    assert isinstance(batch, RunClaim)
    assert batch.steps == 2
    assert [stepped(bounds, batch).granted, stepped(bounds, batch).granted] == [True, False]
    assert stepped(bounds, claim(settings)).granted
    fresh = stepped(bounds, claim(settings, root=("planner", "r2"), steps=4))
    assert (fresh.granted, fresh.state) == (False, "steps")


@given(st.lists(st.sampled_from(["made", "left", "refused elsewhere"]), max_size=60), st.integers(1, 10))
def test_only_steps_that_were_made_count(ends, bound):
    ledger, settings = MemoryLedger(lambda: 0.0), RunSettings(steps=bound)
    made = 0
    full = RunClaim("full", ("full", *ROOT), ROOT, ROOT, 2, RunSettings(depth=1))
    for end in ends:
        wanted = (claim(settings), full) if end == "refused elsewhere" else (claim(settings),)
        holds = ledger.reserve(wanted, 0.0)
        granted = all(hold.granted for hold in holds)
        assert granted == (end != "refused elsewhere" and made < bound)
        if granted and end == "made":
            made += 1
            ledger.settle(holds, Outcome(200, 200), 0.0)
        elif granted:
            ledger.release(holds, 0.0)


def test_depth_is_bounded_also_without_a_run():
    bounds, settings = RunBounds(), RunSettings(depth=2)
    nameless = ("planner", "")
    assert stepped(bounds, claim(settings, depth=2, root=nameless)).granted
    refused = stepped(bounds, claim(settings, depth=3, root=nameless))
    assert (refused.granted, refused.state) == (False, "depth")
    assert len(bounds) == 0, "of calls without a run nothing is kept"


def test_a_run_leads_to_so_many_others_and_each_may_go_on():
    bounds, settings = RunBounds(), RunSettings(fan_out=2)
    first, second, third = (claim(settings, ("searcher", f"s{number}"), ROOT, 1) for number in range(3))
    assert [stepped(bounds, each).granted for each in (first, second, first, second)] == [True] * 4
    refused = stepped(bounds, third)
    assert (refused.granted, refused.state) == (False, "fan_out")
    assert stepped(bounds, claim(settings)).granted, "the run itself goes on"
    below = claim(settings, ("reader", "x"), ("searcher", "s0"), 2)
    assert stepped(bounds, below).granted, "runs further down are another run's"


def test_a_tree_lasts_so_long_from_its_first_call():
    bounds, settings = RunBounds(), RunSettings(duration=60)
    assert [stepped(bounds, claim(settings), now).granted for now in (5.0, 64.9)] == [True, True]
    refused = stepped(bounds, claim(settings), 65.0)
    assert (refused.granted, refused.state) == (False, "duration")


def test_a_tree_that_is_over_its_bound_stays_so_while_it_is_asked_for():
    bounds, settings = RunBounds(), RunSettings(steps=1)
    assert stepped(bounds, claim(settings)).granted
    for day in range(1, 5):
        bounds.tidy(day * IDLE)
        assert not stepped(bounds, claim(settings), day * IDLE).granted
    bounds.tidy(5 * IDLE + 1)
    assert stepped(bounds, claim(settings), 5 * IDLE + 1).granted, "a day in which nobody asked"


def test_many_runs_of_one_agent_fill_no_memory_and_reset_nobody():
    bounds, settings = RunBounds(capacity=100, most_led=50), RunSettings(steps=1, fan_out=40)
    mine = claim(structs.replace(settings, steps=2))
    below = structs.replace(mine, run=("searcher", "s"), parent=ROOT)
    stepped(bounds, mine)
    stepped(bounds, below)
    for number in range(1000):
        root = ("greedy", f"r{number}")
        stepped(bounds, claim(settings, ("greedy", f"c{number}"), root, 1, root))
        bounds.tidy(0.0)
        assert bounds._led <= 51
    assert len(bounds) == 100
    assert not stepped(bounds, mine).granted
    assert bounds._trees.get(mine.key).led == {ROOT: {("searcher", "s")}}
