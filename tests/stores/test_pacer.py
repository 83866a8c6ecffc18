"""Limits that wait: order, the bound on the wait, the bound on the queue."""

from __future__ import annotations

import asyncio
import gc
import warnings

from gateway.model import Hold
from gateway.stores import pacer
from gateway.stores.pacer import WaitingRoom
from tests.builders import rate


async def paced(room: WaitingRoom, claim) -> bool:
    answer = room.pace(claim)
    hold = answer if isinstance(answer, Hold) else await answer
    assert hold.claim is claim
    assert hold.granted or hold.retry_after > 0
    return hold.granted


async def test_the_burst_goes_through_at_once_and_what_follows_waits_its_turn():
    room, order = WaitingRoom(), []

    async def one(number: int) -> None:
        assert await paced(room, rate(3, 50, wait=5))
        order.append(number)

    await asyncio.gather(*[one(number) for number in range(8)])
    assert order[:3] == [0, 1, 2]
    assert sorted(order) == list(range(8)), "on a machine that stalls, turns that fall together may change places"


async def test_who_would_wait_longer_than_allowed_is_turned_away_and_costs_the_others_nothing():
    room = WaitingRoom()
    patient, hasty = rate(1, 20, wait=5), rate(1, 20, wait=0.001)
    assert await paced(room, patient)
    assert await asyncio.gather(*[paced(room, hasty) for _ in range(20)]) == [False] * 20
    assert await paced(room, patient)


async def test_each_key_has_a_lane_of_its_own():
    room = WaitingRoom()
    assert await paced(room, rate(1, 0.001, wait=0.001))
    assert not await paced(room, rate(1, 0.001, wait=0.001))
    assert await paced(room, rate(1, 0.001, key="b", wait=0.001))


async def test_the_queue_is_bounded(monkeypatch):
    monkeypatch.setattr(pacer, "LONGEST_QUEUE", 2)
    room, claim = WaitingRoom(), rate(1, 0.001, wait=60)
    assert await paced(room, claim)
    waiting = [asyncio.ensure_future(paced(room, claim)) for _ in range(2)]
    await asyncio.sleep(0)
    turned_away = room.pace(claim)
    assert isinstance(turned_away, Hold)
    assert not turned_away.granted
    for task in waiting:
        task.cancel()
    assert await asyncio.gather(*waiting, return_exceptions=True)
    later = asyncio.ensure_future(paced(room, claim))
    await asyncio.sleep(0)
    assert not later.done(), "those who left made room in the queue"
    later.cancel()


async def test_a_turn_that_is_never_awaited_leaves_nothing_behind():
    """As where an agent goes at once: the task that would have waited is cancelled before its first step."""
    room, claim = WaitingRoom(), rate(1, 0.001, wait=60)
    assert await paced(room, claim)
    gc.collect()  # what tests before have left
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.ensure_future(awaited(room.pace(claim))).cancel()
        await asyncio.sleep(0)
        gc.collect()
    assert caught == []
    assert [lane.waiting for lane in room._lanes.values()] == [0]


async def awaited(turn) -> Hold:
    return await turn


async def test_new_settings_are_a_new_lane():
    room = WaitingRoom()
    assert await paced(room, rate(1, 0.001, wait=0.001))
    assert await paced(room, rate(5, 0.001, wait=0.001))


async def test_idle_lanes_are_forgotten_and_busy_ones_are_not(monkeypatch):
    """Keys come from agents: they must not fill the memory, and forgetting must not let anybody in early."""
    monkeypatch.setattr(pacer, "_MOST_KEYS", 10)
    room, busy = WaitingRoom(), rate(1, 0.001, key="busy", wait=0.001)
    assert await paced(room, busy)
    for number in range(50):
        assert await paced(room, rate(1, 1e6, key=f"k{number}", wait=1))
        await asyncio.sleep(0)
    assert not await paced(room, busy)
    assert len(room._lanes) <= 12
