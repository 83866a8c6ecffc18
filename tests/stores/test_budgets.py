"""Budgets in memory: never more than the limit is reserved and spent together, and each call counts once."""

from __future__ import annotations

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec import structs

from gateway.cost.charges import charge
from gateway.model import BudgetClaim, BudgetSettings, Findings, Hold, Outcome, Usage
from gateway.stores import accounts
from gateway.stores.budgets import Budgets, sufficient
from gateway.stores.memory import MemoryLedger

HOUR = 3600.0


def claim(amount: int = 10, call: str = "c", key: str = "a", least: int = 0, **settings: object) -> BudgetClaim:
    made = BudgetSettings(**{"limit": 100, "window": "hour", **settings})  # type: ignore[arg-type]
    return BudgetClaim("daily", ("daily", made.unit, key), call, amount, made, least)


def cost(usd: float | None, status: int = 200, **rest: object) -> Outcome:
    return Outcome(status, status, cost_usd=usd, **rest)  # type: ignore[arg-type]


class Till:
    """A ledger with a wall clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.ledger = MemoryLedger(lambda: self.now, lambda: self.now)

    def reserve(self, *claims: BudgetClaim) -> tuple[Hold, ...]:
        held = self.ledger.reserve(claims, self.now)
        assert isinstance(held, tuple), "budgets in memory answer at once"
        return held

    def settle(self, hold: Hold, usd: float) -> None:
        self.ledger.settle((hold,), cost(usd), self.now)

    def left(self, **settings: object) -> float:
        return self.ledger.look((claim(0, "look", **settings),), self.now)[0].left  # type: ignore[arg-type]


@pytest.fixture
def till() -> Till:
    return Till()


def test_what_is_reserved_is_gone_until_the_call_ends_and_then_only_what_it_cost(till):
    (hold,) = till.reserve(claim(60))
    assert (hold.granted, hold.left) == (True, 40)
    assert not till.reserve(claim(41, "d"))[0].granted
    till.settle(hold, 0.00001)
    assert till.left() == 90


def test_what_was_never_made_costs_nothing(till):
    (hold,) = till.reserve(claim(60))
    till.ledger.release((hold,), till.now)
    assert till.left() == 100


def test_to_settle_twice_or_to_settle_and_release_is_to_settle_once(till):
    (hold,) = till.reserve(claim(60))
    till.settle(hold, 0.00002)
    till.settle(hold, 0.00002)
    till.ledger.release((hold,), till.now)
    assert till.left() == 80


def test_a_call_that_costs_more_than_was_reserved_is_charged_all_of_it(till):
    (hold,) = till.reserve(claim(60))
    till.settle(hold, 0.00015)
    assert till.left() == -50
    assert not till.reserve(claim(1, "d"))[0].granted


def test_absurd_counts_and_prices_come_to_what_a_store_can_write():
    tokens = claim(unit="tokens", limit=1000)
    lies = Outcome(200, 200, found=Findings(usage=Usage("m", 2**63, 2**63)))
    assert 1000 < charge(tokens, lies) < 2**53
    assert 1000 < charge(claim(limit=1000), cost(1e298)) < 2**53
    asked_for_absurdly_much = structs.replace(tokens, amount=10**300)
    assert charge(asked_for_absurdly_much, Outcome(200, 200)) < 2**53


def test_a_chain_of_budgets_is_reserved_as_a_whole_or_not_at_all(till):
    team = structs.replace(claim(60), key=("team", "usd"), guard="team")
    till.reserve(structs.replace(team, call="before"))
    holds = till.reserve(claim(60), team)
    assert [hold.granted for hold in holds] == [True, False]
    assert till.left() == 100


def test_keys_and_units_have_accounts_of_their_own(till):
    till.reserve(claim(100))
    assert till.reserve(claim(100, key="b"))[0].granted
    assert till.reserve(claim(100, unit="tokens"))[0].granted


def test_a_window_that_ends_forgets_what_was_spent_but_not_what_calls_under_way_have_reserved(till):
    (spent,) = till.reserve(claim(60))
    till.settle(spent, 0.00006)
    till.reserve(claim(30, "under way"))
    till.now += HOUR
    assert till.left() == 70


def test_a_call_counts_in_the_window_in_which_it_ends(till):
    (hold,) = till.reserve(claim(60))
    till.now += HOUR
    till.settle(hold, 0.00006)
    assert till.left() == 40


def test_a_refusal_says_when_the_window_ends(till):
    till.now = HOUR * 300 - 30
    hold = till.reserve(claim(101))[0]
    assert (hold.retry_after, hold.detail) == (30.0, "1970-01-13T12:00:00Z")
    assert till.reserve(claim(101, window="total"))[0].retry_after == 0


def test_from_the_level_of_warning_on_holds_say_so(till):
    assert till.reserve(claim(79, warn=80))[0].state == ""
    assert till.reserve(claim(1, "d", warn=80))[0].state == "warn"
    assert till.reserve(claim(1, "e", warn=0))[0].state == ""


def test_a_soft_budget_refuses_nothing(till):
    till.reserve(claim(100, hard=False, warn=80))
    hold = till.reserve(claim(50, "d", hard=False, warn=80))[0]
    assert (hold.granted, hold.state, hold.left) == (True, "warn", -50)


def test_where_less_is_left_than_is_wanted_half_of_it_is_granted_but_never_less_than_is_of_use(till):
    till.reserve(claim(40, "d"))
    till.settle(till.reserve(claim(20, "e"))[0], 0.00002)  # 80 can be spent, 40 of it reserved
    (hold,) = till.reserve(claim(90, "f", least=5))
    assert (hold.granted, hold.claim.amount, hold.state, hold.left) == (True, 40, "short", 0)
    assert not till.reserve(claim(90, "g", least=5))[0].granted


def test_the_limit_of_the_policies_in_force_counts(till):
    till.settle(till.reserve(claim(60))[0], 0.00006)
    assert till.left(limit=200) == 140
    assert not till.reserve(claim(1, limit=50))[0].granted


def test_an_agents_many_runs_do_not_fill_the_memory_nor_push_out_what_is_reserved(till, monkeypatch):
    budgets = till.ledger.budgets
    budgets.accounts = accounts.Accounts(lambda: till.now, most=10)
    (kept,) = till.reserve(claim(60, "kept", key="first"))
    for number in range(100):
        till.settle(till.reserve(claim(1, f"c{number}", key=f"run-{number}"))[0], 0.000001)
    assert len(budgets.accounts) <= 11
    till.settle(kept, 0.00006)
    assert till.left(key="first") == 40


def spend(till, amount, key, **settings):
    """A call that costs so much, if it is let through."""
    (hold,) = till.reserve(claim(amount, key, key=key, **settings))
    if hold.granted:
        till.settle(hold, amount / 1e6)
    return hold.granted


def small(till, most=10):
    till.ledger.budgets.accounts = accounts.Accounts(lambda: till.now, most)
    return till.ledger.budgets.accounts


@pytest.mark.parametrize("window", [{"window": "day"}, {"window": "rolling", "seconds": 600.0}, {"window": "total"}])
@pytest.mark.parametrize("spent", [100, 30])
def test_what_a_key_has_spent_is_not_forgotten_for_keys_that_spend_less(till, spent, window):
    kept = small(till)
    assert spend(till, spent, "delete", **window)
    for number in range(500):
        spend(till, spent // 3, f"made-up-{number}", **window)
    assert not spend(till, 101 - spent, "delete", **window)
    assert len(kept) == 10


def test_keys_that_have_spent_nothing_are_forgotten_first(till):
    small(till)
    for number in range(9):
        spend(till, 1, f"kept-{number}")
    for number in range(100):
        till.ledger.release(till.reserve(claim(1, f"c{number}", key=f"made-up-{number}")), till.now)
    assert all(
        till.ledger.look((claim(0, "look", key=f"kept-{number}"),), till.now)[0].left == 99 for number in range(9)
    )


def test_what_was_spent_in_windows_that_have_ended_protects_nothing(till):
    kept = small(till)
    for number in range(10):
        spend(till, 100, f"old-{number}")
    till.now += HOUR
    for number in range(10):
        spend(till, 1, f"new-{number}")
    assert {account.key[2] for account in kept} == {f"new-{number}" for number in range(10)}


def test_accounts_that_calls_under_way_have_reserved_of_are_kept_and_go_when_they_have_ended(till):
    kept = small(till)
    holds = [till.reserve(claim(1, f"c{number}", key=f"run-{number}")) for number in range(200)]
    assert len(kept) == 200
    for each in holds:
        till.ledger.release(each, till.now)
    for number in range(10):
        spend(till, 1, f"new-{number}")
    assert len(kept) == 10


@pytest.mark.parametrize(
    ("unit", "outcome", "expected"),
    [
        ("usd", cost(0.1 + 0.2), 300_000),
        ("usd", cost(0.0000001), 1),
        ("usd", cost(None, found=Findings(usage=Usage("m", 5, 5))), 60),
        ("usd", cost(None, 429), 0),
        ("usd", cost(0.02, 500), 20_000),
        ("usd", cost(0.00001, found=Findings(usage=Usage("m", 5, 5, estimated=True))), 60),
        ("usd", cost(0.0001, found=Findings(usage=Usage("m", 5, 5, estimated=True))), 100),
        ("usd", Outcome(499, fault="agent"), 60),
        ("usd", Outcome(504, fault="tool"), 60),
        ("usd", Outcome(502, fault="tool"), 60),
        ("usd", Outcome(502, fault="tool", unsent=True), 0),
        ("tokens", cost(0.1, found=Findings(usage=Usage("m", 5, 7))), 12),
        ("tokens", cost(None, 400), 0),
        ("tokens", cost(None), 60),
        ("calls", cost(None, 500), 60),
        ("calls", Outcome(502, fault="tool", unsent=True), 0),
    ],
)
def test_what_a_call_comes_to(unit: str, outcome: Outcome, expected: int) -> None:
    assert charge(claim(60, unit=unit), outcome) == expected


class Spending(RuleBasedStateMachine):
    """Against a model that knows only sums: two budgets in a chain, several keys, a clock that goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.till = Till()
        self.spent: dict[str, int] = {}
        self.under_way: list[tuple[Hold, ...]] = []
        self.number = 0
        self.hour = self.till.now // HOUR

    def reserved(self, key: str) -> int:
        return sum(hold.claim.amount for holds in self.under_way for hold in holds if hold.claim.key[2] == key)

    @rule(key=st.sampled_from("ab"), amount=st.integers(1, 70), least=st.sampled_from([0, 1, 20]))
    def reserve(self, key: str, amount: int, least: int) -> None:
        self.number += 1
        call = f"c{self.number}"
        own = claim(amount, call, key, min(least, amount - 1))
        holds = self.till.reserve(own, claim(amount, call, "all", own.least, limit=150))
        fits = []
        for hold, limit in zip(holds, (100, 150), strict=True):
            name = hold.claim.key[2]
            spendable = limit - self.spent.get(name, 0)
            room = spendable - self.reserved(name)
            fits.append(amount <= room or sufficient(own, spendable) <= room)
        assert [hold.granted for hold in holds] == fits
        if all(fits):
            self.under_way.append(holds)

    @rule(data=st.data(), usd=st.integers(0, 70), again=st.booleans())
    def settle(self, data: st.DataObject, usd: int, again: bool) -> None:
        if self.under_way:
            holds = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
            usd = min(usd, *[hold.claim.amount for hold in holds])
            for _ in range(1 + again):
                self.till.ledger.settle(holds, cost(usd / 1e6), self.till.now)
            for hold in holds:
                self.spent[hold.claim.key[2]] = self.spent.get(hold.claim.key[2], 0) + usd

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        if self.under_way:
            holds = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
            self.till.ledger.release(holds, self.till.now)

    @rule(seconds=st.sampled_from([1.0, 1000.0, 3600.0]))
    def pass_time(self, seconds: float) -> None:
        self.till.now += seconds
        if self.till.now // HOUR != self.hour:
            self.hour, self.spent = self.till.now // HOUR, {}

    @invariant()
    def never_more_than_the_limit(self) -> None:
        for key, limit in (("a", 100), ("b", 100), ("all", 150)):
            spent, reserved = self.spent.get(key, 0), self.reserved(key)
            assert spent + reserved <= limit
            assert self.till.left(key=key, limit=limit) == limit - spent - reserved


Spending.TestCase.settings = hypothesis_settings(max_examples=60, stateful_step_count=40, deadline=None)
TestSpending = Spending.TestCase


def test_budgets_are_listed_with_what_is_spent_and_reserved():
    budgets = Budgets(lambda: 1000.0)
    hold = budgets.take(claim(60), budgets.look(claim(60), 0.0), 0.0)
    budgets.settle(hold, cost(0.00002), 0.0)
    budgets.take(claim(30, "d"), budgets.look(claim(30, "d"), 0.0), 0.0)
    budgets.look(claim(1, key="untouched"), 0.0)
    (standing,) = budgets.standings()
    assert (standing.budget, standing.unit, standing.key, standing.window) == ("daily", "usd", ("a",), "hour")
    assert (standing.limit, standing.spent, standing.reserved, standing.left, standing.ends) == (
        100,
        20,
        30,
        50,
        3600.0,
    )
