"""Results that people look at: kept for the same call wherever it comes, given once, and never passed by as others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec import structs

from gateway.approvals.exemptions import Like
from gateway.approvals.states import Conflict
from gateway.approvals.verdicts import BadVerdict
from gateway.model import RESULT, Petition, Reason, Ruling
from tests.approvals.bench import ADA, Room, transfer
from tests.approvals.replicas import OK, Replica, Store, petition
from tests.stores.opening import Wall

KEPT = b"what the tool said"


def result(**terms: Any) -> Petition:
    """A result that a rule holds."""
    return structs.replace(petition("b-result", **terms), about=RESULT, kept=KEPT)


async def attached(replica: Replica) -> Ruling | None:
    return await replica.desk.attach(None, "b-result", "v1")  # type: ignore[arg-type] - the call is for others


async def opened(replica: Replica, **terms: Any) -> str:
    pending = await replica.ask(result(**terms))
    assert pending.verb == "pending"
    return pending.approval


async def test_a_call_of_which_no_result_waits_goes_on(one: Replica) -> None:
    assert await attached(one) is None


async def test_what_was_approved_is_met_at_once_on_another_replica_that_has_heard_of_nothing(
    one: Replica, other: Replica
) -> None:
    ident = await opened(one)
    pending = await attached(other)
    assert pending is not None
    assert (pending.verb, pending.kept) == ("pending", b"")
    await one.vote(ident)
    ruling = await attached(other)
    assert ruling is not None
    assert (ruling.granted, ruling.kept, ruling.approval) == (True, KEPT, ident)


async def test_of_two_that_come_for_it_at_once_one_gets_it(one: Replica, other: Replica) -> None:
    await one.vote(await opened(one))
    rulings = [await attached(replica) for replica in (one, other)]
    taken = await asyncio.gather(
        *[
            replica.desk.claim(ruling, f"call-{number}")
            for number, (replica, ruling) in enumerate(zip((one, other), rulings, strict=True))
            if ruling is not None
        ]
    )
    assert sorted(taken) == [False, True]
    winner = (one, other)[taken.index(True)]
    ruling = rulings[0]
    assert ruling is not None
    winner.desk.settle(ruling, f"call-{taken.index(True)}", OK)
    await winner.written()
    assert await attached(one) is None, "used up: the same call is a new one"
    assert await attached(other) is None


async def test_who_goes_before_it_is_given_leaves_it_for_the_next(one: Replica) -> None:
    await one.vote(await opened(one))
    ruling = await attached(one)
    assert ruling is not None
    assert await one.desk.claim(ruling, "call-1")
    running = await attached(one)
    assert running is not None
    assert (running.granted, running.verb) == (False, "running")
    one.desk.release(ruling, "call-1")
    await one.written()
    again = await attached(one)
    assert again is not None
    assert again.kept == KEPT


@pytest.mark.parametrize("verb", ["deny", "answer"])
async def test_what_was_said_instead_is_remembered_as_long_as_a_verdict_is(one: Replica, wall: Wall, verb: str) -> None:
    await one.vote(await opened(one), verb=verb, message="no")
    ruling = await attached(one)
    assert ruling is not None
    assert (ruling.granted, ruling.verb, ruling.kept) == (False, verb, b"")
    wall.now += 61
    assert await attached(one) is None


@pytest.mark.parametrize(("timeout", "granted"), [("deny", False), ("allow", True)])
async def test_its_time_is_over_when_it_is_and_not_at_the_next_tick(
    one: Replica, wall: Wall, timeout: str, granted: bool
) -> None:
    """Else the call would be made again in between."""
    ident = await opened(one, timeout=timeout)
    wall.now += 600
    ruling = await attached(one)
    assert ruling is not None
    assert (ruling.granted, bool(ruling.kept)) == (granted, granted)
    with pytest.raises(Conflict):
        await one.vote(ident)


@pytest.mark.parametrize("first", ["vote", "look"])
async def test_a_verdict_at_the_last_moment_counts_or_does_not_but_never_both(
    one: Replica, other: Replica, wall: Wall, first: str
) -> None:
    ident = await opened(one)
    await other.docket.follow()
    wall.now += 599.9
    vote = asyncio.ensure_future(one.vote(ident))
    if first == "look":
        wall.now += 0.1
    ruling = await attached(other)
    voted = (await asyncio.gather(vote, return_exceptions=True))[0]
    seen = await attached(other)
    assert ruling is not None
    assert seen is not None
    assert seen.granted == (not isinstance(voted, Conflict))


async def test_where_nobody_knows_whether_a_result_waits_the_call_does_not_go_on(one: Replica, store: Store) -> None:
    await opened(one)
    store.away = True
    ruling = await attached(one)
    assert ruling is not None
    assert (ruling.granted, ruling.verb, ruling.reason) == (False, "unavailable", Reason.STATE_UNAVAILABLE)
    assert "so it is not made: nobody answers" in ruling.message


async def test_what_was_approved_and_is_not_there_is_not_given(one: Replica, store: Store) -> None:
    ident = await opened(one)
    await one.vote(ident)
    paper = await store.read("result", ident)
    assert paper is not None
    await store.swap("result", ident, paper.version, None)
    ruling = await attached(one)
    assert ruling is not None
    assert (ruling.granted, ruling.verb) == (False, "lost")


async def test_what_is_kept_of_an_agent_counts_with_its_result(one: Replica) -> None:
    large = structs.replace(result(), kept=b"x" * (4 << 20))
    ruling = await one.ask(large)
    assert ruling.verb == "unavailable"
    assert "4194304 can be kept" in ruling.message
    assert ruling.message.startswith("a person must look at this result")


async def test_no_exemption_or_endorsement_lets_a_result_pass() -> None:
    """Also where the same rule held the call."""
    room = Room()
    waiting = await room.waiting()
    await room.give(waiting.id, ADA, "approve", like=Like("true"))
    assert await room.rules(transfer(400)) is not None
    assert await room.rules(transfer(400), about=RESULT) is None
    endorsed = Room()
    waiting = await endorsed.waiting()
    await endorsed.give(waiting.id, ADA, "endorse")
    assert await endorsed.rules(transfer()) is not None
    assert await endorsed.rules(transfer(), about=RESULT) is None


@pytest.mark.parametrize(
    ("verb", "more"), [("edit", {"args": {"amount": 1}}), ("endorse", {}), ("approve", {"like": Like("true")})]
)
async def test_what_makes_no_sense_of_a_result_is_told(verb: str, more: dict[str, Any]) -> None:
    room = Room()
    waiting = await room.waiting(about=RESULT, editable=False)
    with pytest.raises(BadVerdict, match="approve, deny, answer in its place, or ask back"):
        await room.give(waiting.id, ADA, verb, **more)
    await room.give(waiting.id, ADA, "approve")
    with pytest.raises(BadVerdict, match="results of other calls never pass"):
        await room.bench.verdicts.exempt(waiting.id, ADA, Like("true"))
    assert await room.bench.offers.of(waiting) == []
