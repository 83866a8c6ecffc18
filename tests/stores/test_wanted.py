"""What a call needs does not lie idle in the lease of another replica: it is told of, and given back."""

from __future__ import annotations

import asyncio
import functools
import random

import msgspec
import pytest

from benchmarks.simulate.clock import play
from gateway.stores import wanted
from gateway.stores.leases import LeasedBudgets
from gateway.stores.memory import MemoryLedger
from gateway.stores.memory_state import MemoryBoard
from gateway.stores.wanted import KIND, STANDS, Wanted
from tests.stores.opening import AT, Place
from tests.stores.test_leases import LIMIT, Replica, World, claim

LONG = {"wait": 5.0}


def virtually(test):
    """Play it on a loop whose time leaps."""

    @functools.wraps(test)
    def played(*args, **named):
        play(test(*args, **named))

    return played


def now() -> float:
    return asyncio.get_running_loop().time()


@virtually
async def test_a_call_gets_within_a_second_what_another_replica_has_leased_ahead():
    world = World()
    ahead, needy = world.replica(), world.replica()
    ahead.settle(await ahead.reserve(claim(10)), 10)
    assert (await world.balance())[1] > 1_000
    (hold,) = await needy.reserve(claim(LIMIT - 10, **LONG))
    assert hold.granted
    assert now() < 1.0
    needy.release((hold,))
    await ahead.budgets.close()
    await needy.budgets.close()
    assert await world.balance() == (10, 0)


@virtually
async def test_a_replica_that_is_never_idle_gives_back_what_its_calls_do_not_need():
    world = World()
    busy, needy = world.replica(), world.replica()
    spent = 0

    async def small_calls():
        nonlocal spent
        while True:
            holds = await busy.reserve(claim(10, **LONG))
            if holds[0].granted:
                await asyncio.sleep(0.05)
                busy.settle(holds, 10)
                spent += 10

    task = asyncio.create_task(small_calls())
    await asyncio.sleep(1)
    (hold,) = await needy.reserve(claim(LIMIT - 700, **LONG))
    assert hold.granted
    assert now() < 3.0
    task.cancel()
    await asyncio.wait({task})
    assert spent + hold.claim.amount <= LIMIT
    await needy.budgets.close()


@virtually
async def test_what_calls_under_way_have_reserved_is_not_given_back():
    world = World()
    busy, needy = world.replica(), world.replica()
    held = await busy.reserve(claim(1_000))
    assert not (await needy.reserve(claim(LIMIT - 999, **LONG)))[0].granted
    (hold,) = await needy.reserve(claim(LIMIT - 1_000, **LONG))
    assert hold.granted
    assert await world.balance() == (0, LIMIT)
    needy.release((hold,))
    busy.release(held)
    await busy.budgets.close()
    await needy.budgets.close()


@virtually
async def test_a_call_that_may_not_wait_is_refused_and_the_next_one_gets_it():
    world = World()
    ahead, needy = world.replica(), world.replica()
    ahead.release(await ahead.reserve(claim(10)))
    assert not (await needy.reserve(claim(LIMIT)))[0].granted
    await asyncio.sleep(0.5)
    assert (await needy.reserve(claim(LIMIT)))[0].granted


@virtually
async def test_two_replicas_that_both_lack_what_the_other_has_do_not_stand_in_each_others_way():
    world = World()
    replicas = [world.replica(), world.replica()]
    for replica in replicas:
        replica.release(await replica.reserve(claim(3_000)))

    async def big(replica):
        holds = await replica.reserve(claim(8_000, **LONG))
        await asyncio.sleep(0.5)
        replica.settle(holds, 1_000)
        return holds[0].granted

    assert await asyncio.gather(*map(big, replicas)) == [True, True]
    assert now() < 3.0


class Crowd:
    """Agents of three replicas whose calls are large and small. Notes refusals of calls that were first in line of
    their replica for two seconds, while what they needed was reserved by none."""

    def __init__(self, seed: int) -> None:
        self.dice, self.world = random.Random(seed), World()
        self.replicas = [self.world.replica() for _ in range(3)]
        self.seen: list[tuple[int, set[int]]] = []
        self.refused = self.in_vain = self.spent = 0

    async def play(self) -> None:
        watch = asyncio.create_task(self.watch())
        calls = []
        for _ in range(self.dice.randint(5, 60)):
            amount = self.dice.randint(1_500, 5_000) if self.dice.random() < 0.4 else self.dice.randint(1, 200)
            calls.append(asyncio.create_task(self.call(self.dice.choice(self.replicas), amount)))
            await asyncio.sleep(self.dice.choice([0, 0.01, 0.3, 1.0]))
        await asyncio.gather(*calls)
        watch.cancel()
        for replica in self.replicas:
            await replica.budgets.close()

    async def call(self, replica: Replica, amount: int) -> None:
        holds = await replica.reserve(claim(amount, **LONG))
        if holds[0].granted:
            await asyncio.sleep(self.dice.uniform(0.05, 3))
            came_to = self.dice.randint(0, amount)
            replica.settle(holds, came_to)
            self.spent += came_to
            return
        self.refused += 1
        lately = self.seen[-20:]
        self.in_vain += len(lately) == 20 and all(amount <= there and amount in first for there, first in lately)

    async def watch(self) -> None:
        """Ten times a second: how much no call has reserved, and what the first in line need."""
        while True:
            accounts = [(each.budgets, account) for each in self.replicas for account in each.budgets.accounts]
            there = LIMIT - sum(await self.world.balance())
            there += sum(budgets.state_of(account)[1] for budgets, account in accounts)
            lines = [account.waiting.waiters for _, account in accounts if account.waiting is not None]
            self.seen.append((there, {line[0].claim.amount for line in lines if line}))
            await asyncio.sleep(0.1)


@virtually
async def test_no_call_is_refused_while_what_it_needs_lies_idle():
    refused = 0
    for seed in range(40):
        crowd = Crowd(seed)
        await crowd.play()
        assert crowd.in_vain == 0, seed
        assert await crowd.world.balance() == (crowd.spent, 0)
        assert crowd.spent <= LIMIT
        refused += crowd.refused
    assert refused > 100


@virtually
async def test_where_all_is_spent_or_needed_nothing_is_told():
    world = World()
    one, other = world.replica(), world.replica()
    one.settle(await one.reserve(claim(LIMIT - 100)), LIMIT - 100)
    await one.budgets.flush()
    assert not (await other.reserve(claim(200, **LONG)))[0].granted
    assert world.board.entries(KIND) == {}


@virtually
async def test_a_replica_tells_of_a_few_accounts_at_once_and_only_as_long_as_it_wants_them(monkeypatch):
    monkeypatch.setattr(wanted, "MOST", 3)
    board, told = MemoryBoard(now), []
    other = Wanted(board, "other", now, told.append)
    mine = Wanted(board, "mine", now, lambda keys: pytest.fail(f"told of one's own: {keys}"))
    for name in "abcd":
        mine.want((name,))
    await asyncio.sleep(0.3)
    assert told == [{("a",), ("b",), ("c",)}]
    assert other.elsewhere(("a",))
    assert not other.elsewhere(("d",))
    assert not mine.elsewhere(("a",))
    mine.had(("a",))
    await asyncio.sleep(0.2)
    assert told[1:] == [{("b",), ("c",)}]
    await asyncio.sleep(3 * STANDS)
    assert not other.elsewhere(("b",))
    await mine.close()
    await other.close()


@pytest.mark.parametrize("value", [b"", b"{", b"[1]", b'[1,["a"]]', b'[1,[["\xff"]]]'])
@virtually
async def test_what_cannot_be_read_on_the_board_is_nobodys_want(value, caplog):
    board = MemoryBoard(now)
    mine = Wanted(board, "mine", now, lambda keys: pytest.fail(f"told of {keys}"))
    await board.post(KIND, "other", value)
    assert not mine.elsewhere(("a",))
    assert "cannot be read" in caplog.text
    await board.post(KIND, "mine", msgspec.json.encode((1, [["a"]])))
    assert not mine.elsewhere(("a",)), "one's own wants are nobody else's"


async def test_in_every_store_idle_leases_come_to_who_needs_them(place: Place) -> None:
    budgets = []
    for holder in ("one", "other"):
        state = await place.open()
        budgets.append(LeasedBudgets(place.wall, asyncio.get_running_loop().time, state.vault, holder, state.board))
    clock = asyncio.get_running_loop().time
    ahead, needy = [MemoryLedger(clock, lambda: AT, each) for each in budgets]
    held = await ahead.reserve((claim(10, **LONG),), clock())
    ahead.release(held, clock())
    (hold,) = await needy.reserve((claim(LIMIT, **LONG),), clock())
    assert hold.granted
    for each in budgets:
        await each.close()
