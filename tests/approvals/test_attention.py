"""Budgets of attention."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.approvals.attention import HOUR, OPENING, SHARE, AttentionBudgets, Window, busy, sampled
from gateway.approvals.states import claimed, ended, voted
from gateway.model import Attention, Reason, Terms, Vote
from gateway.stores.memory_cabinet import MemoryCabinet

from .asked import NOW, Time, docket, petition


class Gatehouse:
    """A docket behind a budget, as a replica has it."""

    def __init__(self, cabinet: MemoryCabinet, time: Time, budget: Attention) -> None:
        self.terms = Terms(attention=budget)
        self.counted: list[tuple[str, str]] = []
        self.docket = docket(cabinet, time)
        self.budgets = AttentionBudgets(self.docket, lambda *told: self.counted.append(told))

    async def come(self, agent: str = "billing", binding: str = "") -> bool:
        """Whether people were asked."""
        asked = petition(agent=agent, terms=self.terms, binding=binding)
        if await self.budgets.before(None, asked) is not None:
            return False
        await self.docket.open(asked)
        return True


def gatehouse(**budget) -> tuple[Gatehouse, Time]:
    time = Time()
    return Gatehouse(MemoryCabinet(time), time, Attention("money", **budget)), time


async def test_beyond_the_budget_calls_are_refused_until_an_hour_has_gone():
    house, time = gatehouse(per_hour=2)
    assert [await house.come() for _ in range(4)] == [True, True, False, False]
    assert house.counted == [("money", "refused")] * 2
    time.now += HOUR - 1
    assert not await house.come()
    time.now += 1
    assert await house.come()


async def test_a_refusal_says_what_to_do_and_is_none_that_clients_repeat():
    ruling = busy(Attention("money", per_hour=3))
    assert not ruling.granted
    assert (ruling.reason, ruling.status, ruling.verb) == (Reason.APPROVAL_DENIED, 403, "budget")
    assert "3 times" in ruling.message
    assert "hour" in ruling.advice


async def test_calls_on_their_way_to_people_count_before_they_are_there():
    house, time = gatehouse(per_hour=1)
    first = petition(terms=house.terms)
    assert await house.budgets.before(None, first) is None
    assert not await house.come()
    time.now += OPENING
    assert await house.come()  # the first was never opened


async def test_all_replicas_share_a_budget_and_one_that_starts_later_knows_it():
    time = Time()
    cabinet = MemoryCabinet(time)
    one, other = (Gatehouse(cabinet, time, Attention("money", per_hour=2)) for _ in range(2))
    assert await one.come()
    await other.docket.follow()
    assert await other.come()
    await one.docket.follow()
    assert not await one.come()
    late = Gatehouse(cabinet, time, Attention("money", per_hour=2))
    await late.docket.follow()
    assert not await late.come()


async def test_one_agent_cannot_use_up_what_is_for_all():
    house, _ = gatehouse(per_hour=20)
    greedy = [await house.come("greedy") for _ in range(100)]
    assert sum(greedy) == 15  # three times what is left
    assert await house.come("modest")


async def test_budgets_of_other_names_are_their_own():
    house, _ = gatehouse(per_hour=1)
    assert await house.come()
    house.terms = Terms(attention=Attention("other", per_hour=1))
    assert await house.come()


async def test_with_sample_a_share_still_goes_to_people_and_the_same_call_always_the_same_way():
    house, _ = gatehouse(per_hour=1, beyond="sample", sample=0.25)
    assert await house.come()
    bindings = [f"{number * 2654435761 % 2**32:08x}{number:024x}" for number in range(400)]
    asked = [
        binding
        for binding in bindings
        if await house.budgets.before(None, petition(terms=house.terms, binding=binding)) is None
    ]
    assert asked == [binding for binding in bindings if sampled(binding, 0.25)]
    assert 60 < len(asked) < 140
    assert not sampled(bindings[1], 0.0)
    assert sampled(bindings[1], 1.0)


async def test_without_a_budget_nothing_is_counted():
    house, _ = gatehouse()
    assert all([await house.come() for _ in range(50)])
    assert house.budgets.spent("money", NOW) == 50
    assert house.counted == []


class WindowModel(RuleBasedStateMachine):
    """A window against a list."""

    def __init__(self) -> None:
        super().__init__()
        self.window, self.now = Window(), NOW
        self.model: list[tuple[float, str]] = []

    @rule(late=st.floats(0, 2 * HOUR), who=st.sampled_from("ab"))
    def add(self, late, who):
        self.window.add(self.now - late, who)
        self.model.append((self.now - late, who))

    @rule(seconds=st.floats(0, HOUR))
    def wait(self, seconds):
        self.now += seconds

    @invariant()
    def counts(self):
        left = [who for at, who in self.model if at > self.now - HOUR]
        assert self.window.count(self.now) == len(left)
        assert {who: self.window.of(who) for who in "ab"} == {who: left.count(who) for who in "ab"}


WindowModel.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestWindow = WindowModel.TestCase


async def test_however_many_agents_ask_the_budget_holds_and_nobody_has_more_than_a_share():
    house, _ = gatehouse(per_hour=12)
    got: dict[str, int] = {}
    for number in range(200):
        agent = f"agent-{number % 7}"
        got[agent] = got.get(agent, 0) + await house.come(agent)
    assert sum(got.values()) <= 12
    assert max(got.values()) <= 12 * SHARE / (SHARE + 1) + 1


async def test_a_call_that_is_made_again_counts_once_more_and_what_became_of_the_first_does_not():
    house, time = gatehouse(per_hour=4)
    for _ in range(2):
        assert await house.come(binding="same")
        approval = house.docket.bound("same")
        await house.docket.step(approval.id, lambda one: voted(one, Vote("ada", "approve", time()), time()))
        await house.docket.step(approval.id, lambda one: claimed(one, "c", time()))
        await house.docket.step(approval.id, lambda one: ended(one, "c", "200"))
    assert house.budgets.spent("money", time()) == 2
