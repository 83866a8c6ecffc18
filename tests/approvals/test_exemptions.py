"""Calls like one that was approved pass without a person: which, how often, until when, and on which replica."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec import structs

from gateway.approvals.exemptions import LONGEST, MOST, Exemption, Like, as_shown
from gateway.approvals.permission import Who
from gateway.errors import StoreUnavailable
from gateway.model import UNREAD, Call, Held, Ruling, Run, Terms
from gateway.policy.engines import load_engine
from tests.approvals.bench import ADA, Room, transfer
from tests.builders import request

UP_TO_500 = Like('args.amount <= 500 && args.to == "a@example.org"')


async def exempt(room: Room, like: Like = UP_TO_500, who: Who = ADA, **rest: Any) -> Exemption:
    """An exemption, from a call that was approved."""
    waiting = await room.waiting(**rest)
    await room.give(waiting.id, who, "approve", like=like)
    return room.exemptions.standing()[0]


async def test_calls_like_the_one_that_was_approved_pass() -> None:
    room = Room()
    exemption = await exempt(room)
    ruling = await room.rules(transfer(400))
    assert ruling == Ruling(True, by=("ada",), verb="exempt", why=exemption.id)
    assert ruling.approval == "", "nothing is to be claimed"
    assert await room.rules(transfer(501)) is None
    assert await room.rules(transfer(400, "eve@example.net")) is None


@pytest.mark.parametrize(
    "of",
    [
        transfer(400, run="run-2"),
        transfer(400, agent="agent-2"),
        structs.replace(transfer(400), operation="POST /refunds"),
        structs.replace(transfer(400), args=UNREAD),
        structs.replace(transfer(400), args={}),
        structs.replace(transfer(400), args={"amount": "400", "to": "a@example.org"}),
        structs.replace(transfer(400), parts=(transfer(400), transfer(400))),
        structs.replace(transfer(400), target="/x/..%2Ftransfers"),
        structs.replace(
            transfer(400), request=request("POST", "/bank/transfers", [("X-HTTP-Method-Override", "DELETE")])
        ),
        structs.replace(
            transfer(400), request=request("POST", "/bank/transfers", [("X_HTTP_Method_Override", "DELETE")])
        ),
        structs.replace(transfer(400), request=request("POST", "/bank/transfers", [("Upgrade", "websocket")])),
        structs.replace(transfer(400), args={"amount": 400, "to": "a@example.org", "_method": "DELETE"}),
        structs.replace(transfer(400), query="_method=delete"),
    ],
    ids="run agent operation unread missing type batch path method folded upgrade member query".split(),
)
async def test_a_call_that_is_not_like_it_is_asked_about(of: Call) -> None:
    room = Room()
    await exempt(room)
    assert await room.rules(transfer(400)) is not None
    assert await room.rules(of) is None


async def test_arguments_that_nobody_has_read_make_no_condition_true() -> None:
    room = Room()
    await exempt(room, Like("!has(args.dangerous)"))
    assert await room.rules(transfer(400)) is not None
    assert await room.rules(structs.replace(transfer(400), args=UNREAD)) is None


async def test_it_covers_a_call_only_where_it_covers_all_that_is_held_against_it() -> None:
    room = Room()
    await exempt(room)
    other = (Held("payments/large", ""), Held("payments/abroad", ""))
    assert await room.rules(transfer(400), held=other) is None


async def test_a_changed_tool_of_a_server_is_never_exempt() -> None:
    room = Room()
    waiting = await room.waiting(held=(Held("pins", "not as it was"),))
    with pytest.raises(ValueError, match="pin it"):
        room.exemptions.check(waiting, Like("true"))
    made = await exempt(room, Like("true"))
    await room.exemptions.add(structs.replace(made, id="exm-x", rules=("pins", "payments/large")))
    assert await room.rules(transfer(400), held=(Held("pins", ""),)) is None


@pytest.mark.parametrize(
    ("scope", "same_run", "other_run", "other_agent"),
    [("run", True, False, False), ("agent", True, True, False), ("everybody", True, True, True)],
)
async def test_its_scope_is_the_run_the_agent_or_everybody(
    scope: str, same_run: bool, other_run: bool, other_agent: bool
) -> None:
    room = Room()
    await exempt(room, structs.replace(UP_TO_500, scope=scope))
    assert bool(await room.rules(transfer(1))) is same_run
    assert bool(await room.rules(transfer(1, run="run-2"))) is other_run
    assert bool(await room.rules(transfer(1, agent="agent-2"))) is other_agent


async def test_a_run_is_its_whole_tree() -> None:
    room = Room()
    await exempt(room)
    child = structs.replace(transfer(1, run="child", agent="agent-2"), run=Run("child", root=("agent-1", "run-1")))
    assert await room.rules(child) is not None


async def test_a_call_without_a_run_makes_no_exemption_for_one() -> None:
    room = Room()
    waiting = await room.waiting(run="", tree=("agent-1", ""))
    with pytest.raises(ValueError, match="names no run"):
        room.exemptions.check(waiting, Like("true"))
    room.exemptions.check(waiting, Like("true", "agent"))


async def test_it_stands_for_the_verdict_of_who_made_it_and_no_more() -> None:
    room = Room()
    await exempt(room, structs.replace(UP_TO_500, scope="everybody"))
    assert await room.rules(transfer(1), terms=Terms(who='"payments" in approver.roles')) is None
    assert await room.rules(transfer(1), terms=Terms(who="approver.nothing")) is None
    assert await room.rules(transfer(1), terms=Terms(approvers=2)) is None
    assert await room.rules(transfer(1), terms=Terms(who='approver.id == "ada"')) is not None
    assert await room.rules(transfer(1, agent="ada")) is None, "nobody exempts calls of their own"


async def test_it_ends_in_time() -> None:
    room = Room()
    await exempt(room, structs.replace(UP_TO_500, seconds=60))
    room.wall.now += 59.9
    assert await room.rules(transfer(1)) is not None
    room.wall.now += 0.1
    assert await room.rules(transfer(1)) is None
    assert room.exemptions.standing() == []


async def test_it_ends_with_its_uses() -> None:
    room = Room()
    exemption = await exempt(room, structs.replace(UP_TO_500, uses=2))
    assert [bool(await room.rules(transfer(1))) for _ in range(3)] == [True, True, False]
    (shown,) = as_shown(room.exemptions.standing())
    assert (shown["id"], shown["uses"], shown["used"]) == (exemption.id, 0, 2)


async def test_uses_are_exact_over_replicas_and_at_once() -> None:
    one = Room()
    await exempt(one, structs.replace(UP_TO_500, uses=10))
    two = Room(one.cabinet, one.wall)
    await two.follow()
    rulings = await asyncio.gather(*[room.rules(transfer(1)) for _ in range(12) for room in (one, two)])
    assert sum(ruling is not None for ruling in rulings) == 10


async def test_what_is_revoked_anywhere_lets_nothing_pass_at_once() -> None:
    one = Room()
    exemption = await exempt(one)
    two = Room(one.cabinet, one.wall)
    await two.follow()
    assert await two.rules(transfer(1)) is not None
    revoked = await one.exemptions.revoke(exemption.id)
    assert revoked is not None
    assert two.exemptions.standing() != [], "the other replica has not heard of it yet"
    assert await two.rules(transfer(1)) is None
    await two.follow()
    assert two.exemptions.standing() == []
    assert await one.exemptions.revoke(exemption.id) is None


async def test_news_of_what_stood_before_do_not_bring_back_what_was_revoked() -> None:
    room = Room()
    exemption = await exempt(room)
    changes = room.cabinet.changes

    async def slow(kind: str, after: int) -> Any:
        found = await changes(kind, 0)
        await room.exemptions.revoke(exemption.id)
        return found

    room.cabinet.changes = slow  # type: ignore[method-assign]
    await room.exemptions._known.follow()
    assert room.exemptions.standing() == []


async def test_where_the_store_is_away_a_person_is_asked() -> None:
    room = Room()
    await exempt(room)

    async def away(*_: object) -> None:
        raise StoreUnavailable("away")

    room.cabinet.read = away  # type: ignore[method-assign, assignment]
    assert await room.rules(transfer(1)) is None


async def test_where_the_store_has_lost_what_it_had_nothing_stands() -> None:
    one = Room()
    await exempt(one)
    await one.follow()
    fresh = Room(wall=one.wall)
    one.exemptions._known._cabinet = fresh.cabinet
    await one.exemptions._known.follow()
    assert one.exemptions.standing() == []


async def test_it_stands_after_a_reload_and_under_the_other_engine() -> None:
    room = Room()
    await exempt(room)
    room.bench.adopt(load_engine("cel-python"))
    assert await room.rules(transfer(400)) is not None
    assert await room.rules(transfer(501)) is None


async def test_a_restart_forgets_nothing() -> None:
    one = Room()
    exemption = await exempt(one)
    again = Room(one.cabinet, one.wall)
    await again.bench.start()
    try:
        assert again.exemptions.find(exemption.id) == exemption
        assert await again.rules(transfer(1)) is not None
    finally:
        await again.bench.close()


@pytest.mark.parametrize(
    ("like", "what"),
    [
        (Like("true", "planet"), "scope is 'planet'"),
        (Like("true", uses=-1), "uses must be"),
        (Like("true", seconds=-1), "at most 90 days"),
        (Like("true", seconds=LONGEST + 1), "at most 90 days"),
        (Like("true", seconds=float("nan")), "at most 90 days"),
        (Like("args.amount"), None),
        (Like("1 + 1"), "true or false"),
        (Like("size(args.to) > "), "when, column"),
        (Like('"x" in run.labels'), "run.labels"),
        (Like("run.cost_usd < 1.0"), "run.cost_usd"),
        (Like("run.steps == 0"), "run.steps"),
        (Like('why.reason == "please"'), "why.reason"),
        (Like("budget.remaining_usd > 1.0"), "budget"),
        (Like("request.time > timestamp('2020-01-01T00:00:00Z')"), "request.time"),
        (Like("llm.messages.size() == 0"), "llm.messages"),
    ],
)
async def test_a_condition_reads_only_what_is_known_of_every_call(like: Like, what: str | None) -> None:
    room = Room()
    waiting = await room.waiting()
    if what is None:
        room.exemptions.check(waiting, like)
    else:
        with pytest.raises(ValueError, match=what):
            room.exemptions.check(waiting, like)


async def test_there_are_not_endlessly_many() -> None:
    room = Room()
    exemption = await exempt(room)
    for number in range(MOST - 1):
        await room.exemptions.add(structs.replace(exemption, id=f"exm-of-{number}"))
    waiting = await room.waiting()
    with pytest.raises(ValueError, match=f"{MOST} exemptions stand"):
        room.exemptions.check(waiting, Like("true"))


async def test_what_cannot_be_read_in_the_state_exempts_nothing(caplog: pytest.LogCaptureFixture) -> None:
    room = Room()
    await room.cabinet.swap("exemption", "exm-x", 0, b"{}", 60)
    await room.exemptions._known.follow()
    assert room.exemptions.standing() == []
    assert "cannot be read" in caplog.text


class Uses(RuleBasedStateMachine):
    """Two replicas that use, revoke and follow in any order: nobody passes more often than was said, nor afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        one = Room()
        self.rooms = (one, Room(one.cabinet, one.wall))
        self.left, self.until = 0, 0.0
        self.ident = ""

    def teardown(self) -> None:
        self.loop.close()

    def do(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    @initialize(uses=st.integers(1, 5), seconds=st.integers(1, 30))
    def begin(self, uses: int, seconds: int) -> None:
        made = self.do(exempt(self.rooms[0], structs.replace(UP_TO_500, uses=uses, seconds=float(seconds))))
        self.left, self.until, self.ident = uses, made.until, made.id

    @rule(which=st.sampled_from((0, 1)), amount=st.sampled_from((1, 500, 501)))
    def call(self, which: int, amount: int) -> None:
        room = self.rooms[which]
        knows = room.exemptions.find(self.ident) is not None
        passed = self.do(room.rules(transfer(amount))) is not None
        assert passed == (knows and amount <= 500 and self.left > 0 and room.wall.now < self.until)
        self.left -= passed

    @rule(which=st.sampled_from((0, 1)))
    def follow(self, which: int) -> None:
        self.do(self.rooms[which].follow())

    @rule(seconds=st.integers(1, 10))
    def later(self, seconds: int) -> None:
        self.rooms[0].wall.now += seconds

    @rule(which=st.sampled_from((0, 1)))
    def revoke(self, which: int) -> None:
        if self.do(self.rooms[which].exemptions.revoke(self.ident)) is not None:
            self.left = 0

    @invariant()
    def never_below_nothing(self) -> None:
        assert self.left >= 0


Uses.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestUses = Uses.TestCase
