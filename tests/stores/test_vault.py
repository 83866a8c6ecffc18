"""What every vault keeps: memory, SQLite, Redis."""

from __future__ import annotations

import asyncio

import pytest

from gateway.model import Account, Balance, Draw, Entry, Want
from tests.stores.opening import AT, Place

DAY = Account(("budget/day", "usd", "agent-1"), 1_000_000, "day")
HOUR = Account(("budget/hour", "calls", "agent-1"), 1_000, "hour")
MONTH = Account(("budget/month", "usd", "team"), 1_000, "month")
TOTAL = Account(("budget/total", "usd", "agent-1"), 1_000, "total")
ROLLING = Account(("budget/rolling", "usd", "agent-1"), 1_000, "rolling", 600.0)
EVERY = [DAY, HOUR, MONTH, TOTAL, ROLLING]


async def leased(state, account: Account, least: int, wish: int, now: float = AT) -> int:
    (lease,) = await state.vault.lease(state.holder, [Want(account, least, wish)], now)
    return lease.granted


async def standing(state, account: Account, now: float = AT) -> tuple[int, int]:
    """Spent and leased."""
    found = [each for each in await state.vault.balances(now) if each.account.key == account.key]
    return (found[0].spent, found[0].leased) if found else (0, 0)


# -- leases ------------------------------------------------------------------------------------------------------


async def test_a_lease_is_at_most_an_eighth_of_what_is_left_and_at_most_what_is_wished(place: Place) -> None:
    state = await place.open()
    assert await leased(state, DAY, 1, 1_000_000) == 125_000
    assert await leased(state, DAY, 1, 1_000) == 1_000
    assert await standing(state, DAY) == (0, 126_000)


async def test_a_lease_is_at_least_what_a_call_needs_or_nothing(place: Place) -> None:
    state = await place.open()
    assert await leased(state, DAY, 900_000, 900_000) == 900_000
    assert await leased(state, DAY, 100_001, 200_000) == 0
    assert await leased(state, DAY, 100_000, 200_000) == 100_000
    assert await leased(state, DAY, 1, 1) == 0


async def test_all_wants_of_a_batch_are_answered_in_order_each_after_those_before(place: Place) -> None:
    state = await place.open()
    wants = [Want(TOTAL, 600, 600), Want(DAY, 10, 10), Want(TOTAL, 600, 600), Want(TOTAL, 400, 400)]
    leases = await state.vault.lease(state.holder, wants, AT)
    assert [lease.granted for lease in leases] == [600, 10, 0, 400]
    assert [(lease.spent, lease.leased) for lease in leases] == [(0, 600), (0, 10), (0, 600), (0, 1000)]


async def test_nothing_is_asked_for_nothing_is_given(place: Place) -> None:
    state = await place.open()
    assert list(await state.vault.lease(state.holder, [], AT)) == []
    assert list(await state.vault.draw([], AT)) == []
    await state.vault.settle(state.holder, [], AT)
    await state.vault.give_back(state.holder, [], AT)
    assert list(await state.vault.balances(AT)) == []


async def test_95_percent_of_a_budget_can_be_used_before_the_first_refusal(place: Place) -> None:
    """Four replicas that lease ahead, one of which never spends what it has."""
    states = [await place.open() for _ in range(4)]
    idle = await leased(states[0], DAY, 1, 20_000)
    spent = 0
    while amount := await leased(states[1 + spent % 3], DAY, 1_000, 20_000):
        spent += amount
        await states[1].vault.settle(states[1].holder, [], AT)
    assert spent + idle >= 950_000


async def test_what_is_given_back_can_be_leased_again(place: Place) -> None:
    state = await place.open()
    assert await leased(state, TOTAL, 1_000, 1_000) == 1_000
    await state.vault.give_back(state.holder, [(TOTAL, 400)], AT)
    assert await standing(state, TOTAL) == (0, 600)
    assert await leased(state, TOTAL, 400, 400) == 400


async def test_no_more_is_taken_back_than_was_leased(place: Place) -> None:
    state = await place.open()
    await leased(state, TOTAL, 100, 100)
    await state.vault.give_back(state.holder, [(TOTAL, 5_000)], AT)
    assert await standing(state, TOTAL) == (0, 0)
    assert await leased(state, TOTAL, 1_001, 5_000) == 0


async def test_a_limit_that_was_lowered_below_what_is_spent_gives_nothing(place: Place) -> None:
    state = await place.open()
    await leased(state, TOTAL, 500, 500)
    lower = Account(TOTAL.key, 300, "total")
    assert await leased(state, lower, 1, 1) == 0
    (balance,) = await state.vault.balances(AT)
    assert balance == Balance(lower, 0, 500)


# -- settling ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("account", EVERY, ids=lambda account: account.window)
async def test_what_is_settled_is_spent_and_no_longer_leased(place: Place, account: Account) -> None:
    state = await place.open()
    await leased(state, account, 100, 100)
    await state.vault.settle(state.holder, [Entry(account, "c-1", 60)], AT)
    assert await standing(state, account) == (60, 40)


async def test_a_call_is_settled_once_in_each_account(place: Place) -> None:
    state = await place.open()
    for account in (DAY, TOTAL):
        await leased(state, account, 100, 100)
    entries = [Entry(DAY, "c-1", 60), Entry(TOTAL, "c-1", 60), Entry(DAY, "c-1", 60)]
    for _ in range(3):
        await state.vault.settle(state.holder, entries, AT)
    assert await standing(state, DAY) == (60, 40)
    assert await standing(state, TOTAL) == (60, 40)


async def test_more_than_was_leased_can_be_settled(place: Place) -> None:
    state = await place.open()
    await leased(state, TOTAL, 100, 100)
    await state.vault.settle(state.holder, [Entry(TOTAL, "c-1", 5_000)], AT)
    assert await standing(state, TOTAL) == (5_000, 0)
    assert await leased(state, TOTAL, 1, 1) == 0


async def test_a_call_that_cost_nothing_is_settled_too(place: Place) -> None:
    state = await place.open()
    await state.vault.settle(state.holder, [Entry(TOTAL, "c-1", 0)], AT)
    await state.vault.settle(state.holder, [Entry(TOTAL, "c-1", 10)], AT)
    assert await standing(state, TOTAL) == (0, 0)


@pytest.mark.parametrize("place", ["sqlite", "redis"], indirect=True)
async def test_replicas_settle_out_of_their_own_leases(place: Place) -> None:
    one, other = await place.open(), await place.open()
    await leased(one, TOTAL, 300, 300)
    await leased(other, TOTAL, 200, 200)
    await one.vault.settle(one.holder, [Entry(TOTAL, "c-1", 400)], AT)
    assert await standing(other, TOTAL) == (400, 200)


# -- windows -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("account", "seconds"), [(HOUR, 3_600), (DAY, 86_400), (MONTH, 31 * 86_400)])
async def test_a_new_window_begins_with_all_of_the_limit(place: Place, account: Account, seconds: float) -> None:
    state = await place.open()
    await leased(state, account, 100, 100)
    await state.vault.settle(state.holder, [Entry(account, "c-1", account.limit)], AT)
    assert await leased(state, account, 1, 1) == 0
    assert await leased(state, account, account.limit, account.limit, AT + seconds) == account.limit
    assert await standing(state, account, AT + seconds) == (0, account.limit)


@pytest.mark.parametrize(
    ("account", "ends"),
    [(HOUR, 1_900_004_400.0), (DAY, 1_900_022_400.0), (MONTH, 1_901_232_000.0), (TOTAL, 0.0), (ROLLING, 0.0)],
    ids=lambda value: getattr(value, "window", ""),
)  # fmt: skip
async def test_a_lease_tells_when_its_window_ends(place: Place, account: Account, ends: float) -> None:
    state = await place.open()
    (lease,) = await state.vault.lease(state.holder, [Want(account, 1, 1)], AT)
    assert lease.ends == ends


async def test_what_is_settled_as_of_an_earlier_window_counts_there(place: Place) -> None:
    state = await place.open()
    await leased(state, HOUR, 100, 100)
    await leased(state, HOUR, 50, 50, AT + 3_600)
    await state.vault.settle(state.holder, [Entry(HOUR, "c-1", 100)], AT)
    assert await standing(state, HOUR, AT + 3_600) == (0, 50)


async def test_a_rolling_window_forgets_a_slot_when_all_of_it_is_out(place: Place) -> None:
    state = await place.open()
    start = AT - AT % 10  # slots of ten seconds
    await state.vault.settle(state.holder, [Entry(ROLLING, "c-1", 300)], start)
    await state.vault.settle(state.holder, [Entry(ROLLING, "c-2", 500)], start + 9.9)
    await state.vault.settle(state.holder, [Entry(ROLLING, "c-3", 100)], start + 10)
    assert (await standing(state, ROLLING, start + 609.9))[0] == 900
    assert (await standing(state, ROLLING, start + 610))[0] == 100
    assert (await standing(state, ROLLING, start + 619.9))[0] == 100
    assert await standing(state, ROLLING, start + 620) == (0, 0)


async def test_a_lease_of_a_rolling_window_tells_when_the_oldest_of_what_was_spent_leaves_it(place: Place) -> None:
    state = await place.open()
    start = AT - AT % 10

    async def frees(now: float) -> float:
        (lease,) = await state.vault.lease(state.holder, [Want(ROLLING, 1, 1)], now)
        assert lease.ends == 0
        return lease.frees

    assert await frees(start) == 0
    await state.vault.settle(state.holder, [Entry(ROLLING, "c-0", 0)], start)
    assert await frees(start) == 0, "nothing was spent"
    await state.vault.settle(state.holder, [Entry(ROLLING, "c-1", 300)], start + 10)
    await state.vault.settle(state.holder, [Entry(ROLLING, "c-2", 100)], start + 345)
    assert await frees(start + 345) == start + 620
    assert await frees(start + 619) == start + 620
    assert await frees(start + 620) == start + 950
    assert await frees(start + 950) == 0
    (other,) = await state.vault.lease(state.holder, [Want(DAY, 1, 1)], start)
    assert other.frees == 0


async def test_what_is_leased_of_a_rolling_window_stays_leased(place: Place) -> None:
    state = await place.open()
    await leased(state, ROLLING, 1_000, 1_000)
    assert await leased(state, ROLLING, 1, 1, AT + 6_000) == 0


# -- holders -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("account", EVERY, ids=lambda account: account.window)
async def test_what_a_dead_holder_had_leased_is_spent(place: Place, account: Account) -> None:
    state = await place.open()
    await leased(state, account, 100, 100)
    await state.vault.lease("dead", [Want(account, 70, 70)], AT)
    await state.vault.settle("dead", [Entry(account, "c-1", 30)], AT)
    for _ in range(2):
        await state.vault.forfeit("dead", AT)
    assert await standing(state, account) == (70, 100)


async def test_what_was_forfeited_of_a_rolling_window_is_forgotten_like_what_was_spent(place: Place) -> None:
    state = await place.open()
    await state.vault.lease("dead", [Want(ROLLING, 70, 70)], AT)
    await state.vault.forfeit("dead", AT + 100)
    assert await standing(state, ROLLING, AT + 600) == (70, 0)
    assert await standing(state, ROLLING, AT + 1_300) == (0, 0)


# -- many at once ------------------------------------------------------------------------------------------------


async def test_replicas_that_ask_at_once_never_lease_more_than_the_limit(place: Place) -> None:
    account = Account(("budget/shared", "calls"), 500, "total")
    states = [await place.open() for _ in range(3)]
    amounts = await asyncio.gather(*[leased(states[each % 3], account, 1 + each % 3, 10) for each in range(300)])
    amounts += [await leased(states[0], account, 1, 10) for _ in range(60)]
    assert sum(amounts) == (await standing(states[0], account))[1]
    assert 498 <= sum(amounts) <= 500


async def test_very_many_at_once_are_written_down_and_leased(place: Place) -> None:
    """As after a time in which the store was away."""
    state = await place.open()
    accounts = [Account(("budget", "calls", f"agent-{number}"), 1_000, "day") for number in range(450)]
    leases = await state.vault.lease(state.holder, [Want(account, 10, 10) for account in accounts], AT)
    assert [lease.granted for lease in leases] == [10] * 450
    await state.vault.settle(state.holder, [Entry(account, "c-1", 7) for account in accounts], AT)
    await state.vault.give_back(state.holder, [(account, 3) for account in accounts], AT)
    assert [(each.spent, each.leased) for each in await state.vault.balances(AT)] == [(7, 0)] * 450


# -- buckets -----------------------------------------------------------------------------------------------------


SLOW = 1e-6
"""Tokens a second: none, as far as a test can see."""


async def test_replicas_draw_from_the_same_bucket(place: Place) -> None:
    one, other = await place.open(), await place.open()
    want = Draw(("limit/a", "agent"), 10.0, SLOW, 1.0, 4.0)
    drawn = [(await state.vault.draw([want], AT))[0].tokens for state in (one, other, one, other)]
    assert drawn == pytest.approx([4.0, 4.0, 2.0, 0.0], abs=1e-4)


async def test_a_bucket_says_when_there_will_be_enough(place: Place) -> None:
    state = await place.open()
    want = Draw(("limit/b",), 10.0, 0.001, 10.0, 10.0)
    assert (await state.vault.draw([want], AT))[0].tokens == 10.0
    (refused,) = await state.vault.draw([Draw(("limit/b",), 10.0, 0.001, 3.0, 5.0)], AT)
    assert refused.tokens == 0.0
    assert 2_900 < refused.retry_after <= 3_000


async def test_tokens_that_were_not_used_are_put_back_up_to_the_brim(place: Place) -> None:
    state = await place.open()
    key = ("limit/c",)
    await state.vault.draw([Draw(key, 10.0, SLOW, 5.0, 5.0)], AT)
    await state.vault.draw([Draw(key, 10.0, SLOW, 0.0, -3.0)], AT)
    assert (await state.vault.draw([Draw(key, 10.0, SLOW, 8.0, 8.0)], AT))[0].tokens == pytest.approx(8.0)
    await state.vault.draw([Draw(key, 10.0, SLOW, 0.0, -100.0)], AT)
    assert (await state.vault.draw([Draw(key, 10.0, SLOW, 1.0, 50.0)], AT))[0].tokens == pytest.approx(10.0)
