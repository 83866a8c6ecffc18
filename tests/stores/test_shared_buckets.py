"""Rate limits that replicas share, over the vault in memory, with a clock that is moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from msgspec import structs

from gateway.errors import StoreUnavailable
from gateway.model import Draw, Drawn, Hold, RateClaim
from gateway.stores.ledger import KeptLedger
from gateway.stores.memory_vault import MemoryVault
from gateway.stores.shared_buckets import SharedBuckets
from tests.builders import rate
from tests.stores.opening import Wall

NEVER = 1e-6
"""Tokens a second."""


class Counted(MemoryVault):
    """Counts round trips; can be away."""

    def __init__(self, wall: Wall) -> None:
        super().__init__(wall)
        self.draws: list[Sequence[Draw]] = []
        self.away = False

    async def draw(self, wants: Sequence[Draw], now: float) -> Sequence[Drawn]:
        self.draws.append(wants)
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailable("away")
        return await super().draw(wants, now)


class Replicas:
    """Several ledgers on one vault and one clock."""

    def __init__(self, count: int = 2) -> None:
        self.wall = Wall(1000.0)
        self.vault = Counted(self.wall)
        self.keepers = [SharedBuckets(self.vault, lambda: count, self.wall, self.wall) for _ in range(count)]
        self.ledgers = [KeptLedger({RateClaim: keeper}, self.wall) for keeper in self.keepers]

    async def ask(self, replica: int, *claims: RateClaim) -> tuple[Hold, ...]:
        holds = self.ledgers[replica].reserve(claims, self.wall.now)
        return holds if isinstance(holds, tuple) else await holds

    async def passes(self, replica: int, claim: RateClaim) -> bool:
        (hold,) = await self.ask(replica, claim)
        return hold.granted


async def test_replicas_let_through_together_what_the_limit_says() -> None:
    both = Replicas()
    passed = [await both.passes(each % 2, rate(50, NEVER)) for each in range(100)]
    assert passed == [True] * 50 + [False] * 50


async def test_calls_that_come_at_once_share_a_draw() -> None:
    both = Replicas()
    passed = await asyncio.gather(*[both.passes(0, rate(50, NEVER)) for _ in range(100)])
    assert sum(passed) == 50
    assert len(both.vault.draws) <= 3


async def test_a_high_rate_is_drawn_ahead_a_low_one_is_not() -> None:
    both = Replicas()
    for _ in range(100):
        assert await both.passes(0, rate(8_000, 1_000))
    assert len(both.vault.draws) == 1
    for _ in range(5):
        assert await both.passes(0, rate(50, 1, key="slow"))
    assert len(both.vault.draws) == 6


async def test_what_is_drawn_and_not_used_is_put_back() -> None:
    both = Replicas()
    claim = rate(800, 1_000)
    assert await both.passes(0, claim)  # holds 99 more
    both.wall.now += 1.0
    both.ledgers[0].look((), both.wall.now)
    await asyncio.sleep(0.01)
    assert [want.wish for want in both.vault.draws[-1]] == [-99.0]
    assert both.keepers[0].look(claim, both.wall.now).left == pytest.approx(0.0), "nothing is kept here"


async def test_a_refusal_says_when_to_come_again_and_what_is_refused_costs_no_round_trip_each() -> None:
    both = Replicas()
    claim = rate(2, 0.1)
    assert [await both.passes(0, claim) for _ in range(2)] == [True, True]
    (hold,) = await both.ask(0, claim)
    asked = len(both.vault.draws)
    assert not hold.granted
    assert hold.retry_after == pytest.approx(10.0, abs=0.01)
    assert hold.claim is claim
    for _ in range(20):
        assert not await both.passes(0, claim)
    assert len(both.vault.draws) == asked
    both.wall.now += 10.1
    assert await both.passes(0, claim)


async def test_what_others_put_back_is_found_within_a_second() -> None:
    both = Replicas()
    claim = rate(8, NEVER)
    await both.vault.draw([Draw(claim.key, 8.0, NEVER, 8.0, 8.0)], 0.0)
    assert not await both.passes(0, claim)
    await both.vault.draw([Draw(claim.key, 8.0, NEVER, 0.0, -8.0)], 0.0)
    assert not await both.passes(0, claim), "what was heard is believed for a second"
    both.wall.now += 1.0
    assert await both.passes(0, claim)


async def test_where_another_guard_refuses_the_token_is_used_by_the_next_call() -> None:
    both = Replicas()
    assert await both.passes(0, rate(1, NEVER, key="other"))
    two = (rate(5, NEVER), rate(1, NEVER, key="other"))
    for _ in range(20):
        assert [hold.granted for hold in await both.ask(0, *two)] == [True, False]
    assert sum([await both.passes(0, rate(5, NEVER)) for _ in range(10)]) == 5


async def test_while_the_store_is_away_each_replica_has_its_part() -> None:
    four = Replicas(4)
    four.vault.away = True
    claim = rate(40, NEVER)
    for replica in range(4):
        assert sum([await four.passes(replica, claim) for _ in range(20)]) == 10
    assert len(four.vault.draws) == 4, "a store that is away is not asked each time"
    assert await four.passes(0, rate(2, NEVER, key="small")), "the part of a small limit is one call"
    assert not await four.passes(0, rate(2, NEVER, key="small"))


async def test_when_the_store_is_back_it_counts_again() -> None:
    both = Replicas()
    both.vault.away = True
    assert await both.passes(0, rate(4, NEVER))
    both.vault.away = False
    both.wall.now += 0.6
    assert sum([await both.passes(each % 2, rate(4, NEVER)) for each in range(10)]) == 4


async def test_a_call_that_gives_up_does_not_take_the_draw_of_others_along() -> None:
    both = Replicas()
    one = asyncio.ensure_future(both.ask(0, rate(5, NEVER)))
    other = asyncio.ensure_future(both.ask(0, rate(5, NEVER)))
    await asyncio.sleep(0)
    one.cancel()
    (hold,) = await other
    assert hold.granted


async def test_buckets_that_agents_invent_do_not_fill_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.stores.shared_buckets._MOST", 100)
    both = Replicas()
    for each in range(300):
        assert await both.passes(0, rate(5, 1, key=f"run-{each}"))
    assert len(both.keepers[0]) == 100


async def test_more_than_one_token_at_once_is_had_or_refused_whole() -> None:
    """A batch of calls is one claim."""
    both = Replicas()

    def several(calls: int) -> RateClaim:
        return structs.replace(rate(10, NEVER), cost=float(calls))

    assert await both.passes(0, several(7))
    assert not await both.passes(1, several(4))
    assert await both.passes(1, several(3))
