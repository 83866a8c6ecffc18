"""Budgets that replicas share: leased from one vault, and never spent twice, whatever happens to a replica."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.decide.budgets_text import refusal_of
from gateway.errors import StoreUnavailable
from gateway.model import BudgetClaim, BudgetSettings, Hold, Outcome
from gateway.stores import leases
from gateway.stores.leases import FLUSH, LeasedBudgets
from gateway.stores.memory import MemoryLedger
from gateway.stores.memory_state import MemoryBoard
from gateway.stores.memory_vault import MemoryVault

LIMIT = 10_000
HOUR = 3600.0


class World:
    """One vault, and a wall clock for all."""

    def __init__(self) -> None:
        self.wall = 1_000_000 * HOUR
        self.vault = Counting(lambda: self.wall)
        self.board = MemoryBoard(lambda: self.wall)
        self.names = count(1)

    def replica(self) -> Replica:
        return Replica(self, f"holder-{next(self.names)}")

    async def balance(self) -> tuple[int, int]:
        """Spent and leased of all accounts."""
        balances = await self.vault.balances(self.wall)
        return sum(each.spent for each in balances), sum(each.leased for each in balances)


class Counting(MemoryVault):
    """Counts what it is asked, and can be away."""

    def __init__(self, wall) -> None:
        super().__init__(wall)
        self.leases = self.settles = 0
        self.away = self.lost = False
        self.slow = 0.0

    def _here(self) -> None:
        if self.away:
            raise StoreUnavailable("the cable is cut")

    async def lease(self, holder, wants, now):
        self.leases += 1
        self._here()
        await asyncio.sleep(self.slow)
        return await super().lease(holder, wants, now)

    async def settle(self, holder, entries, now):
        self.settles += 1
        self._here()
        await super().settle(holder, entries, now)
        if self.lost:
            self.lost = False
            raise StoreUnavailable("it was done, and the answer got lost")

    async def give_back(self, holder, amounts, now):
        self._here()
        await super().give_back(holder, amounts, now)


class Replica:
    def __init__(self, world: World, holder: str) -> None:
        self.world = world
        self.clock = asyncio.get_running_loop().time
        self.budgets = LeasedBudgets(lambda: world.wall, self.clock, world.vault, holder, world.board)
        self.ledger = MemoryLedger(self.clock, lambda: world.wall, self.budgets)

    async def reserve(self, *claims: BudgetClaim) -> tuple[Hold, ...]:
        held = self.ledger.reserve(claims, self.clock())
        return await held if isinstance(held, Awaitable) else held

    def settle(self, holds: tuple[Hold, ...], amount: int) -> None:
        self.ledger.settle(holds, Outcome(200, 200, cost_usd=amount / 1e6), self.clock())

    def release(self, holds: tuple[Hold, ...]) -> None:
        self.ledger.release(holds, self.clock())


_CALLS = count(1)


def claim(amount: int, key: str = "a", wait: float = 0.0, least: int = 0, **rest) -> BudgetClaim:
    made = BudgetSettings(**{"limit": LIMIT, "window": "hour", "wait": wait, **rest})
    return BudgetClaim("daily", ("daily", made.unit, key), f"c{next(_CALLS)}", amount, made, least)


async def test_a_call_waits_for_the_vault_once_and_the_next_ones_spend_the_lease():
    world = World()
    replica = world.replica()
    for _ in range(20):
        replica.settle(await replica.reserve(claim(10)), 10)
    assert world.vault.leases <= 2
    assert replica.ledger.reserve((claim(10),), replica.clock())[0].granted, "at once"
    await replica.budgets.close()
    assert await world.balance() == (200, 10), "what is under way stays leased"


async def test_what_calls_came_to_is_written_down_together_and_soon():
    world = World()
    replica = world.replica()
    for _ in range(50):
        replica.settle(await replica.reserve(claim(10)), 7)
    assert world.vault.settles == 0
    await asyncio.sleep(FLUSH + 0.1)
    assert world.vault.settles == 1
    assert (await world.balance())[0] == 350
    await replica.budgets.close()


async def test_at_the_end_all_is_written_down_and_what_is_left_given_back():
    world = World()
    replica = world.replica()
    replica.settle(await replica.reserve(claim(500)), 123)
    await replica.budgets.close()
    assert await world.balance() == (123, 0)


async def test_many_calls_at_once_ask_the_vault_together():
    world = World()
    world.vault.slow = 0.01
    replica = world.replica()
    held = await asyncio.gather(*[replica.reserve(claim(5, key=f"k{number % 10}")) for number in range(500)])
    assert all(hold.granted for holds in held for hold in holds)
    assert world.vault.leases <= 4
    for holds in held:
        replica.release(holds)
    await replica.budgets.close()


async def test_two_replicas_spend_nearly_all_and_never_the_same():
    world = World()
    replicas = [world.replica(), world.replica()]
    spent = refused = 0
    at_first_refusal = None

    async def calls(replica: Replica, number: int) -> None:
        nonlocal spent, refused, at_first_refusal
        for step in range(60):
            holds = await replica.reserve(claim(100, wait=5.0))
            if not holds[0].granted:
                refused += 1
                at_first_refusal = spent if at_first_refusal is None else at_first_refusal
                continue
            await asyncio.sleep(0.001)
            amount = 20 + (step * 7 + number * 13) % 80
            replica.settle(holds, amount)
            spent += amount

    await asyncio.gather(*[calls(replicas[number % 2], number) for number in range(20)])
    assert refused
    assert at_first_refusal is not None
    assert 0.95 * LIMIT <= at_first_refusal <= spent <= LIMIT
    for replica in replicas:
        await replica.budgets.close()
    assert await world.balance() == (spent, 0)


async def test_where_the_vault_is_away_what_is_leased_is_spent_and_then_calls_are_refused_until_it_is_back():
    world = World()
    replica = world.replica()
    replica.settle(await replica.reserve(claim(10)), 10)
    world.vault.away = True
    granted = 0
    while (holds := await replica.reserve(claim(100)))[0].granted:
        granted += 100
        replica.settle(holds, 100)
    assert 0 < granted <= LIMIT // 8
    assert holds[0].state == "unavailable"
    assert not replica.ledger.look((claim(100),), replica.clock())[0].granted
    world.vault.away = False
    replica.budgets._away_until = 0.0
    replica.settle(await replica.reserve(claim(100)), 100)
    await replica.budgets.close()
    assert await world.balance() == (10 + granted + 100, 0)


async def test_a_vault_that_is_away_is_told_of_once_and_so_is_its_return(caplog, monkeypatch):
    caplog.set_level("INFO", "toolgate.budgets")
    monkeypatch.setattr(leases, "AWAY", 0.0)
    world = World()
    replica = world.replica()
    replica.settle(await replica.reserve(claim(10)), 10)
    world.vault.away = True
    for _ in range(3):
        await replica.budgets.flush()
    world.vault.away = False
    await replica.budgets.close()
    assert [" is away" in message for message in caplog.messages] == [True, False]


async def test_an_agent_that_leaves_the_line_does_not_hold_up_those_behind():
    world = World()
    replica = world.replica()
    first = await replica.reserve(claim(LIMIT))
    gone = asyncio.ensure_future(replica.reserve(claim(LIMIT, wait=5.0)))
    behind = asyncio.ensure_future(replica.reserve(claim(10, wait=5.0)))
    await asyncio.sleep(0.01)
    gone.cancel()
    await asyncio.sleep(0.01)
    replica.release(first)
    (hold,) = await asyncio.wait_for(behind, 2)
    assert hold.granted
    replica.release((hold,))
    await replica.budgets.close()


async def test_a_window_that_ends_takes_its_leases_with_it():
    world = World()
    replica = world.replica()
    holds = await replica.reserve(claim(300))
    world.wall += HOUR
    assert (await replica.reserve(claim(LIMIT)))[0].granted is False, "what is under way still counts"
    replica.settle(holds, 300)
    assert (await replica.reserve(claim(LIMIT)))[0].granted is False
    rest = await replica.reserve(claim(LIMIT - 300))
    assert rest[0].granted
    replica.release(rest)
    await replica.budgets.close()
    assert await world.balance() == (300, 0)


async def test_what_is_sent_again_in_the_next_window_since_the_answer_got_lost_counts_once():
    world = World()
    replica = world.replica()
    replica.settle(await replica.reserve(claim(300)), 300)
    world.vault.lost = True
    await replica.budgets.flush()
    world.wall += HOUR
    await replica.budgets.flush()
    assert await world.balance() == (0, 0), "it was spent in the window before"
    replica.budgets._away_until = 0.0
    (hold,) = await replica.reserve(claim(LIMIT))
    assert hold.granted, "all of the new window is there"
    replica.settle((hold,), 70)
    await replica.budgets.close()
    assert await world.balance() == (70, 0)


async def test_what_calls_came_to_while_the_vault_was_away_is_written_down_once():
    world = World()
    replica = world.replica()
    holds = await replica.reserve(claim(100)) + await replica.reserve(claim(100))
    world.vault.away = True
    replica.settle(holds[:1], 100)
    await replica.budgets.flush()
    replica.settle(holds[1:], 30)
    await replica.budgets.flush()
    world.vault.away = False
    await replica.budgets.close()
    assert await world.balance() == (130, 0)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(0, 1), st.integers(1, 4000)),
        st.tuples(st.sampled_from(["settle", "release"]), st.integers(0, 99), st.integers(0, 4000)),
        st.tuples(st.sampled_from(["flush", "lose", "crash", "close"]), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("roll"), st.just(0), st.just(0)),
    ),
    max_size=60,
)


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_whatever_happens_the_limit_holds_and_a_crash_forgets_nothing(steps):
    asyncio.run(_play(steps))


async def _play(steps) -> None:
    world = World()
    replicas = [world.replica(), world.replica()]
    under_way: list[tuple[int, tuple[Hold, ...]]] = []
    spent = 0
    for what, which, amount in steps:
        if what == "reserve":
            held = await replicas[which].reserve(claim(amount))
            if held[0].granted:
                under_way.append((which, held))
        elif what in ("settle", "release") and under_way:
            at, holds = under_way.pop(which % len(under_way))
            if what == "settle":
                came_to = min(amount, holds[0].claim.amount)
                replicas[at].settle(holds, came_to)
                spent += came_to
            else:
                replicas[at].release(holds)
        elif what == "flush":
            await replicas[which].budgets.flush()
        elif what == "lose":  # it is written down, and the replica does not know
            world.vault.lost = True
            await replicas[which].budgets.flush()
            world.vault.lost = False
            replicas[which].budgets._away_until = 0.0
        elif what == "crash":  # what was under way may have cost all that it could
            spent += sum(holds[0].claim.amount for at, holds in under_way if at == which)
            under_way = [each for each in under_way if each[0] != which]
            for task in replicas[which].budgets._tasks:
                task.cancel()
            replicas[which] = world.replica()
        elif what == "close" and not any(at == which for at, _ in under_way):
            await replicas[which].budgets.close()
            replicas[which] = world.replica()
        elif what == "roll":
            world.wall += HOUR
            spent = 0
        await asyncio.sleep(0)
        assert spent + sum(holds[0].claim.amount for _, holds in under_way) <= LIMIT
    for at, holds in under_way:
        replicas[at].release(holds)
    for replica in replicas:
        await replica.budgets.close()
    known, leased = await world.balance()
    assert spent <= known + leased <= LIMIT


@pytest.mark.parametrize("amount", [LIMIT + 1])
async def test_what_is_more_than_the_whole_budget_is_refused_and_not_waited_for(amount):
    replica = World().replica()
    (hold,) = await asyncio.wait_for(replica.reserve(claim(amount, wait=60.0)), 2)
    assert not hold.granted
    assert hold.state == ""
    await replica.budgets.close()


async def test_leases_that_nobody_spends_are_given_back_and_forgotten(monkeypatch):
    monkeypatch.setattr(leases, "IDLE", 0.05)
    monkeypatch.setattr(leases, "IDLE_DRY", 0.02)
    world = World()
    replica = world.replica()
    kept = await replica.reserve(claim(10, key="kept"))
    for number in range(50):
        replica.settle(await replica.reserve(claim(10, key=f"run-{number}")), 1)
    await asyncio.sleep(0.5)
    assert len(replica.budgets._leased) == 1
    assert await world.balance() == (50, 10)
    replica.release(kept)
    await replica.budgets.close()
    assert await world.balance() == (50, 0)


@pytest.mark.parametrize("written", [False, True])
async def test_a_rolling_budget_that_is_spent_says_when_some_of_it_comes_back(written):
    world = World()
    replica = world.replica()
    rolling = {"window": "rolling", "seconds": 30.0}
    replica.settle(await replica.reserve(claim(LIMIT, **rolling)), LIMIT)
    if written:
        await replica.budgets.flush()
    (hold,) = await replica.reserve(claim(1, **rolling))
    assert not hold.granted
    assert 30 <= hold.retry_after <= 30.5
    assert refusal_of(hold).status == 429
    await replica.budgets.close()
