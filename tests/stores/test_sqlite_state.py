"""What only a file can get wrong."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from pathlib import Path

import pytest

from gateway.errors import ConfigError, StoreUnavailable
from gateway.model import Account, Entry, Want
from gateway.stores import sqlite_accounts
from gateway.stores.sqlite_state import SqliteState
from tests.stores.opening import AT, Wall

RUN = Account(("budget", "usd", "run-1"), 1_000, "total", 3_600.0)
DAY = Account(("budget", "usd", "agent"), 1_000, "day")


async def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        await SqliteState(str(path), time.time).start()
    return str(caught.value)


async def test_a_file_that_cannot_be_opened_is_said_with_the_fix(tmp_path: Path) -> None:
    told = await refused(tmp_path / "nowhere" / "state.db")
    assert "nowhere/state.db: No such file or directory" in told
    assert "in a folder that this user may write to" in told


async def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE notes (text)")
    other.close()
    assert "is a SQLite file of something else" in await refused(path)
    text = tmp_path / "text.db"
    text.write_text("not a database, but long enough to be taken for one" * 100)
    assert "file is not a database" in await refused(text)
    assert text.read_text().startswith("not a database")


async def test_a_file_of_another_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    state = SqliteState(str(path), time.time)
    await state.start()
    await state.close()
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version = 99")
    file.close()
    assert "has tables of version 99" in await refused(path)


async def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    state = SqliteState(str(tmp_path / "state.db"), time.time)
    await state.start()
    for name in os.listdir(tmp_path):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600, name
    await state.close()


async def test_what_stands_is_there_after_a_restart(tmp_path: Path) -> None:
    path = str(tmp_path / "state.db")
    state = SqliteState(path, Wall())
    await state.start()
    await state.vault.lease(state.holder, [Want(DAY, 100, 100)], AT)
    await state.vault.settle(state.holder, [Entry(DAY, "c-1", 60)], AT)
    await state.board.post("quarantine", "a", b"1")
    await state.close()
    again = SqliteState(path, Wall())
    await again.start()
    await again.vault.settle(again.holder, [Entry(DAY, "c-1", 60)], AT)
    (balance,) = await again.vault.balances(AT)
    assert (balance.spent, balance.leased) == (60, 40), "the process still lives, as far as can be seen"
    assert dict(again.board.entries("quarantine")) == {"a": b"1"}
    await again.close()


async def test_a_file_that_somebody_holds_is_unavailable_and_then_available_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.stores.sqlite_file.PATIENCE", 0.05)
    state = SqliteState(str(tmp_path / "state.db"), Wall())
    await state.start()
    holding = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    holding.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        await state.vault.lease(state.holder, [Want(DAY, 1, 1)], AT)
    assert state.status()["available"] is False
    holding.execute("ROLLBACK")
    holding.close()
    assert (await state.vault.lease(state.holder, [Want(DAY, 1, 1)], AT))[0].granted == 1
    assert state.status()["available"] is True
    await state.close()
    with pytest.raises(StoreUnavailable, match="not open"):
        await state.vault.balances(AT)


async def test_what_is_over_is_forgotten_and_what_counts_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, wall = str(tmp_path / "state.db"), Wall()
    total = Account(("budget", "usd", "agent"), 1_000, "total")
    state = SqliteState(path, wall)
    await state.start()
    for number, account in enumerate((RUN, DAY, total)):
        await state.vault.settle(state.holder, [Entry(account, f"c-{number}", 10)], wall.now)
    await state.close()

    async def rows(after: float) -> list[int]:
        wall.now = AT + after
        again = SqliteState(path, wall)
        await again.start()
        await again.close()
        with sqlite3.connect(path) as file:
            counted = [file.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in ("accounts", "ledger")]
        file.close()
        return counted

    assert await rows(3_599) == [3, 3]
    assert await rows(3_601) == [2, 2]
    assert await rows(86_400 + sqlite_accounts.KEEP + 1) == [1, 0]
    again = SqliteState(path, wall)
    await again.start()
    assert [(each.account, each.spent) for each in await again.vault.balances(wall.now)] == [(total, 10)]
    await again.close()


async def test_the_ledger_keeps_the_latest_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_accounts, "MOST_LINES", 10)
    path = str(tmp_path / "state.db")
    state = SqliteState(path, Wall())
    await state.start()
    await state.vault.settle(state.holder, [Entry(DAY, f"c-{number}", 1) for number in range(50)], AT)
    await state.close()
    state = SqliteState(path, Wall())
    await state.start()
    assert (await state.vault.balances(AT))[0].spent == 50
    await state.close()
    with sqlite3.connect(path) as file:
        assert [call for (call,) in file.execute("SELECT call FROM ledger")] == [f"c-{n}" for n in range(40, 50)]
    file.close()
