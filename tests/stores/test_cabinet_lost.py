"""Cabinets whose store goes away, answers too late, or comes back without what it knew; and writers that are killed."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from redis.exceptions import ConnectionError as Disconnected

from gateway.errors import StoreUnavailable
from gateway.model.state_url import read_state_url
from gateway.ports import Paper
from gateway.stores.memory_cabinet import GONE
from gateway.stores.state import open_state
from tests.stores import writer
from tests.stores.opening import Place, Wall
from tests.stores.redis_server import RedisServer
from tests.stores.test_crashes import DURABLE, REDIS, SQLITE, Child
from tests.stores.test_redis_away import until

POINTS = 12
"""Moments at which a writer is killed, for each store."""


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """One that keeps nothing on disk."""
    server = RedisServer()
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


async def restart(server: RedisServer, replicas: list[Any]) -> None:
    server.stop()
    with pytest.raises(StoreUnavailable):
        await replicas[0].cabinet.read("k", "a")
    server.start()
    await until(lambda: all(state.status()["available"] for state in replicas))


async def test_those_who_follow_see_that_the_store_has_lost_what_it_had(
    server: RedisServer, replicas: list[Any]
) -> None:
    """Though others have written more since than was ever known."""
    one, other = (state.cabinet for state in replicas)
    for key in "ab":
        await one.swap("k", key, 0, b"1")
    revision, _ = await one.changes("k", 0)
    await restart(server, replicas)
    assert await one.changes("k", revision) == (0, [])
    for key in "cdefg":
        await other.swap("k", key, 0, b"2")
    later, papers = await one.changes("k", revision)
    assert later < revision
    assert [paper.key for paper in papers] == list("cdefg")
    assert await one.changes("k", later) == (later, [])


async def test_what_was_seen_before_the_loss_changes_nothing_that_was_written_after_it(
    server: RedisServer, replicas: list[Any]
) -> None:
    one, other = (state.cabinet for state in replicas)
    before = await one.swap("k", "a", 0, b"1")
    await restart(server, replicas)
    after = await other.swap("k", "a", 0, b"2")
    assert after != before
    assert await one.swap("k", "a", before, b"3") == 0
    assert await one.read("k", "a") == Paper("a", after, b"2")


async def test_a_write_whose_answer_was_lost_with_the_connection_is_done_once(replicas: list[Any]) -> None:
    state, client = replicas[0], replicas[0]._link._client
    await state.cabinet.swap("k", "other", 0, b"1")
    lost: list[Any] = []
    ask = client.evalsha

    async def breaks(*args: Any) -> Any:
        answer = await ask(*args)
        if not lost:
            lost.append(answer)
            raise Disconnected("reset after it was done")
        return answer

    client.evalsha = breaks
    version = await state.cabinet.swap("k", "a", 0, b"1")
    assert lost
    assert await replicas[1].cabinet.read("k", "a") == Paper("a", version, b"1")
    assert await replicas[1].cabinet.changes("k", version) == (version, []), "nothing was written after it"


async def test_a_write_that_is_not_answered_in_time_is_not_known_to_be_done(
    server: RedisServer, replicas: list[Any]
) -> None:
    one, other = (state.cabinet for state in replicas)
    version = await one.swap("k", "a", 0, b"1")
    server.pause()
    try:
        with pytest.raises(StoreUnavailable):
            await one.swap("k", "a", version, b"2")
    finally:
        server.resume()
    await until(lambda: all(state.status()["available"] for state in replicas))
    paper = await other.read("k", "a")
    assert paper is not None
    assert paper.value in (b"1", b"2")
    fenced = await other.swap("k", "a", paper.version, b"3")
    assert fenced
    assert await one.read("k", "a") == Paper("a", fenced, b"3"), "what comes too late finds another version"


async def test_who_has_not_asked_for_long_is_told_all_that_stands(replicas: list[Any]) -> None:
    """What is gone is forgotten after a while, so what has changed since cannot be told."""
    (one, wall), other = (replicas[0].cabinet, replicas[0]._wall), replicas[1].cabinet
    for key in "ab":
        await one.swap("k", key, 0, b"1")
    revision, _ = await one.changes("k", 0)
    await other.swap("k", "a", (await other.read("k", "a")).version, None)
    wall.now += GONE / 2 + 1
    again, papers = await one.changes("k", revision)
    assert again < revision
    assert [paper.key for paper in papers] == ["b"]
    later, papers = await one.changes("k", again)
    assert later > revision
    assert await one.changes("k", later) == (later, [])


@SQLITE
async def test_a_file_that_was_made_before_there_were_cabinets_gets_one(place: Place) -> None:
    state = await place.open()
    await state.board.post("quarantine", "a", b"1")
    await place.close()
    with sqlite3.connect(place.folder / "state.db") as file:
        file.execute("DROP TABLE papers")
        file.execute("DROP TABLE drawers")
    file.close()
    state = await place.open()
    assert await state.cabinet.swap("k", "a", 0, b"1")
    assert dict(state.board.entries("quarantine")) == {"a": b"1"}


@DURABLE
async def test_what_a_killed_writer_was_told_is_stored_and_nothing_is_half_written(place: Place) -> None:
    """Only the last step, of which it could not tell, may be either way."""
    chance = random.Random(7)

    def killed(lines: int) -> list[Any]:
        child = Child(writer.write, place.url)
        return [child.hear() for _ in range(lines)] + child.kill()

    for _ in range(POINTS):
        said = await asyncio.to_thread(killed, chance.randint(1, 25))
        state = await place.open(time.time)
        revision, papers = await state.cabinet.changes("k", 0)
        standing = {paper.key: (paper.version, int(paper.value or 0)) for paper in papers}
        told: dict[str, tuple[int, int]] = {}
        for key, version, number in said:
            told[key] = (version, number)
        behind = {key for key in told if standing[key] != told[key]}
        assert len(behind) <= 1
        for key in behind:
            assert standing[key][1] == told[key][1] + 1
            assert standing[key][0] == revision
        assert revision == max(version for version, _ in standing.values())
        await place.close()


@REDIS
async def test_an_expiry_is_written_down_by_one_replica_and_heard_of_by_all(place: Place) -> None:
    cabinets = [(await place.open()).cabinet for _ in range(3)]
    await cabinets[0].swap("k", "a", 0, b"1", 5.0)
    revisions = [(await cabinet.changes("k", 0))[0] for cabinet in cabinets]
    place.wall.now += 6
    heard = await asyncio.gather(
        *[cabinet.changes("k", revision) for cabinet, revision in zip(cabinets, revisions, strict=True)]
    )
    assert len({revision for revision, _ in heard}) == 1
    assert all([(paper.key, paper.value) for paper in papers] == [("a", None)] for _, papers in heard)
