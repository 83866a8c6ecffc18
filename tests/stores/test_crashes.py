"""Stores and real processes: several at once, and such as are killed in the middle of their work."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import pytest

from gateway.model import Account, Want
from gateway.stores import redis_state
from tests.stores import spender
from tests.stores.opening import AT, Place

ACCOUNT = Account(("budget", "usd"), 10_000_000, "total")
POINTS = 30
"""Moments at which a process is killed, for each store."""

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["tests.stores.spender", "gateway.stores.redis_state"])
DURABLE = pytest.mark.parametrize("place", ["sqlite", "redis"], indirect=True)
SQLITE = pytest.mark.parametrize("place", ["sqlite"], indirect=True)
REDIS = pytest.mark.parametrize("place", ["redis"], indirect=True)


class Child:
    """A process that runs one of the programs."""

    def __init__(self, program: Callable[..., None], *args: Any) -> None:
        self.pipe, theirs = processes.Pipe()
        self.process = processes.Process(target=program, args=(*args, theirs), daemon=True)
        self.process.start()
        theirs.close()

    def hear(self) -> Any:
        assert self.pipe.poll(30), "the process says nothing"
        return self.pipe.recv()

    def kill(self) -> list[Any]:
        """With SIGKILL; what it had still said."""
        self.process.kill()
        self.process.join()
        rest = []
        try:
            while self.pipe.poll(0):
                rest.append(self.pipe.recv())
        except EOFError:
            pass
        return rest


def killed(url: str, lines: int) -> tuple[str, list[tuple[str, int]]]:
    """Run a spender and kill it after so many lines: its name, and what it said."""
    child = Child(spender.spend, url, ACCOUNT)
    _, holder = child.hear()
    said = [child.hear() for _ in range(lines)]
    return holder, said + child.kill()


@DURABLE
async def test_what_a_killed_process_was_granted_is_accounted_for(place: Place) -> None:
    """Settled or forfeited, to the unit: only the last step, of which it could not tell, may be either way."""
    chance = random.Random(7)
    spent = 0
    for _ in range(POINTS):
        holder, said = await asyncio.to_thread(killed, place.url, chance.randint(1, 25))
        state = await place.open(time.time)
        await state.vault.forfeit(holder, time.time())
        (balance,) = await state.vault.balances(time.time())
        await place.close()
        added, spent = balance.spent - spent, balance.spent
        sums = {
            what: sum(amount for each, amount in said if each == what) for what in ("granted", "settled", "returning")
        }
        assert balance.leased == 0
        assert sums["granted"] - sums["returning"] <= added, "money was forgotten"
        assert added <= sums["granted"] + 50, "more than was granted, and one grant that was not heard of"
        if said[-1][0] != "returning":
            assert added >= sums["settled"]


@SQLITE
async def test_the_lines_of_the_ledger_add_up_after_crashes(place: Place) -> None:
    for lines in (5, 11, 17):
        await asyncio.to_thread(killed, place.url, lines)
    state = await place.open(time.time)  # forfeits what the dead had leased
    (balance,) = await state.vault.balances(time.time())
    await place.close()
    with sqlite3.connect(place.folder / "state.db") as file:
        lines = file.execute("SELECT what, COUNT(*), SUM(spent) FROM ledger GROUP BY what").fetchall()
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    file.close()
    told = {what: total for what, _, total in lines}
    assert balance.spent == told["settled"] + told.get("forfeited", 0)
    assert balance.leased == 0


@DURABLE
@pytest.mark.parametrize("wish", [1, 100])
async def test_processes_that_lease_at_once_never_have_more_than_the_limit(place: Place, wish: int) -> None:
    account = Account(("budget", "calls"), 300, "total")
    state = await place.open(time.time)

    def race() -> list[tuple[int, int]]:
        children = [Child(spender.drain, place.url, account, wish) for _ in range(2)]
        for child in children:
            assert child.hear() == "ready"
        for child in children:
            child.pipe.send("go")
        had = [child.hear() for child in children]
        for child in children:
            child.process.join(10)
        return had

    had = await asyncio.to_thread(race)
    assert sum(amount for amount, _ in had) == 300
    (balance,) = await state.vault.balances(time.time())
    assert (balance.spent, balance.leased) == (300, 0)


@SQLITE
async def test_a_file_that_is_opened_again_forfeits_what_dead_processes_had_leased(place: Place) -> None:
    living = await place.open(time.time)
    await living.vault.lease(living.holder, [Want(ACCOUNT, 70, 70)], time.time())
    _, said = await asyncio.to_thread(killed, place.url, 1)
    other = await place.open(time.time)
    (balance,) = await other.vault.balances(time.time())
    assert balance.leased == 70, "those of the living stay"
    assert balance.spent >= sum(amount for what, amount in said if what == "granted")


@REDIS
async def test_replicas_forfeit_what_one_of_them_had_leased_that_gives_no_sign_of_life(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_state, "DEAD_AFTER", 1.0)
    monkeypatch.setattr(redis_state, "GRACE", 0.0)
    silent, living = await place.open(), await place.open()
    for state in (silent, living):
        await state.vault.lease(state.holder, [Want(ACCOUNT, 70, 70)], AT)
    await silent.close()
    for _ in range(600):
        (balance,) = await living.vault.balances(AT)
        if balance.spent:
            break
        await asyncio.sleep(0.02)
    assert (balance.spent, balance.leased) == (70, 70)
    assert living.replicas == 1
