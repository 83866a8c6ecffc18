"""The forms of a Redis that URLs name: one server, Sentinel, Cluster; each spoken to for real."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from gateway.model import Account, Balance, Draw, Entry, Want
from gateway.model.state_url import read_state_url
from gateway.stores.state import open_state
from tests.stores.opening import AT, Wall
from tests.stores.redis_server import RedisServer

ACCOUNTS = [Account(("budget", "usd", f"agent-{number}"), 1_000, "day") for number in range(12)]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """A Cluster of one node that has all slots."""
    server = RedisServer(None, "--cluster-enabled", "yes", "--cluster-config-file", str(tmp_path / "nodes.conf"))
    with Redis(port=server.port, protocol=2) as node:
        node.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
    yield f"redis+cluster://127.0.0.1:{server.port},127.0.0.1:{server.port}"
    server.stop()


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[str]:
    """A server with a Sentinel that knows it by name."""
    server = RedisServer()
    file = tmp_path / "sentinel.conf"
    file.write_text(f"sentinel monitor main 127.0.0.1 {server.port} 1\n")
    watching = RedisServer(None, config=file)
    yield f"redis+sentinel://127.0.0.1:{watching.port}/main/0"
    watching.stop()
    server.stop()


@pytest.mark.parametrize("form", ["cluster", "sentinel"])
async def test_everything_works_through_it(form: str, request: pytest.FixtureRequest) -> None:
    url = read_state_url(request.getfixturevalue(form))
    one, other = (open_state(url, Wall()) for _ in range(2))
    for state in (one, other):
        await state.start()
        for _ in range(500):  # a Cluster of one needs a moment to find itself whole
            if state.status()["available"]:
                break
            await asyncio.sleep(0.02)
    await uses(one, other)
    for state in (one, other):
        await state.close()


async def uses(one: Any, other: Any) -> None:
    leases = await one.vault.lease(one.holder, [Want(account, 100, 100) for account in ACCOUNTS], AT)
    assert [lease.granted for lease in leases] == [100] * 12
    await one.vault.settle(one.holder, [Entry(account, "c-1", 40) for account in ACCOUNTS], AT)
    await one.vault.give_back(one.holder, [(account, 10) for account in ACCOUNTS], AT)
    found = sorted(await other.vault.balances(AT), key=lambda balance: ACCOUNTS.index(balance.account))
    assert found == [Balance(account, 40, 50, found[0].ends) for account in ACCOUNTS]
    await other.vault.forfeit(one.holder, AT)
    assert {(each.spent, each.leased) for each in await other.vault.balances(AT)} == {(90, 0)}
    wants = [Draw(("limit", str(number)), 10.0, 1e-6, 10.0, 10.0) for number in range(5)]
    assert [drawn.tokens for drawn in await one.vault.draw(wants, AT)] == [10.0] * 5
    assert [drawn.tokens for drawn in await other.vault.draw(wants, AT)] == [0.0] * 5
    await one.board.post("quarantine", "a", b"1")
    for _ in range(500):
        if other.board.entries("quarantine"):
            break
        await asyncio.sleep(0.02)
    assert dict(other.board.entries("quarantine")) == {"a": b"1"}
    assert [await each.board.seize("probe", 60.0) for each in (one, other)] == [True, False]
