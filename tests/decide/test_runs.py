"""What a bound of runs asks for, and how it refuses."""

from __future__ import annotations

import pytest
from msgspec import structs

from gateway.decide.engine import Reserve, decide
from gateway.decide.runs import Bounds
from gateway.model import Agent, Hold, Reason, Run, RunClaim, RunSettings
from tests.builders import call, tool
from tests.policy.support import book_of, document

BOUND = document("Run", "bounded", match={"operations": ["GET *"]}, depth=3, fan_out=10, steps=100, duration="1h")
SETTINGS = RunSettings(3, 10, 100, 3600.0)


def bounds() -> Bounds:
    return Bounds(book_of(BOUND, tools=(tool("github"),)))


def calling(run: Run, operation: str = "GET /user"):
    return structs.replace(call(operation), agent=Agent("searcher"), run=run)


def test_a_step_is_claimed_of_the_tree():
    assert bounds().claims(calling(Run("s1"))) == (
        RunClaim("bounded", ("bounded", "searcher", "s1"), ("searcher", "s1"), ("searcher", "s1"), 0, SETTINGS),
    )
    below = Run("s1", root=("planner", "r1"), led=("writer", "w1"), depth=2)
    assert bounds().claims(calling(below)) == (
        RunClaim("bounded", ("bounded", "planner", "r1"), ("searcher", "s1"), ("writer", "w1"), 2, SETTINGS),
    )


def test_the_same_run_by_another_way_is_another_claim():
    guard = bounds()
    first = Run("s1", root=("planner", "r1"), led=("planner", "r1"), depth=1)
    second = Run("s1", root=("planner", "r1"), led=("writer", "w1"), depth=2)
    assert [guard.claims(calling(run))[0].depth for run in (first, second, first)] == [1, 2, 1]


def test_what_it_does_not_match_or_is_implied_asks_for_nothing():
    assert bounds().claims(calling(Run("s1"), "POST /user")) == ()
    implied = Bounds(book_of(document("Run", "bounded", steps=1), tools=(tool("github"),)))
    assert implied.claims(structs.replace(calling(Run("s1")), implied=True)) == ()


@pytest.mark.parametrize("state", ["depth", "fan_out", "steps", "duration"])
def test_a_refusal_is_final_and_says_what_to_do(state):
    guard = bounds()
    deciding = decide(calling(Run("s1")), (), (guard,))
    asked = deciding.send(None)
    assert isinstance(asked, Reserve)
    hold = Hold(asked.claims[0], False, state=state, detail="too much")
    with pytest.raises(StopIteration) as done:
        deciding.send((hold,))
    refusal = done.value.value
    assert (refusal.reason, refusal.status, refusal.rule) == (Reason.RUN_LIMITED, 403, "run/bounded")
    assert refusal.detail == "run 'bounded': too much"
    assert refusal.advice
    assert not refusal.retryable
    assert not refusal.retry_after
