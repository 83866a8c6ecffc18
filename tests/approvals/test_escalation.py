"""Steps of escalation are noted in time, in order, and once over all replicas."""

from __future__ import annotations

import asyncio

import pytest

from gateway.approvals.escalation import escalated
from gateway.approvals.states import Conflict
from gateway.errors import StoreUnavailable
from gateway.model import Approval, Escalation, Terms
from tests.approvals.bench import ADA, Room

STEPS = (Escalation(60, 'approver.id == "bob"', ("oncall",)), Escalation(120, "", ("everybody",)))
TERMS = Terms(who='approver.id == "ada"', escalate=STEPS)


def heard(room: Room) -> list[tuple[str, int]]:
    """The steps that this replica hears of."""
    found: list[tuple[str, int]] = []

    def told(before: Approval | None, after: Approval | None) -> None:
        if before is not None and after is not None and after.escalated != before.escalated:
            found.append((after.id, after.escalated))

    room.docket.watch(told)
    return found


async def test_each_step_is_told_when_its_time_has_come() -> None:
    room = Room()
    told = heard(room)
    waiting = await room.waiting(terms=TERMS)
    room.wall.now += 59
    await room.bench.escalations.tick()
    assert told == []
    room.wall.now += 1
    await room.bench.escalations.tick()
    await room.bench.escalations.tick()
    assert told == [(waiting.id, 1)]
    room.wall.now += 60
    await room.bench.escalations.tick()
    assert told[1:] == [(waiting.id, 2)]
    room.wall.now += 600
    await room.bench.escalations.tick()
    assert len(told) == 2


async def test_of_two_replicas_one_notes_a_step_and_both_hear_of_it_once() -> None:
    one = Room()
    two = Room(one.cabinet, one.wall)
    told = heard(one), heard(two)
    waiting = await one.waiting(terms=TERMS)
    await two.follow()
    for step in (1, 2):
        one.wall.now += 61
        await asyncio.gather(one.bench.escalations.tick(), two.bench.escalations.tick())
        await one.follow()
        await two.follow()
        assert told[0] == told[1] == [(waiting.id, number) for number in range(1, step + 1)]


async def test_what_was_missed_while_nothing_ran_is_told_in_order() -> None:
    one = Room()
    waiting = await one.waiting(terms=TERMS)
    one.wall.now += 500
    again = Room(one.cabinet, one.wall)
    told = heard(again)
    await again.follow()
    await again.bench.escalations.tick()
    assert told == [(waiting.id, 1), (waiting.id, 2)]


async def test_a_step_after_the_end_is_never_taken() -> None:
    room = Room()
    waiting = await room.waiting(terms=Terms(expires=30, escalate=STEPS))
    room.wall.now += 61
    await room.bench.escalations.tick()
    assert room.docket.find(waiting.id) == waiting


async def test_a_step_is_not_taken_twice_nor_one_before_it() -> None:
    room = Room()
    waiting = await room.waiting(terms=TERMS)
    once = escalated(waiting, 0)
    assert once.escalated == 1
    twice = escalated(once, 1)
    for number in (0, 1):
        with pytest.raises(Conflict):
            escalated(twice, number)


async def test_what_was_decided_is_not_escalated() -> None:
    room = Room()
    told = heard(room)
    waiting = await room.waiting(terms=TERMS)
    await room.give(waiting.id, ADA, "approve")
    room.wall.now += 61
    await room.bench.escalations.tick()
    assert told == []


async def test_a_store_that_is_away_is_tried_again() -> None:
    room = Room()
    told = heard(room)
    await room.waiting(terms=TERMS)
    room.wall.now += 60
    read = room.cabinet.read

    async def away(*_: object) -> None:
        raise StoreUnavailable("away")

    room.cabinet.read = away  # type: ignore[method-assign, assignment]
    await room.bench.escalations.tick()
    assert told == []
    room.cabinet.read = read  # type: ignore[method-assign]
    room.wall.now += 1
    await room.bench.escalations.tick()
    assert len(told) == 1
