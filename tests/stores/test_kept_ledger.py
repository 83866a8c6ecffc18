"""The ledger over keepers of which some must fetch first: what it waits for, how often, and what is taken meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from gateway.model import Answered, BudgetClaim, BudgetSettings, Hold, Outcome, RateClaim, SlotClaim
from gateway.stores.budgets import Budgets
from gateway.stores.keeper import Keeper
from gateway.stores.ledger import ROUNDS, KeptLedger
from gateway.stores.places import Places
from tests.builders import circuit, rate, slot

OK = Outcome(200, upstream=200)


class Leases(Keeper[RateClaim]):
    """Grants what it has; each fetch brings ``lease`` more, of which others use up ``lost`` meanwhile."""

    fetches = True

    def __init__(self, have: int = 0, lease: int = 1, lost: int = 0) -> None:
        self.have, self.lease, self.lost = have, lease, lost
        self.fetched = 0
        self.gate: asyncio.Event | None = None
        self.looked_at: list[float] = []

    def look(self, claim: RateClaim, now: float) -> Hold:
        self.looked_at.append(now)
        return Hold(claim, self.have > 0, self.have)

    def take(self, claim: RateClaim, hold: Hold, now: float) -> Hold:
        self.have -= 1
        return hold

    def missing(self, claim: RateClaim, now: float) -> Awaitable[None] | None:
        return None if self.have else self._fetch()

    async def _fetch(self) -> None:
        self.fetched += 1
        if self.gate is not None:
            await self.gate.wait()
        else:
            await asyncio.sleep(0)
        self.have += self.lease - self.lost


def over(leases: Leases, clock=lambda: 99.0) -> tuple[KeptLedger, Places]:
    places = Places()
    return KeptLedger({RateClaim: leases, SlotClaim: places}, clock), places


def test_what_is_here_already_is_answered_at_once():
    ledger, _ = over(Leases(have=1))
    holds = ledger.reserve((rate(), slot()), 10.0)
    assert isinstance(holds, tuple)
    assert [hold.granted for hold in holds] == [True, True]


async def test_what_is_missing_is_fetched_and_then_all_is_taken_at_once_by_the_time_it_is_then():
    leases = Leases()
    ledger, places = over(leases)
    later = ledger.reserve((rate(), slot()), 10.0)
    assert not isinstance(later, tuple)
    assert len(places) == 0, "nothing is taken while it waits"
    holds = await later
    assert [hold.granted for hold in holds] == [True, True]
    assert (leases.fetched, leases.have, len(places)) == (1, 0, 1)
    assert leases.looked_at == [99.0]


async def test_claims_of_kinds_that_never_fetch_are_answered_at_once():
    ledger, _ = over(Leases())
    assert isinstance(ledger.reserve((slot(),), 10.0), tuple)


async def test_nothing_is_taken_of_what_was_fetched_where_another_claim_refuses():
    leases = Leases()
    ledger, places = over(leases)
    ledger.reserve((slot(1),), 10.0)
    holds = await _later(ledger, rate(), slot(1))
    assert [hold.granted for hold in holds] == [True, False]
    assert (leases.have, len(places)) == (1, 1)


async def test_a_place_that_is_taken_by_another_call_meanwhile_is_refused_and_not_taken_twice():
    leases = Leases()
    leases.gate = asyncio.Event()
    ledger, _ = over(leases)
    waiting = asyncio.ensure_future(ledger.reserve((rate(), slot(1)), 10.0))
    await asyncio.sleep(0)
    ledger.reserve((slot(1),), 10.0)
    leases.gate.set()
    assert [hold.granted for hold in await waiting] == [True, False]
    assert leases.have == 1


async def test_a_lease_that_others_use_up_is_fetched_again_a_bounded_number_of_times():
    leases = Leases(lost=1)
    ledger, places = over(leases)
    holds = await _later(ledger, rate(), slot())
    assert [hold.granted for hold in holds] == [False, True]
    assert leases.fetched == ROUNDS
    assert len(places) == 0


async def test_calls_that_wait_for_the_same_lease_get_no_more_than_there_is():
    leases = Leases(lease=2)
    leases.gate = asyncio.Event()
    ledger, _ = over(leases)
    waiting = [asyncio.ensure_future(ledger.reserve((rate(),), 10.0)) for _ in range(2)]
    await asyncio.sleep(0)
    leases.gate.set()
    answers = await asyncio.gather(*waiting)
    assert all(hold.granted for (hold,) in answers)
    assert leases.have == leases.fetched * leases.lease - 2


async def test_one_that_is_cancelled_while_it_fetches_takes_nothing():
    leases = Leases()
    leases.gate = asyncio.Event()
    ledger, places = over(leases)
    waiting = asyncio.ensure_future(ledger.reserve((rate(), slot()), 10.0))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(places) == 0


async def test_a_store_that_fails_while_it_is_waited_for_fails_the_reservation_and_takes_nothing():
    class Down(Leases):
        async def _fetch(self) -> None:
            raise ConnectionError("refused")

    ledger, places = over(Down())
    with pytest.raises(ConnectionError):
        await _later(ledger, rate(), slot())
    assert len(places) == 0


async def _later(ledger: KeptLedger, *claims) -> tuple[Hold, ...]:
    later = ledger.reserve(claims, 10.0)
    assert not isinstance(later, tuple)
    return await later


def test_a_kind_of_claim_that_nobody_keeps_is_a_mistake_and_takes_nothing():
    ledger, places = over(Leases(have=1))
    with pytest.raises(TypeError, match="CircuitClaim"):
        ledger.reserve((slot(), circuit()), 10.0)
    assert len(places) == 0


def test_releasing_gives_places_back_and_tells_nobody_how_a_call_ended():
    ledger, places = over(Leases(have=1))
    holds = ledger.reserve((rate(), slot()), 10.0)
    ledger.answered(holds, Answered(500, 0.1), 10.0)
    ledger.release(holds, 11.0)
    assert len(places) == 0
    ledger.settle(ledger.reserve((slot(),), 12.0), OK, 13.0)
    assert len(places) == 0


class Broken(Keeper[SlotClaim]):
    """Grants anything, and breaks where it should take it, or give it back."""

    ends = True

    def __init__(self, at: str) -> None:
        self.at = at

    def look(self, claim: SlotClaim, now: float) -> Hold:
        return Hold(claim, True)

    def take(self, claim: SlotClaim, hold: Hold, now: float) -> Hold:
        return self._break("take", hold)

    def settle(self, hold: Hold, outcome: Outcome, now: float) -> None:
        self._break("settle", hold)

    def release(self, hold: Hold, now: float) -> None:
        self._break("release", hold)

    def _break(self, at: str, hold: Hold) -> Hold:
        if at == self.at:
            raise ZeroDivisionError(at)
        return hold


def broken(at: str) -> tuple[KeptLedger, Budgets]:
    budgets = Budgets(lambda: 1_000_000.0)
    return KeptLedger({BudgetClaim: budgets, SlotClaim: Broken(at)}, lambda: 99.0), budgets


def calls(name: str) -> BudgetClaim:
    return BudgetClaim(name, (name, "calls"), "call-7", 1, BudgetSettings(10, unit="calls"))


@pytest.mark.parametrize("end", ["settle", "release"])
def test_a_keeper_that_breaks_at_the_end_of_a_call_keeps_no_other_from_hearing_of_it(end):
    ledger, budgets = broken(end)
    holds = ledger.reserve((calls("before"), slot(), calls("after")), 10.0)
    with pytest.raises(ZeroDivisionError):
        ledger.settle(holds, OK, 11.0) if end == "settle" else ledger.release(holds, 11.0)
    assert [account.reserved for account in budgets.accounts] == [0, 0]


def test_what_was_taken_before_a_keeper_breaks_is_given_back():
    ledger, budgets = broken("take")
    with pytest.raises(ZeroDivisionError):
        ledger.reserve((calls("before"), slot(), calls("after")), 10.0)
    assert [account.reserved for account in budgets.accounts] == [0, 0]
