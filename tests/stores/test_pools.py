"""Pools: what a place costs, settings that change, waiting on a real loop, and places that always come back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec import structs

from gateway.model import Answered, Findings, Hold, Outcome, PoolClaim, PoolSettings, Usage
from gateway.model.pools import PoolState
from gateway.stores.lines import Lines
from gateway.stores.memory import MemoryLedger
from gateway.stores.pacer import WaitingRoom
from gateway.stores.pools import PoolKeeper
from tests.builders import rate

OK = Outcome(200, upstream=200)
TOOL_GONE = Outcome(502, fault="tool")


def pool(agent: str = "a", priority: int = 0, **settings: Any) -> PoolClaim:
    """A claim of a place in the pool of github."""
    given = PoolSettings(**{"concurrency": 1, "queue": 10, "wait": 5.0, "per_agent": 1.0, **settings})
    return PoolClaim("shared", ("shared", "github"), agent, 1.0, priority, given)


class House:
    """A ledger and its lines, with a clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.ledger = MemoryLedger(lambda: self.now)
        self.lines = Lines(WaitingRoom(), self.ledger.pools, lambda: self.now)

    def at_once(self, claim: PoolClaim) -> Hold:
        hold = self.lines.pace(claim)
        assert isinstance(hold, Hold)
        return hold

    async def waiting(self, *claims: PoolClaim) -> list[asyncio.Future[Hold]]:
        """Turns that are being waited for."""
        turns = [asyncio.ensure_future(self.lines.pace(claim)) for claim in claims]
        await asyncio.sleep(0)
        return turns

    def settle(self, hold: Hold, outcome: Outcome = OK) -> None:
        self.ledger.settle((hold,), outcome, self.now)

    @property
    def state(self) -> PoolState:
        (state,) = self.ledger.pools.states()
        return state


@pytest.fixture
def house() -> House:
    return House()


# -- waiting -----------------------------------------------------------------------------------------------------


async def test_a_free_place_is_given_at_once_and_the_next_call_waits_for_it(house):
    first = house.at_once(pool(concurrency=2))
    second = house.at_once(pool(concurrency=2))
    assert (first.granted, first.left, first.state) == (True, 1, "")
    assert second.left == 0
    (turn,) = await house.waiting(pool(concurrency=2))
    assert (house.state.in_flight, house.state.waiting) == (2, 1)
    house.now += 3.0
    house.settle(first)
    hold = await turn
    assert (hold.granted, hold.state) == (True, "queued")
    assert "3.000 s" in hold.detail
    assert (house.state.in_flight, house.state.waiting, house.state.waited) == (2, 0, 3.0)


async def test_who_waits_too_long_is_told_when_to_come_back(house):
    house.at_once(pool())
    (turn,) = await house.waiting(pool(wait=0.001))
    hold = await turn
    assert (hold.granted, hold.state) == (False, "timeout")
    assert 1.0 <= hold.retry_after <= 60.0
    assert house.state.turned_away == {"full": 0, "displaced": 0, "timeout": 1}
    assert house.state.waiting == 0


async def test_a_line_that_is_full_turns_away_at_once(house):
    held = house.at_once(pool(queue=1))
    turns = await house.waiting(pool(queue=1), pool(queue=1))
    assert (await turns[1]).state == "full"
    (other,) = await house.waiting(pool("b", queue=1))
    assert (await other).state == "full", "nobody has more than one in line"
    house.settle(held)
    house.settle(await turns[0])
    assert house.state.in_flight == 0


async def test_a_greedy_agents_newest_call_makes_room_for_another_agent(house):
    held = house.at_once(pool("greedy", queue=2))
    greedy = await house.waiting(pool("greedy", queue=2), pool("greedy", queue=2))
    (polite,) = await house.waiting(pool("polite", queue=2))
    assert (await greedy[1]).state == "displaced"
    house.settle(held)
    assert (await polite).granted
    house.settle(polite.result())
    assert (await greedy[0]).granted


@pytest.mark.parametrize("settings", [{"queue": 0}, {"wait": 0.0}], ids=["no line", "no waiting"])
def test_where_nobody_may_wait_the_answer_comes_at_once(house, settings):
    house.at_once(pool(**settings))
    assert house.at_once(pool(**settings)).state == "full"


async def test_an_agent_whose_calls_do_not_end_leaves_places_to_the_others(house):
    """By default: of five places it has four, whoever else is there."""
    usual = {"concurrency": 5, "per_agent": PoolSettings(1).per_agent}
    stuck = [house.at_once(pool("stuck", **usual)) for _ in range(4)]
    assert all(hold.granted for hold in stuck)
    looked = house.ledger.look((pool("stuck", **usual), pool("other", **usual)), house.now)
    assert [hold.granted for hold in looked] == [False, True]
    (fifth,) = await house.waiting(pool("stuck", **usual))
    for _ in range(3):
        other = house.at_once(pool("other", **usual))
        assert other.granted
        house.settle(other)
    assert not fifth.done()
    house.settle(stuck[0])
    assert (await fifth).granted


async def test_who_waits_in_vain_for_more_than_its_part_is_told_so(house):
    settings = {"concurrency": 4, "per_agent": 0.5, "wait": 0.001}
    for _ in range(2):
        house.at_once(pool(**settings))
    (turn,) = await house.waiting(pool(**settings))
    assert (await turn).state == "timeout"
    assert "has 2 places already, as many as one may have" in turn.result().detail


async def test_a_change_of_the_part_lets_those_in_who_waited_for_it(house):
    house.at_once(pool(concurrency=3, per_agent=0.1))
    turns = await house.waiting(*[pool(concurrency=3, per_agent=0.1)] * 2)
    assert house.state.in_flight == 1
    house.ledger.pools.adopt({"shared": pool(concurrency=3, per_agent=1.0).settings}, house.now)
    assert [(await turn).granted for turn in turns] == [True, True]


async def test_limits_that_wait_go_on_as_before(house):
    claim = rate(1, 0.001, wait=0.001)
    assert house.lines.pace(claim).granted
    assert not (await house.lines.pace(claim)).granted


# -- places come back --------------------------------------------------------------------------------------------


async def test_an_agent_that_goes_while_it_waits_leaves_nothing_in_line(house):
    held = house.at_once(pool())
    gone, stays = await house.waiting(pool(), pool())
    gone.cancel()
    await asyncio.wait([gone])
    assert house.state.waiting == 1
    house.settle(held)
    house.settle(await stays)
    assert house.state.in_flight == 0


async def test_an_agent_that_goes_before_it_has_come_to_wait_was_never_there(house):
    held = house.at_once(pool())
    turn = asyncio.ensure_future(house.lines.pace(pool()))
    turn.cancel()
    await asyncio.wait([turn])
    house.settle(held)
    assert (house.state.in_flight, house.state.waiting) == (0, 0)


@pytest.mark.parametrize("order", ["granted, then gone", "gone, then granted"])
async def test_a_place_that_is_given_in_the_moment_in_which_the_agent_goes_comes_back(house, order):
    held = house.at_once(pool())
    (turn,) = await house.waiting(pool())
    acts = [lambda: house.settle(held), turn.cancel]
    for act in acts if order.startswith("granted") else reversed(acts):
        act()
    await asyncio.wait([turn])
    assert turn.cancelled()
    assert (house.state.in_flight, house.state.waiting) == (0, 0)
    assert house.at_once(pool()).granted


def test_a_call_whose_time_runs_out_as_it_gets_its_place_keeps_it(house):
    pools, told = house.ledger.pools, []
    held = house.at_once(pool())
    ticket = pools.enter(pool(), house.now)
    assert not isinstance(ticket, Hold)
    pools.tell(pool(), ticket, told.append)
    house.settle(held)
    assert pools.late(pool(), ticket, house.now) is None
    assert [hold.granted for hold in told] == [True]
    assert house.state.in_flight == 1
    house.settle(told[0])
    assert house.state.in_flight == 0


def test_a_place_is_given_back_once_however_the_call_ended(house):
    for end in (house.ledger.settle, lambda holds, _, now: house.ledger.release(holds, now)):
        hold = house.at_once(pool())
        end((hold,), OK, house.now)
        end((hold,), OK, house.now)
        assert house.state.in_flight == 0


def test_what_was_never_in_a_pool_takes_nothing_out_of_it(house):
    """A rehearsal waits for nobody: its calls have holds without a place."""
    house.at_once(pool())
    house.ledger.settle((Hold(pool(), True),), OK, house.now)
    house.ledger.release((Hold(pool(), True),), house.now)
    assert house.state.in_flight == 1


# -- what a place costs ------------------------------------------------------------------------------------------


def counters(house: House) -> dict[str, float]:
    found = house.ledger.pools._pools["shared", "github"].line
    return {line.agent: line.counter for line in found.lines()}


@pytest.mark.parametrize(
    ("charge", "outcome", "seconds", "used"),
    [
        ("calls", OK, 7.0, 1.0),
        ("seconds", OK, 7.0, 7.0),
        ("seconds", OK, 0.0, 0.001),
        ("tokens", Outcome(200, 200, found=Findings(usage=Usage("m", 300, 20))), 7.0, 320.0),
        ("tokens", OK, 7.0, 1.0),
    ],
)
def test_a_call_is_charged_what_it_used(house, charge, outcome, seconds, used):
    stays, call = pool("stays", concurrency=2, charge=charge), pool("a", concurrency=2, charge=charge)
    house.at_once(stays)
    hold = house.at_once(call)
    began = counters(house)["a"] - {"calls": 1.0, "seconds": 1.0, "tokens": 1000.0}[charge]
    house.now += seconds
    house.settle(hold, outcome)
    assert counters(house)["a"] - began == pytest.approx(used)


# -- settings that change ----------------------------------------------------------------------------------------


async def test_a_pool_that_grows_lets_those_in_who_wait(house):
    house.at_once(pool())
    turns = await house.waiting(pool(), pool())
    house.ledger.pools.adopt({"shared": pool(concurrency=3).settings}, house.now)
    assert [(await turn).granted for turn in turns] == [True, True]
    assert house.state.concurrency == 3


async def test_a_pool_that_shrinks_takes_no_place_away(house):
    holds = [house.at_once(pool(concurrency=3)) for _ in range(3)]
    (turn,) = await house.waiting(pool(concurrency=3))
    house.ledger.pools.adopt({"shared": pool(concurrency=1).settings}, house.now)
    for hold in holds[:2]:
        house.settle(hold)
    await asyncio.sleep(0)
    assert not turn.done()
    house.settle(holds[2])
    assert (await turn).granted


def test_a_call_of_an_earlier_version_does_not_bring_its_settings_back(house):
    house.ledger.pools.adopt({"shared": pool(concurrency=2).settings}, house.now)
    old = pool(concurrency=50)
    assert house.at_once(old).left == 1


def test_a_pool_that_is_no_more_ends_with_its_calls(house):
    hold = house.at_once(pool())
    house.ledger.pools.adopt({}, house.now)
    assert house.state.in_flight == 1
    house.settle(hold)
    house.ledger.pools.adopt({}, house.now)
    assert not list(house.ledger.pools.states())


def test_a_pool_that_counts_by_something_else_goes_on(house):
    hold = house.at_once(pool(charge="tokens"))
    house.ledger.pools.adopt({"shared": pool(charge="seconds").settings}, house.now)
    house.settle(hold)
    assert house.at_once(pool(charge="seconds")).granted


# -- places that follow latency ----------------------------------------------------------------------------------


def served(house: House, claim: PoolClaim, status: int, took: float) -> None:
    hold = house.at_once(claim)
    assert hold.granted
    house.now += took
    house.ledger.answered((hold,), Answered(status, took), house.now)
    house.settle(hold, Outcome(status, upstream=status))


def test_failures_lower_the_number_of_places_and_refusals_of_a_call_do_not(house):
    claim = pool(concurrency=10, adaptive=True)
    served(house, claim, 404, 0.001)
    assert house.state.limit == 10
    served(house, claim, 503, 0.1)
    assert house.state.limit == 9
    served(house, claim, 429, 0.1)
    assert house.state.limit == 8
    hold = house.at_once(claim)
    house.now += 30
    house.settle(hold, TOOL_GONE)
    assert house.state.limit == 7


def test_there_are_never_fewer_places_than_the_minimum(house):
    claim = pool(concurrency=10, adaptive=True, least=8)
    for _ in range(20):
        served(house, claim, 500, 0.1)
    assert (house.state.limit, house.state.concurrency) == (8, 10)


async def test_places_that_latency_frees_are_given_to_those_who_wait(house):
    """With a limit of 20 of 30 places, all taken, answers as fast as ever make room for more."""
    claim = pool("a", concurrency=30, queue=50, adaptive=True)
    holds = [house.at_once(claim) for _ in range(20)]
    turns = await house.waiting(*[claim] * 5)
    for hold in holds:
        house.ledger.answered((hold,), Answered(200, 0.1), house.now)
    await asyncio.sleep(0)
    assert house.state.limit > 20
    assert [turn for turn in turns if turn.done()]
    assert house.state.in_flight > 20


# -- what operators see ------------------------------------------------------------------------------------------


async def test_operators_see_who_has_places_and_who_waits(house):
    house.at_once(pool("a"))
    turns = await house.waiting(pool("b"), pool("b"), pool("c", priority=2))
    house.now += 1.5
    lines = house.ledger.pools.lines("shared", "github", house.now)
    assert [(line.agent, line.placed, line.waiting, line.waited) for line in lines] == [
        ("b", 0, 2, 1.5),
        ("c", 0, 1, 1.5),
        ("a", 1, 0, 0.0),
    ]
    assert not house.ledger.pools.lines("shared", "other", house.now)
    for turn in turns:
        turn.cancel()
    await asyncio.wait(turns)


def test_what_is_looked_at_is_not_taken():
    keeper = PoolKeeper()
    claim = pool()
    assert keeper.look(claim, 0.0).granted
    assert keeper.take(claim, keeper.look(claim, 0.0), 0.0).granted
    assert not keeper.look(structs.replace(claim, agent="b"), 0.0).granted
