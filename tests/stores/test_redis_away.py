"""Redis that goes away, says nothing, comes back, or comes back without what it knew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gateway.errors import StoreUnavailable
from gateway.model import Account, Draw, Entry, Want
from gateway.model.state_url import read_state_url
from gateway.stores import redis_link, redis_state
from gateway.stores.state import open_state
from tests.stores.opening import AT, Wall
from tests.stores.redis_server import RedisServer

ACCOUNT = Account(("budget", "usd"), 1_000, "total")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """One that keeps what it knows on disk."""
    server = RedisServer(tmp_path)
    yield server
    server.stop()


@pytest_asyncio.fixture
async def replicas(server: RedisServer) -> AsyncIterator[list[Any]]:
    opened: list[Any] = [open_state(read_state_url(server.url), Wall()) for _ in range(2)]
    for state in opened:
        await state.start()
    yield opened
    for state in opened:
        await state.close()


async def until(true: Callable[[], bool]) -> None:
    for _ in range(1500):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to be so")


def everything(state: Any) -> list[Any]:
    """One of each thing that can be asked."""
    return [
        state.vault.lease(state.holder, [Want(ACCOUNT, 1, 1)], AT),
        state.vault.settle(state.holder, [Entry(ACCOUNT, "c", 1)], AT),
        state.vault.give_back(state.holder, [(ACCOUNT, 1)], AT),
        state.vault.balances(AT),
        state.vault.draw([Draw(("limit",), 1.0, 1.0, 1.0, 1.0)], AT),
        state.board.post("quarantine", "b", b"1"),
        state.board.remove("quarantine", "a"),
        state.board.seize("probe", 1.0),
    ]


async def test_all_that_is_asked_of_a_redis_that_has_gone_fails_and_what_was_known_stays(
    server: RedisServer, replicas: list[Any]
) -> None:
    one, _ = replicas
    await one.board.post("quarantine", "a", b"1")
    server.stop()
    for asked in everything(one):
        with pytest.raises(StoreUnavailable):
            await asked
    assert dict(one.board.entries("quarantine")) == {"a": b"1"}
    status = one.status()
    assert status["available"] is False
    assert status["error"]


async def test_a_redis_that_says_nothing_is_not_waited_for(server: RedisServer, replicas: list[Any]) -> None:
    """Each question ends at its deadline, all of them together at about the same; ten seconds are for slow machines."""
    server.pause()
    try:
        async with asyncio.timeout(10 * redis_link.DEADLINE):
            answers = await asyncio.gather(*everything(replicas[0]), return_exceptions=True)
    finally:
        server.resume()
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 8


async def test_a_redis_that_is_back_is_used_again_by_itself(server: RedisServer, replicas: list[Any]) -> None:
    one, other = replicas
    await one.vault.lease(one.holder, [Want(ACCOUNT, 300, 300)], AT)
    await one.board.post("quarantine", "a", b"1")
    server.stop()
    with pytest.raises(StoreUnavailable):
        await one.board.remove("quarantine", "a")
    server.start()
    await until(lambda: one.status()["available"] and other.status()["available"])
    await one.vault.settle(one.holder, [Entry(ACCOUNT, "c-1", 100)], AT)
    (balance,) = await other.vault.balances(AT)
    assert (balance.spent, balance.leased) == (100, 200)
    await other.board.post("quarantine", "b", b"2")
    await until(lambda: dict(one.board.entries("quarantine")) == {"a": b"1", "b": b"2"})


async def test_a_settlement_whose_answer_was_lost_is_not_counted_twice(
    server: RedisServer, replicas: list[Any]
) -> None:
    one, _ = replicas
    await one.vault.lease(one.holder, [Want(ACCOUNT, 300, 300)], AT)
    await one.vault.settle(one.holder, [Entry(ACCOUNT, "c-1", 100)], AT)
    server.stop()
    with pytest.raises(StoreUnavailable):
        await one.vault.settle(one.holder, [Entry(ACCOUNT, "c-1", 100)], AT)
    server.start()
    await until(lambda: one.status()["available"])
    await one.vault.settle(one.holder, [Entry(ACCOUNT, "c-1", 100)], AT)
    (balance,) = await one.vault.balances(AT)
    assert (balance.spent, balance.leased) == (100, 200)


async def test_a_redis_that_has_forgotten_the_board_is_told_again(tmp_path: Path) -> None:
    """A quarantine must not end because a server without persistence was restarted."""
    server = RedisServer()
    one, other = (open_state(read_state_url(server.url), Wall()) for _ in range(2))
    try:
        for state in (one, other):
            await state.start()
        await one.board.post("quarantine", "a", b"1")
        await until(lambda: "a" in other.board.entries("quarantine"))
        server.stop()
        server.start()
        await until(lambda: bool(one.status()["available"] and other.status()["available"]))
        later = open_state(read_state_url(server.url), Wall())
        await later.start()
        await until(lambda: dict(later.board.entries("quarantine")) == {"a": b"1"})
        assert dict(one.board.entries("quarantine")) == {"a": b"1"}
        await later.board.remove("quarantine", "a")
        await until(lambda: not one.board.entries("quarantine") and not other.board.entries("quarantine"))
        await later.close()
    finally:
        for state in (one, other):
            await state.close()
        server.stop()


async def test_nobody_is_taken_for_dead_because_redis_was_away(
    server: RedisServer, replicas: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All signs of life are old then, those of the living too."""
    monkeypatch.setattr(redis_state, "DEAD_AFTER", 0.6)
    one, other = replicas
    for state in replicas:
        await state.vault.lease(state.holder, [Want(ACCOUNT, 300, 300)], AT)
    server.stop()
    await until(lambda: not one.status()["available"] and not other.status()["available"])
    await asyncio.sleep(0.7)
    server.start()
    await until(lambda: bool(one.status()["available"] and other.status()["available"]))
    for _ in range(20):
        (balance,) = await other.vault.balances(AT)
        assert (balance.spent, balance.leased) == (0, 600)
        await asyncio.sleep(0.05)


async def test_one_starts_without_redis_and_finds_it_later(server: RedisServer) -> None:
    server.stop()
    state = open_state(read_state_url(server.url), Wall())
    await state.start()
    assert state.status()["available"] is False
    with pytest.raises(StoreUnavailable):
        await state.vault.lease(state.holder, [Want(ACCOUNT, 1, 1)], AT)
    server.start()
    await until(lambda: bool(state.status()["available"]))
    (lease,) = await state.vault.lease(state.holder, [Want(ACCOUNT, 1, 1)], AT)
    assert lease.granted == 1
    await state.close()


async def test_a_password_is_used_and_never_shown() -> None:
    server = RedisServer(None, "--requirepass", "hunter2")
    good, bad = f"redis://:hunter2@127.0.0.1:{server.port}", f"redis://:wrong-one@127.0.0.1:{server.port}"
    try:
        for url, available in ((good, True), (bad, False)):
            state = open_state(read_state_url(url), Wall())
            await state.start()
            status = state.status()
            assert status["available"] is available
            assert "hunter2" not in str(status)
            assert "wrong-one" not in str(status)
            await state.close()
    finally:
        server.stop()


async def test_a_unix_socket_is_spoken_to(tmp_path: Path) -> None:
    server = RedisServer(None, "--unixsocket", str(tmp_path / "redis.sock"))
    try:
        state = open_state(read_state_url(f"unix://{tmp_path}/redis.sock?db=1"), Wall())
        await state.start()
        assert state.status()["available"] is True
        await state.close()
    finally:
        server.stop()
