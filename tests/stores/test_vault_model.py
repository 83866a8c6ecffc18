"""Every vault against the one in memory: whatever is asked, the answers are the same."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Account, Entry, Want
from gateway.stores.memory_vault import MemoryVault
from tests.stores.opening import AT, Place, Wall

ACCOUNTS = [
    Account(("b", "usd", "agent"), 1_000, "day"),
    Account(("b", "usd", "agent}{"), 300, "hour"),
    Account(("b", "usd", "rolling"), 500, "rolling", 60.0),
    Account(("b", "usd", "\x00é"), 700, "total"),
]
HOLDERS = ["one", "other"]
_account, _holder = st.sampled_from(ACCOUNTS), st.sampled_from(HOLDERS)
_amount = st.integers(0, 400)
_want = st.builds(lambda account, least, more: Want(account, least, least + more), _account, _amount, _amount)
_entry = st.builds(Entry, _account, st.integers(0, 12).map("c-{}".format), _amount)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("lease"), _holder, st.lists(_want, max_size=4)),
        st.tuples(st.just("settle"), _holder, st.lists(_entry, max_size=4)),
        st.tuples(st.just("give_back"), _holder, st.lists(st.tuples(_account, _amount), max_size=3)),
        st.tuples(st.just("forfeit"), _holder, st.none()),
        st.tuples(st.just("wait"), st.sampled_from([0.4, 1.0, 7.0, 59.5, 61.0, 3_600.0, 90_000.0]), st.none()),
    ),
    max_size=25,
)
_NUMBERS = itertools.count()


async def answers(vault: Any, steps: list[Any]) -> list[Any]:
    """What a vault says to each step, and what stands after it."""
    now, told = AT, []
    for what, who, which in steps:
        if what == "wait":
            now += who
        elif what == "forfeit":
            await vault.forfeit(who, now)
        else:
            told.append(await getattr(vault, what)(who, which, now))
        balances = {each.account.key: each for each in await vault.balances(now)}
        for account in ACCOUNTS:
            told.append(balances.get(account.key))
    return [list(each) if isinstance(each, tuple | list) else each for each in told]


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_a_vault_answers_as_the_one_in_memory_does(
    kind: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue("redis_server") if kind == "redis" else None

    @settings(max_examples=60)
    @given(STEPS)
    def same(steps: list[Any]) -> None:
        async def both() -> None:
            folder = tmp_path_factory.mktemp("model") if kind == "sqlite" else Path()
            place = Place(kind, folder, lambda: server.url, f"m{next(_NUMBERS)}")
            state = await place.open()
            try:
                assert await answers(state.vault, steps) == await answers(MemoryVault(Wall()), steps)
            finally:
                await place.close()

        asyncio.run(both())

    same()


@given(STEPS)
def test_leases_never_take_an_account_beyond_its_limit(steps: list[Any]) -> None:
    """Only settling may: what is granted leaves spent and leased within the limit."""

    async def check() -> None:
        vault, now = MemoryVault(Wall()), AT
        for what, who, which in steps:
            if what == "wait":
                now += who
            elif what == "lease":
                for want, lease in zip(which, await vault.lease(who, which, now), strict=True):
                    assert lease.granted == 0 or want.least <= lease.granted <= max(want.least, want.wish)
                    assert lease.granted == 0 or lease.spent + lease.leased <= want.account.limit
            elif what != "forfeit":
                await getattr(vault, what)(who, which, now)

    asyncio.run(check())
