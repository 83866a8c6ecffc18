"""Pools on the way of a call: it waits, is given its place, and gives it back, whichever exit it takes."""

from __future__ import annotations

import asyncio

import pytest

from gateway.effects import Await, Reply, Send
from gateway.errors import ClientGone
from gateway.model import Answered, Outcome, Permit, PoolClaim, PoolSettings, Reason, Refusal
from gateway.stores.lines import Lines
from gateway.stores.memory import MemoryLedger
from gateway.stores.pacer import WaitingRoom
from tests.builders import slot
from tests.drive import DONE, Drive, Quota, World

CLAIM = PoolClaim("shared", ("shared", "bank"), "report-1", 1.0, 0, PoolSettings(1, queue=1, wait=5.0))


class PoolQuota(Quota):
    def refusal(self, hold):
        return Refusal(Reason.QUEUE_TIMEOUT, 503, "no place", "pool/shared", hold.retry_after, True)


class PoolWorld(World):
    """A world with a real ledger and real lines."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = MemoryLedger(self)
        lines = Lines(WaitingRoom(), self.ledger.pools, self)
        self.reserve, self.look, self.pace = self.ledger.reserve, self.ledger.look, lines.pace

    def settle(self, holds, outcome, now):
        super().settle(holds, outcome, now)
        self.ledger.settle(holds, outcome, now)

    def release(self, holds, now):
        super().release(holds, now)
        self.ledger.release(holds, now)

    @property
    def standing(self) -> tuple[int, int]:
        """Calls in their places, and calls in line."""
        (state,) = self.ledger.pools.states()
        return state.in_flight, state.waiting


def drive(world: World, *more) -> Drive:
    return Drive(quotas=(PoolQuota(CLAIM), *more), world=world)


@pytest.fixture
def world() -> PoolWorld:
    return PoolWorld()


def sent(made: Drive) -> None:
    assert isinstance(made.go(), Send)


def finish(made: Drive) -> None:
    made.answer(Answered(200, 0.01))
    assert made.answer(DONE) is None


async def waited(effect: Await) -> asyncio.Future:
    task = asyncio.ensure_future(effect.awaitable)
    await asyncio.sleep(0)
    return task


async def test_a_call_waits_for_its_place_and_gives_it_back(world):
    first, second = drive(world), drive(world)
    sent(first)
    turn = second.go()
    assert isinstance(turn, Await)
    task = await waited(turn)
    assert world.standing == (1, 1)
    finish(first)
    assert isinstance(second.answer(await task), Send)
    assert world.standing == (1, 0)
    finish(second)
    assert world.standing == (0, 0)
    trace = world.traces[-1]
    assert isinstance(trace.decision, Permit)
    assert [hold.state for hold in trace.decision.holds] == ["queued"]
    assert trace.queued > 0


async def test_a_line_that_is_full_refuses(world):
    first, second, third = drive(world), drive(world), drive(world)
    sent(first)
    task = await waited(second.go())
    effect = third.go()
    assert isinstance(effect, Await)
    reply = third.answer(await effect.awaitable)
    assert isinstance(reply, Reply)
    assert reply.status == 503
    third.answer(Outcome(503))
    assert world.traces[-1].decision.holds[0].state == "full"
    finish(first)
    second.answer(await task)
    finish(second)
    assert world.standing == (0, 0)


async def test_an_agent_that_goes_while_it_waits(world):
    first, second = drive(world), drive(world)
    sent(first)
    task = await waited(second.go())
    task.cancel()
    assert second.throw(ClientGone()) is None
    await asyncio.wait([task])
    assert world.standing == (1, 0)
    finish(first)
    assert world.standing == (0, 0)


@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_an_agent_that_goes_as_its_place_is_given(world, turns):
    """However far the news of the place has come: to the line, to the story, or to the wire."""
    first, second = drive(world), drive(world)
    sent(first)
    task = await waited(second.go())
    finish(first)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    assert second.throw(ClientGone()) is None
    await asyncio.wait([task])
    assert world.standing == (0, 0)


async def test_what_would_be_refused_at_the_end_of_the_line_does_not_stand_in_it(world):
    full = slot(1, "bank")
    assert world.reserve((full,), 0.0)[0].granted
    first, second = drive(world), Drive(quotas=(PoolQuota(CLAIM), Quota(full)), world=world)
    sent(first)
    reply = second.go()
    assert isinstance(reply, Reply)
    assert world.standing == (1, 0)
    second.answer(Outcome(503))
    assert world.standing == (1, 0)
    finish(first)
    assert world.standing == (0, 0)


async def test_a_place_is_given_back_where_a_later_guard_refuses(world):
    full = slot(1, "bank")
    assert world.reserve((full,), 0.0)[0].granted
    refused = Drive(quotas=(PoolQuota(CLAIM), PoolQuota(full)), world=world)
    assert isinstance(refused.go(), Reply)
    refused.answer(Outcome(503))
    assert world.standing == (0, 0)
    first, second = drive(world), drive(world, Quota(slot(1, "other")))
    sent(first)
    task = await waited(second.go())
    assert world.reserve((slot(1, "other"),), 0.0)[0].granted
    finish(first)
    reply = second.answer(await task)
    assert isinstance(reply, Reply)
    second.answer(Outcome(503))
    assert world.standing == (0, 0)
