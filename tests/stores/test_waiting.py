"""Calls that wait for what others have reserved: in their order, no longer than they may, and nobody in vain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from itertools import count

from gateway.model import BudgetClaim, BudgetSettings, Claim, Hold, Outcome
from gateway.stores.memory import MemoryLedger
from gateway.stores.waiting import WaitingBudgets
from tests.builders import slot

LIMIT = 100
_CALLS = count(1)


class Process:
    def __init__(self) -> None:
        self.clock = asyncio.get_running_loop().time
        budgets = WaitingBudgets(lambda: 1_000_000.0, self.clock)
        self.ledger = MemoryLedger(self.clock, lambda: 1_000_000.0, budgets)
        self.order: list[str] = []

    async def reserve(self, *claims: Claim) -> tuple[Hold, ...]:
        held = self.ledger.reserve(claims, self.clock())
        holds = await held if isinstance(held, Awaitable) else held
        if all(hold.granted for hold in holds):
            self.order.append(claims[0].call)
        return holds

    def later(self, *claims: Claim) -> asyncio.Task[tuple[Hold, ...]]:
        return asyncio.ensure_future(self.reserve(*claims))

    def settle(self, holds: tuple[Hold, ...], amount: int) -> None:
        self.ledger.settle(holds, Outcome(200, 200, cost_usd=amount / 1e6), self.clock())


def claim(amount: int, name: str = "daily", wait: float = 5.0, least: int = 0, call: str = "") -> BudgetClaim:
    settings = BudgetSettings(LIMIT, window="total", wait=wait)
    return BudgetClaim(name, (name, "usd"), call or f"c{next(_CALLS)}", amount, settings, least)


async def turns(number: int = 20) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_a_call_waits_for_what_is_reserved_and_goes_when_it_is_free():
    process = Process()
    first = await process.reserve(claim(80))
    second = process.later(claim(80))
    await turns()
    assert not second.done()
    process.settle(first, 20)
    assert (await second)[0].granted


async def test_what_is_spent_is_not_waited_for():
    process = Process()
    process.settle(await process.reserve(claim(80)), 80)
    assert not (await asyncio.wait_for(process.reserve(claim(30)), 1))[0].granted


async def test_who_waits_is_told_as_soon_as_waiting_is_of_no_use():
    process = Process()
    first = await process.reserve(claim(80))
    second = process.later(claim(30))
    await turns()
    process.settle(first, 80)
    assert not (await asyncio.wait_for(second, 1))[0].granted


async def test_no_longer_than_it_may():
    process = Process()
    await process.reserve(claim(80))
    assert not (await asyncio.wait_for(process.reserve(claim(80, wait=0.02)), 2))[0].granted
    assert not process.ledger.reserve((claim(80, wait=0.0),), process.clock())[0].granted


async def test_first_come_first_served_and_small_calls_do_not_push_in():
    process = Process()
    first = await process.reserve(claim(60))
    large, small = claim(70, call="large"), claim(10, call="small")
    waiting = [process.later(large)]
    await turns()
    waiting.append(process.later(small))
    await turns()
    assert not any(each.done() for each in waiting)
    process.settle(first, 0)
    await asyncio.gather(*waiting)
    assert process.order[1:] == ["large", "small"]


async def test_an_agent_that_goes_takes_nothing_along():
    process = Process()
    first = await process.reserve(claim(80))
    gone, behind = process.later(claim(90)), process.later(claim(40))
    await turns()
    gone.cancel()
    await turns()
    process.settle(first, 0)
    assert (await asyncio.wait_for(behind, 1))[0].granted
    rest = process.ledger.look((claim(60),), process.clock())
    assert rest[0].granted


async def test_calls_that_wait_for_two_budgets_each_never_wait_for_each_other():
    process = Process()
    held = [await process.reserve(claim(80, name)) for name in ("a", "b")]
    waiting = []
    for number in range(30):
        first, second = ("a", "b") if number % 2 else ("b", "a")
        call = f"w{number}"
        waiting.append(process.later(claim(90, first, call=call), claim(90, second, call=call)))

    async def settle_when_granted(task: asyncio.Task[tuple[Hold, ...]]) -> None:
        holds = await task
        assert all(hold.granted for hold in holds)
        await asyncio.sleep(0)
        process.settle(holds, 0)

    settling = [asyncio.ensure_future(settle_when_granted(task)) for task in waiting]
    await turns()
    for holds in held:
        process.settle(holds, 0)
    await asyncio.wait_for(asyncio.gather(*settling), 4)


async def test_the_last_calls_share_what_is_left():
    process = Process()
    process.settle(await process.reserve(claim(60)), 60)
    (hold,) = await process.reserve(claim(90, least=5))
    assert (hold.claim.amount, hold.state) == (20, "short")
    (hold,) = await process.reserve(claim(90, least=5))
    assert (hold.claim.amount, hold.state) == (20, "short")


async def test_a_thousand_at_once_use_nearly_all_before_the_first_is_refused():
    process = Process()
    spent, at_first = 0, None

    async def one(number: int) -> None:
        nonlocal spent, at_first
        holds = await process.reserve(claim(20, wait=20.0, least=2))
        if not holds[0].granted:
            at_first = spent if at_first is None else at_first
            return
        await asyncio.sleep(0)
        amount = min(holds[0].claim.amount, 1 + number % 3)
        process.settle(holds, amount)
        spent += amount

    await asyncio.gather(*[one(number) for number in range(1000)])
    assert 0.95 * LIMIT <= at_first <= spent <= LIMIT


async def test_to_look_ahead_says_whether_waiting_may_help():
    process = Process()
    await process.reserve(claim(80))
    assert process.ledger.look((claim(80),), process.clock())[0].granted
    assert not process.ledger.look((claim(80, wait=0.0),), process.clock())[0].granted
    assert not process.ledger.look((claim(101),), process.clock())[0].granted


async def test_what_was_promised_to_a_call_that_goes_is_the_next_ones():
    process = Process()
    first = await process.reserve(claim(80))
    gone, behind = process.later(claim(90)), process.later(claim(40))
    await turns()
    process.settle(first, 0)
    gone.cancel()
    await turns()
    assert behind.done()


async def test_what_was_promised_to_a_call_that_another_guard_refuses_is_the_next_ones():
    process = Process()
    first = await process.reserve(claim(80))
    process.ledger.reserve((slot(1),), process.clock())
    refused, behind = process.later(claim(90), slot(1)), process.later(claim(40))
    await turns()
    process.settle(first, 0)
    await turns()
    assert [hold.granted for hold in refused.result()] == [True, False]
    assert behind.done()
