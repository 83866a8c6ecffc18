"""The desk: what calls are told, and that what was approved is used once, whatever happens in between."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from gateway.approvals import desk
from gateway.approvals.desk import concerns
from gateway.approvals.docket import APPROVALS
from gateway.approvals.rulings import OUTDATED
from gateway.approvals.states import voted
from gateway.errors import StoreUnavailable
from gateway.model import Approval, ApprovalState, Outcome, Petition, Quarantine, Reason, Ruling, Vote
from tests.approvals.replicas import OK, Replica, Store, petition, settled
from tests.stores.opening import Wall

HELD = petition(hold=45.0)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "AGAIN", 0.001)


async def held(replica: Replica, asked: Petition = HELD) -> tuple[asyncio.Task[Ruling], Approval]:
    """A call that is held on the line, and its approval."""
    asking = asyncio.create_task(replica.ask(asked))
    await settled()
    assert not asking.done()
    approval = replica.docket.bound(asked.binding)
    assert approval is not None
    return asking, approval


async def approved(replica: Replica, asked: Petition | None = None) -> Ruling:
    """A ruling that grants a call."""
    asked = asked or petition()
    pending = await replica.ask(asked)
    await replica.vote(pending.approval)
    ruling = await replica.ask(asked)
    assert ruling.granted
    return ruling


def state_of(replica: Replica, ident: str) -> ApprovalState:
    approval = replica.docket.find(ident)
    assert approval is not None
    return approval.state


# -- what calls are told -----------------------------------------------------------------------------------------


async def test_a_call_on_the_line_goes_on_as_soon_as_a_person_has_approved(one: Replica) -> None:
    asking, approval = await held(one)
    assert one.desk.held == 1
    await one.vote(approval.id, "alice")
    ruling = await asking
    assert (ruling.granted, ruling.approval, ruling.by, ruling.verb) == (True, approval.id, ("alice",), "approve")
    assert one.desk.held == 0


async def test_it_hears_of_what_was_decided_on_another_replica(one: Replica, other: Replica) -> None:
    asking, approval = await held(one)
    await other.vote(approval.id, "alice", "deny", "not to this account")
    await settled()
    assert not asking.done()
    await one.tick()
    ruling = await asking
    assert (ruling.granted, ruling.reason, ruling.message) == (False, Reason.APPROVAL_DENIED, "not to this account")


async def test_after_its_time_on_the_line_it_is_told_to_ask_again_and_then_meets_the_same_approval(
    one: Replica,
) -> None:
    first = await one.ask(petition())
    again = await one.ask(petition())
    assert first.approval == again.approval
    assert (first.reason, first.status, first.verb) == (Reason.APPROVAL_PENDING, 403, "pending")
    assert "repeat exactly the same call" in first.advice
    assert "somebody must look" in first.message
    await one.vote(first.approval, verb="ask", message="which invoice is it?")
    assert "which invoice is it?" in (await one.ask(petition())).message


@pytest.mark.parametrize(
    ("verb", "reason", "status"),
    [("deny", Reason.APPROVAL_DENIED, 403), ("answer", Reason.ANSWERED_BY_PERSON, 200)],
)
async def test_a_verdict_is_remembered_for_a_while_and_then_asked_for_anew(
    one: Replica, wall: Wall, verb: str, reason: Reason, status: int
) -> None:
    first = await one.ask(petition(valid=60.0))
    await one.vote(first.approval, verb=verb, message="said so")
    for _ in range(2):
        told = await one.ask(petition(valid=60.0))
        assert (told.granted, told.reason, told.status, told.message) == (False, reason, status, "said so")
        wall.now += 59
    wall.now -= 58
    wall.now += 1
    anew = await one.ask(petition(valid=60.0))
    assert anew.reason is Reason.APPROVAL_PENDING
    assert anew.approval != first.approval


async def test_that_nobody_decided_in_time_is_remembered_too(one: Replica, other: Replica, wall: Wall) -> None:
    """Or an agent that asks again and again would have people asked for ever."""
    asking, approval = await held(one, petition(hold=1000.0, expires=600.0, valid=60.0))
    wall.now += 600
    await one.tick()
    told = await asking
    assert (told.reason, told.verb) == (Reason.APPROVAL_DENIED, "expired")
    assert (await other.ask(petition(valid=60.0))).verb == "expired"
    wall.now += 60
    assert (await other.ask(petition())).approval != approval.id


async def test_who_is_held_until_nobody_can_decide_any_more_is_told_the_end(one: Replica, wall: Wall) -> None:
    """Not that it still waits: the end is written at the tick after it."""
    asking, _ = await held(one, petition(hold=0.01, expires=0.01, timeout="allow"))
    await asyncio.sleep(0.02)
    assert not asking.done()
    wall.now += 0.01
    await one.tick()
    assert (await asking).granted


async def test_a_policy_may_let_a_call_pass_on_which_nobody_decided(one: Replica, other: Replica, wall: Wall) -> None:
    """Also where the call comes before anybody has noticed that its time is over."""
    asked = petition(timeout="allow", expires=600.0)
    pending = await one.ask(asked)
    wall.now += 600
    ruling = await other.ask(asked)
    assert (ruling.granted, ruling.approval, ruling.by) == (True, pending.approval, ("timeout",))
    assert await other.desk.claim(ruling, "c")


async def test_what_was_approved_and_not_called_in_time_must_be_asked_for_anew(one: Replica, wall: Wall) -> None:
    ruling = await approved(one, petition(valid=60.0))
    wall.now += 60
    assert not await one.desk.claim(ruling, "c")
    anew = await one.ask(petition())
    assert anew.verb == "pending"
    assert anew.approval != ruling.approval


async def test_of_two_that_wait_for_the_same_one_is_made_and_the_other_is_told(one: Replica, other: Replica) -> None:
    tasks = [(await held(replica))[0] for replica in (one, other)]
    await one.tick()
    approval = one.docket.bound(HELD.binding)
    assert approval is not None
    await one.vote(approval.id)
    await other.tick()
    rulings = [await task for task in tasks]
    assert [ruling.granted for ruling in rulings] == [True, True]
    won = await asyncio.gather(one.desk.claim(rulings[0], "c1"), other.desk.claim(rulings[1], "c2"))
    assert sorted(won) == [False, True]


async def test_a_call_that_waits_while_the_same_is_made_is_told_so(one: Replica, other: Replica) -> None:
    asking, approval = await held(other)
    await one.tick()
    await one.vote(approval.id)
    ruling = await one.ask(HELD)
    assert await one.desk.claim(ruling, "c")
    await other.tick()
    told = await asking
    assert (told.granted, told.verb) == (False, "running")
    again = await other.ask(HELD)
    assert again.verb == "running"
    one.desk.settle(ruling, "c", OK)
    await one.written()
    await other.tick()
    assert (await other.ask(petition())).verb == "pending", "made once more, it is asked about once more"


async def test_after_a_crash_nobody_makes_the_call_again_unseen(one: Replica, store: Store, wall: Wall) -> None:
    ruling = await approved(one)
    assert await one.desk.claim(ruling, "c")
    again = Replica(store, wall)
    await again.docket.follow()
    told = await again.ask(petition())
    assert (told.granted, told.verb, told.approval) == (False, "running", ruling.approval)
    assert "in a way nobody knows" in told.message
    assert not await again.desk.claim(ruling, "c2")
    found = again.docket.find(ruling.approval)
    assert found is not None
    assert found.outcome == "unknown"


async def test_arguments_that_a_person_put_in_take_the_place_of_the_calls(one: Replica, other: Replica) -> None:
    pending = await one.ask(petition())
    await one.docket.put_edit(pending.approval, "digest", b'{"amount": 5}')
    vote = Vote("alice", "edit", one.wall(), edit="digest")
    await one.docket.step(pending.approval, lambda approval: voted(approval, vote, one.wall()))
    ruling = await other.ask(petition())
    assert (ruling.granted, ruling.verb, ruling.edited) == (True, "edit", {"amount": 5})


async def test_nobody_can_be_asked_while_the_store_is_away(one: Replica, store: Store) -> None:
    store.away = True
    told = await one.ask(petition())
    assert (told.granted, told.reason, told.status) == (False, Reason.STATE_UNAVAILABLE, 503)


async def test_a_call_that_waits_is_told_where_the_store_has_lost_what_it_waits_for(
    one: Replica, wall: Wall, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking, _ = await held(one)
    await one.tick()
    monkeypatch.setattr(one.docket, "_cabinet", Store(wall))
    await one.tick()
    assert (await asking).verb == "lost"
    assert (await one.ask(petition())).verb == "pending"


# -- hooks -------------------------------------------------------------------------------------------------------


async def test_hooks_rule_before_anybody_is_asked_and_some_of_them_while_it_waits_too(store: Store, wall: Wall) -> None:
    exempt: list[bool] = []
    counted: list[str] = []

    async def exemptions(_: object, asked: Petition) -> Ruling | None:
        return Ruling(True, verb="exempt", why="x") if exempt else None

    async def attention(_: object, asked: Petition) -> Ruling | None:
        counted.append(asked.binding)
        return None

    one = Replica(store, wall, (exemptions, attention), (exemptions,))
    pending = await one.ask(petition())
    await one.ask(petition())
    assert counted == ["b"], "what waits already takes no more attention"
    exempt.append(True)
    assert (await one.ask(petition())).verb == "exempt"
    await one.written()
    assert state_of(one, pending.approval) is ApprovalState.WITHDRAWN, "nobody need look at it any more"
    assert (await one.ask(petition("other"))).verb == "exempt"
    assert one.docket.bound("other") is None


# -- used once ---------------------------------------------------------------------------------------------------


async def test_what_was_approved_is_used_once(one: Replica, other: Replica) -> None:
    ruling = await approved(one)
    claims = [replica.desk.claim(ruling, f"c{number}") for number in range(10) for replica in (one, other)]
    assert sum(await asyncio.gather(*claims)) == 1


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (OK, "200"),
        (Outcome(502, fault="tool"), "502 tool"),
        (Outcome(499, upstream=200, fault="agent"), "200 agent"),
    ],
)
async def test_what_came_of_the_call_stands_with_the_approval(one: Replica, outcome: Outcome, told: str) -> None:
    ruling = await approved(one)
    assert await one.desk.claim(ruling, "c")
    one.desk.settle(ruling, "c", outcome)
    await one.written()
    found = one.docket.find(ruling.approval)
    assert found is not None
    assert (found.state, found.outcome, found.call) == (ApprovalState.DONE, told, "c")


async def test_what_was_taken_and_not_used_can_be_taken_again(one: Replica, other: Replica) -> None:
    ruling = await approved(one)
    assert await one.desk.claim(ruling, "c")
    one.desk.release(ruling, "c")
    await one.written()
    again = await other.ask(petition())
    assert again.granted
    assert await other.desk.claim(again, "d")


async def test_a_claim_whose_agent_goes_while_it_is_stored_is_given_back(one: Replica, store: Store) -> None:
    ruling = await approved(one)
    store.pause = asyncio.Event()
    claiming = asyncio.create_task(one.desk.claim(ruling, "c"))
    await settled()
    claiming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await claiming
    store.pause.set()
    await one.written()
    assert state_of(one, ruling.approval) is ApprovalState.APPROVED
    assert await one.desk.claim(ruling, "d")


@pytest.mark.parametrize("cancelled", [False, True], ids=["waits", "goes"])
async def test_a_claim_whose_answer_is_lost_is_given_back_since_its_call_is_not_made(
    one: Replica, store: Store, monkeypatch: pytest.MonkeyPatch, *, cancelled: bool
) -> None:
    ruling = await approved(one)
    swap, lost = store.swap, []

    async def loses(*given: object) -> int:
        version = await swap(*given)  # type: ignore[arg-type]
        if not lost:
            lost.append(version)
            await settled()
            raise StoreUnavailable("no answer in time")
        return version

    monkeypatch.setattr(store, "swap", loses)
    claiming = asyncio.create_task(one.desk.claim(ruling, "c"))
    await settled(5)
    if cancelled:
        claiming.cancel()
    with pytest.raises(asyncio.CancelledError if cancelled else StoreUnavailable):
        await claiming
    await one.written()
    assert state_of(one, ruling.approval) is ApprovalState.APPROVED
    assert await one.desk.claim(ruling, "d")


async def test_a_claim_that_reaches_the_store_after_it_was_given_up_comes_too_late(
    one: Replica, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would leave behind what nobody can use, and nobody has used."""
    ruling = await approved(one)
    swap = store.swap
    late: list[tuple[object, ...]] = []

    async def lingers(*given: object) -> int:
        if not late:
            late.append(given)
            raise StoreUnavailable("no answer in time")
        return await swap(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "swap", lingers)
    with pytest.raises(StoreUnavailable):
        await one.desk.claim(ruling, "c")
    await one.written()
    assert await swap(*late[0]) == 0  # type: ignore[arg-type]
    assert await one.desk.claim(ruling, "d")


async def test_what_came_of_a_call_is_written_down_when_the_store_is_back(one: Replica, store: Store) -> None:
    ruling = await approved(one)
    assert await one.desk.claim(ruling, "c")
    store.away = True
    one.desk.settle(ruling, "c", OK)
    await asyncio.sleep(0.005)
    await one.desk.close()
    assert state_of(one, ruling.approval) is ApprovalState.RUNNING
    store.away = False
    await one.written()
    assert state_of(one, ruling.approval) is ApprovalState.DONE


# -- quarantines -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "key", "left"),
    [
        ("agent", ("a",), {"b2"}),
        ("run", ("a", "r1"), {"b1", "b2"}),
        ("tool", ("bank",), set()),
        ("tool", ("other",), {"b0", "b1", "b2"}),
        ("all", (), set()),
    ],
)
async def test_a_quarantine_takes_back_what_it_covers(
    one: Replica, scope: str, key: tuple[str, ...], left: set[str]
) -> None:
    for number, (agent, run) in enumerate([("a", "r1"), ("a", "r2"), ("b", "r1")]):
        await one.ask(petition(f"b{number}", agent, run=run))
    approval = one.docket.bound("b0")
    assert approval is not None
    await one.vote(approval.id)
    quarantine = Quarantine(scope, key, "it wiped disks", "safety/wipe", one.wall())
    assert one.desk.withdraw(lambda each: concerns(quarantine, each), "quarantined") == 3 - len(left)
    await one.written()
    standing = {each.binding for each in one.docket if one.docket.stands(each)}
    assert standing == left


async def test_a_call_that_waits_is_told_when_its_approval_is_taken_back(one: Replica) -> None:
    asking, _ = await held(one)
    one.desk.withdraw(lambda _: True, "the run has been quarantined")
    told = await asking
    assert (told.reason, told.message) == (Reason.APPROVAL_DENIED, "the run has been quarantined")


async def test_what_has_been_taken_by_a_call_is_not_taken_back(one: Replica) -> None:
    ruling = await approved(one)
    assert await one.desk.claim(ruling, "c")
    assert one.desk.withdraw(lambda _: True, "quarantined") == 0
    assert state_of(one, ruling.approval) is ApprovalState.RUNNING


async def test_what_stands_in_the_store_is_what_was_decided(one: Replica, store: Store) -> None:
    ruling = await approved(one)
    assert await one.desk.claim(ruling, "c")
    one.desk.settle(ruling, "c", OK)
    await one.written()
    paper = await store.read(APPROVALS, "b")
    assert msgspec.json.decode(paper.value, type=Approval) == one.docket.find(ruling.approval)


# -- other policies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["", "approve", "deny"])
async def test_a_call_on_the_line_is_told_to_come_again_as_soon_as_other_policies_count(
    one: Replica, verb: str
) -> None:
    """However people decide: it was asked about by policies that are gone, and new ones may deny it."""
    one.desk.adopt(HELD.version)
    asking, approval = await held(one)
    one.desk.adopt("other")
    if verb:
        await one.vote(approval.id, "alice", verb)
    ruling = await asking
    assert (ruling.granted, ruling.verb, ruling.reason) == (False, "withdrawn", Reason.APPROVAL_REQUIRED)
    assert ruling.message == OUTDATED


async def test_what_was_approved_by_other_policies_is_void_on_all_replicas(one: Replica, other: Replica) -> None:
    one.desk.adopt(HELD.version)
    ruling = await approved(one)
    asking, waiting = await held(other, petition("another", hold=45.0))
    await one.tick()
    one.desk.adopt("other")
    await settled()
    await other.tick()
    assert state_of(one, ruling.approval) is state_of(other, waiting.id) is ApprovalState.WITHDRAWN
    assert not await one.desk.claim(ruling, "call-1")
    assert (await asking).message == OUTDATED


async def test_what_runs_goes_on_and_the_same_version_again_voids_nothing(one: Replica) -> None:
    one.desk.adopt(HELD.version)
    ruling = await approved(one)
    one.desk.adopt(HELD.version)
    await settled()
    assert await one.desk.claim(ruling, "call-1")
    one.desk.adopt("other")
    await settled()
    assert state_of(one, ruling.approval) is ApprovalState.RUNNING


# -- crowds ------------------------------------------------------------------------------------------------------


async def test_no_agent_takes_all_connections_there_are_with_calls_that_wait(
    one: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "MOST_HELD", 4)
    on_line = [(await held(one, petition(str(number), "greedy", hold=45.0)))[0] for number in range(2)]
    beyond = await one.ask(petition("2", "greedy", hold=45.0))
    assert (beyond.reason, beyond.waited) == (Reason.APPROVAL_PENDING, 0.0), "it waits, but not on the line"
    on_line.append((await held(one, petition("3", "modest", hold=45.0)))[0])
    await one.vote(beyond.approval)
    assert (await one.ask(petition("2", "greedy", hold=45.0))).granted
    one.desk.hurry()
    await asyncio.gather(*on_line)
    assert one.desk.held == 0
