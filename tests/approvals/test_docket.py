"""The docket: what stands, on one replica and on several, whatever the store does."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from gateway.approvals import docket_shares
from gateway.approvals.docket import APPROVALS, KEPT, PAYLOADS, UNKNOWN
from gateway.approvals.states import Conflict, claimed, ended, released
from gateway.errors import StoreUnavailable
from gateway.model import Approval, ApprovalState
from gateway.stores.memory_cabinet import MemoryCabinet
from tests.approvals.replicas import Replica, Store, petition
from tests.stores.opening import Wall


async def test_the_same_call_on_two_replicas_meets_at_one_approval(one: Replica, other: Replica, store: Store) -> None:
    opened = await asyncio.gather(*[each.docket.open(petition()) for each in (one, other) * 10])
    assert len({approval.id for approval in opened}) == 1
    for replica in (one, other, one):
        await replica.tick()
    found = one.docket.find(opened[0].id)
    assert found is not None
    assert found.asked == 20
    assert [paper.key for paper in (await store.changes(PAYLOADS, 0))[1]] == [opened[0].id], "no payload is left over"


async def test_of_two_people_on_two_replicas_one_decides_and_the_other_is_told(one: Replica, other: Replica) -> None:
    opened = await one.docket.open(petition())
    said = await asyncio.gather(
        one.vote(opened.id, "alice", "approve"), other.vote(opened.id, "bob", "deny"), return_exceptions=True
    )
    first = next(each for each in said if isinstance(each, Approval))
    second = next(each for each in said if isinstance(each, Conflict))
    assert str(second) == f"it was {first.state.value} by {first.votes[-1].by}"
    await one.tick()
    await other.tick()
    assert one.docket.find(opened.id) == other.docket.find(opened.id) == first


async def test_what_another_replica_opened_a_moment_ago_can_be_decided_on(one: Replica, other: Replica) -> None:
    opened = await one.docket.open(petition())
    assert (await other.vote(opened.id)).state is ApprovalState.APPROVED
    with pytest.raises(Conflict, match="no such approval"):
        await other.vote("apr-unheard-of")


async def test_an_agent_that_hammers_does_not_get_in_the_way_of_who_decides(one: Replica, store: Store) -> None:
    opened = await one.docket.open(petition())
    before = len(store.asked)
    for _ in range(500):
        await one.ask(petition())
    assert len(store.asked) == before, "what waits is known here"
    await one.tick()
    assert len(store.written) == 2
    await one.vote(opened.id)
    found = one.docket.find(opened.id)
    assert found is not None
    assert (found.asked, found.state) == (501, ApprovalState.APPROVED)


async def test_ten_thousand_that_wait_cost_one_question_per_tick(one: Replica, store: Store) -> None:
    for number in range(10_000):
        await one.docket.open(petition(f"b{number}", f"agent-{number % 7}"))
    await one.tick()
    store.asked.clear()
    told: list[object] = []
    one.docket.watch(lambda before, after: told.append(after))
    await one.tick()
    assert store.asked == ["changes"]
    assert told == []
    assert len(one.docket.waiting()) == 10_000


async def test_thousands_that_end_at_once_are_ended_in_parts(one: Replica, wall: Wall, store: Store) -> None:
    for number in range(600):
        await one.docket.open(petition(f"b{number}", expires=100.0))
    late = await one.docket.open(petition("late", expires=200.0))
    wall.now += 100
    left = []
    for _ in range(3):
        await one.tick()
        left.append(len(one.docket.waiting()))
    assert left == [345, 89, 1]
    assert one.docket.waiting() == [late]


async def test_a_time_that_was_put_off_is_kept(one: Replica, wall: Wall) -> None:
    """Approved, it ends when its validity does, though it was taken and given back in between."""
    opened = await one.docket.open(petition(expires=100.0, valid=50.0))
    wall.now += 90
    await one.vote(opened.id)
    await one.docket.step(opened.id, lambda approval: claimed(approval, "c", wall()))
    wall.now += 60
    await one.tick()
    await one.docket.step(opened.id, lambda approval: released(approval, "c"))
    await one.tick()
    found = one.docket.find(opened.id)
    assert found is not None
    assert found.state is ApprovalState.EXPIRED


async def test_a_restart_between_any_two_steps_changes_nothing(store: Store, wall: Wall) -> None:
    opened = await Replica(store, wall).docket.open(petition())
    steps = [
        (lambda replica: replica.vote(opened.id, "alice"), ApprovalState.APPROVED),
        (
            lambda replica: replica.docket.step(opened.id, lambda it: claimed(it, "c", wall())),
            ApprovalState.RUNNING,
        ),
        (lambda replica: replica.docket.step(opened.id, lambda it: ended(it, "c", "200")), ApprovalState.DONE),
    ]
    for step, state in steps:
        replica = Replica(store, wall)
        await replica.docket.follow()
        assert (await step(replica)).state is state
        again = Replica(store, wall)
        await again.docket.follow()
        assert again.docket.find(opened.id) == replica.docket.find(opened.id)
        assert await again.docket.payload(opened.id) == b"{}"


async def test_what_is_over_is_kept_for_a_while_and_what_may_have_run_for_longer(
    one: Replica, other: Replica, wall: Wall
) -> None:
    for binding in ("denied", "running"):
        opened = await one.docket.open(petition(binding, valid=60.0))
        await one.vote(opened.id, verb="deny" if binding == "denied" else "approve")
        if binding == "running":
            await one.docket.step(opened.id, lambda approval: claimed(approval, "c", wall()))
    for seconds, left in ((60 + KEPT - 1, {"denied", "running"}), (2, {"running"}), (UNKNOWN - KEPT - 60, set())):
        wall.now += seconds
        for replica in (one, other):
            await replica.tick()
            assert {approval.binding for approval in replica.docket} == left


async def test_an_approval_that_cannot_be_stored_leaves_nothing_behind(
    one: Replica, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = MemoryCabinet.swap

    async def full(self: MemoryCabinet, kind: str, *given: object) -> int:
        if kind == APPROVALS:
            raise StoreUnavailable("the cabinet is full of approval")
        return await real(self, kind, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(MemoryCabinet, "swap", full)
    with pytest.raises(StoreUnavailable, match="full"):
        await one.docket.open(petition())
    assert (await store.changes(PAYLOADS, 0))[1] == []
    assert len(one.docket) == 0


async def test_an_approval_whose_storing_was_not_answered_keeps_what_it_is_about(
    one: Replica, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap = store.swap

    async def lost(kind: str, *given: object) -> int:
        version = await swap(kind, *given)  # type: ignore[arg-type]
        if kind == APPROVALS:
            raise StoreUnavailable("no answer in time")
        return version

    monkeypatch.setattr(store, "swap", lost)
    opened = await one.docket.open(petition())
    monkeypatch.setattr(store, "swap", swap)
    assert one.docket.find(opened.id) == opened
    assert await one.docket.payload(opened.id) == b"{}"
    assert (await one.ask(petition())).approval == opened.id


async def test_an_agent_that_asks_a_lot_leaves_room_for_others(
    one: Replica, wall: Wall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by the bytes of what it asks; and has room again when its own is forgotten."""
    monkeypatch.setattr(docket_shares, "MOST", 20)
    monkeypatch.setattr(docket_shares, "MOST_BYTES", 1000)

    async def ask(agent: str, size: int) -> int:
        """How many are taken."""
        for number in range(100):
            try:
                await one.docket.open(petition(f"{agent} {number}", agent, payload=b"x" * size, expires=10.0))
            except StoreUnavailable as error:
                assert "too much that this agent has asked" in str(error)
                return number
        raise AssertionError("it has no bound")

    assert [await ask(agent, 2) for agent in ("a", "b", "c")] == [10, 5, 3]
    assert await ask("large", 100) == 1, "two places are left, and of those it leaves one"
    wall.now += 10 + 60 + KEPT
    for _ in range(2):
        await one.tick()
        wall.now += 60 + KEPT
    await one.tick()
    assert len(one.docket) == 0
    assert await ask("large", 100) == 5
    with pytest.raises(StoreUnavailable, match="at most 4194304 can be kept"):
        await one.docket.open(petition("huge", "other", payload=b"x" * (5 << 20)))


async def test_what_the_store_has_lost_does_not_stand(
    one: Replica, wall: Wall, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    opened = await one.docket.open(petition())
    await one.vote(opened.id)
    await one.tick()
    one.docket.watch(lambda before, after: told.append(after))
    monkeypatch.setattr(one.docket, "_cabinet", Store(wall))
    await one.tick()
    assert one.docket.find(opened.id) is None
    assert told == [None]


async def test_what_the_store_knows_as_it_was_before_is_void(
    one: Replica, wall: Wall, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that was set back would let what has been used be used again."""
    used, waits = [await one.docket.open(petition(binding)) for binding in ("used", "waits")]
    await one.vote(used.id)
    back = Store(wall)
    for approval, seen in ((used, 0), (waits, 0), (one.docket.find(used.id), 1)):
        await back.swap(APPROVALS, approval.binding, seen, msgspec.json.encode(approval))
    await one.docket.step(used.id, lambda approval: claimed(approval, "c", wall()))
    await one.tick()
    monkeypatch.setattr(one.docket, "_cabinet", back)
    with pytest.raises(StoreUnavailable, match="has lost what was decided last"):
        await one.docket.step(used.id, lambda approval: claimed(approval, "d", wall()))
    await one.tick()
    assert one.docket.find(used.id) is None
    assert await back.read(APPROVALS, "used") is None
    assert one.docket.find(waits.id) == waits, "it stands there as it was known"


async def test_a_document_that_cannot_be_read_approves_nothing(one: Replica, store: Store) -> None:
    await store.swap(APPROVALS, "b", 0, b'{"id": 3}')
    await one.tick()
    assert len(one.docket) == 0
    opened = await one.docket.open(petition())
    assert opened.state is ApprovalState.WAITING


async def test_who_watches_and_breaks_keeps_nobody_from_deciding(
    one: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    one.docket.watch(lambda before, after: 1 / 0)
    opened = await one.docket.open(petition())
    assert (await one.vote(opened.id)).state is ApprovalState.APPROVED
    assert "ZeroDivisionError" in caplog.text


async def test_a_store_that_is_away_stops_neither_following_nor_ending(one: Replica, store: Store, wall: Wall) -> None:
    opened = await one.docket.open(petition(expires=10.0))
    await one.ask(petition())
    wall.now += 10
    store.away = True
    await one.tick()
    assert one.docket.waiting()
    store.away = False
    await one.tick()
    found = one.docket.find(opened.id)
    assert found is not None
    assert found.state is ApprovalState.EXPIRED


async def test_an_opening_goes_on_though_its_agent_has_gone(one: Replica, store: Store) -> None:
    """What is kept of a call must be counted, or an agent that leaves each time would fill the store."""
    store.pause = asyncio.Event()
    asking = asyncio.create_task(one.docket.open(petition()))
    await asyncio.sleep(0.001)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    store.pause.set()
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(one.docket.waiting()) == 1


async def test_what_still_runs_when_the_same_call_is_asked_about_anew_can_end(
    one: Replica, other: Replica, wall: Wall
) -> None:
    opened = await one.docket.open(petition(valid=60.0))
    await one.vote(opened.id)
    await one.docket.step(opened.id, lambda approval: claimed(approval, "c", wall()))
    await other.tick()
    wall.now += 61
    anew = await other.docket.open(petition())
    assert anew.id != opened.id
    await one.tick()
    assert one.docket.bound("b") == anew
    for replica in (one, other):
        running = replica.docket.find(opened.id)
        assert running is not None
        assert running.state is ApprovalState.RUNNING
    await one.docket.step(opened.id, lambda approval: ended(approval, "c", "200"))
    await other.tick()
    done = other.docket.find(opened.id)
    assert done is not None
    assert (done.state, done.outcome) == (ApprovalState.DONE, "200")
    assert other.docket.bound("b") == anew


async def test_what_became_of_a_call_is_known_after_the_same_call_has_been_asked_about_anew(
    one: Replica, other: Replica, wall: Wall
) -> None:
    """Its agent may still ask for it by its id. It is no new approval to whoever is told of changes."""
    opened = await one.docket.open(petition(valid=60.0))
    await one.vote(opened.id)
    await one.docket.step(opened.id, lambda approval: claimed(approval, "c", wall()))
    await one.docket.step(opened.id, lambda approval: ended(approval, "c", "200"))
    await other.tick()
    new: list[str] = []
    for replica in (one, other):
        replica.docket.watch(
            lambda before, after: new.append(after.id) if after and (not before or before.id != after.id) else None
        )
    anew = await one.docket.open(petition())
    await other.tick()
    for replica in (one, other):
        done = replica.docket.find(opened.id)
        assert done is not None
        assert (done.state, done.outcome) == (ApprovalState.DONE, "200")
    assert new == [anew.id, anew.id], "once on each replica"
