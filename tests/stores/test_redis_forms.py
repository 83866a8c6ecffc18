"""The forms of a Redis that URLs name: one server, Sentinel, Cluster; each spoken to for real."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from gateway.model import Account, Balance, Draw, Entry, Want
from gateway.model.shelf import Item, Page, Provenance, Put, ShelfLimits
from gateway.model.state_url import read_state_url
from gateway.ports import Paper
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


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def over_tls(port: int, certificate: Path) -> AsyncIterator[int]:
    """A port of the loopback that speaks TLS for the server at ``port``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    passing: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        for one in (_pass_on(reader, inner_writer), _pass_on(inner_reader, writer)):
            passing.add(asyncio.create_task(one))

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield listening.sockets[0].getsockname()[1]
    listening.close()
    await asyncio.wait(passing, timeout=5)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
async def test_tls_is_spoken_and_certificates_are_verified(redis_server: RedisServer, tmp_path: Path) -> None:
    file = tmp_path / "redis.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=redis",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", file, "-out", f"{file}.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    authority = Path(f"{file}.crt")
    file.write_text(file.read_text() + authority.read_text())
    async with over_tls(redis_server.port, file) as port:
        for options, available in ((f"?ssl_ca_certs={authority}&prefix=tls:", True), ("", False)):
            state = open_state(read_state_url(f"rediss://127.0.0.1:{port}/0{options}"), Wall())
            await state.start()
            status = state.status()
            assert status["available"] is available, status
            await state.close()
    assert "certificate" in str(status["error"]).lower()


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
    version = await one.cabinet.swap("k", "a", 0, b"1", 60.0)
    assert await other.cabinet.changes("k", 0) == (version, [Paper("a", version, b"1")])
    assert await other.cabinet.swap("k", "a", version, None) > version
    assert [paper.value for paper in (await one.cabinet.changes("k", version))[1]] == [None]
    for name in ("team", "other {}"):
        done = await one.shelf.commit(name, [Put("a", b"1"), Put("b", b"2")], Provenance("ann"), ShelfLimits())
        assert await other.shelf.scan(name) == Page(done.epoch, 1, done.items)
        assert (await other.shelf.load(name, _nothing())).epoch != done.epoch
    assert await other.shelf.namespaces() == ["other {}", "team"]
    assert await one.shelf.drop("team")
    assert await other.shelf.namespaces() == ["other {}"]


async def _nothing() -> AsyncIterator[Item]:
    return
    yield
