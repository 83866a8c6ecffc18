"""Copies of a namespace, and what a file or a server that was set back means for those who hold versions of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from redis.exceptions import ConnectionError as Disconnected

from gateway.errors import StoreUnavailable
from gateway.model.shelf import Committed, Mismatch, Put
from gateway.model.state_url import read_state_url
from gateway.ports import Shelf
from gateway.stores import shelf_lines
from gateway.stores.shelf_lines import exported, items_in
from gateway.stores.state import open_state
from tests.stores import writer
from tests.stores.opening import AT, Place, Wall
from tests.stores.redis_server import RedisServer
from tests.stores.test_crashes import SQLITE, Child
from tests.stores.test_shelf import ANN, BOB, LIMITS, put, values


async def lines_of(shelf: Shelf) -> list[bytes]:
    return [line async for line in exported(shelf, "team")]


async def told(lines: list[bytes]) -> AsyncIterator[bytes]:
    for line in lines:
        yield line


async def test_a_copy_brings_back_all_that_stood_with_who_wrote_it(place: Place) -> None:
    shelf = (await place.open()).shelf
    await put(shelf, "a", "é\n".encode())
    await shelf.commit("team", [Put("b", b'{"n":\r\n 1.0000000000000000001}', ttl=60.0)], BOB, LIMITS)
    await put(shelf, "c", b"1")
    await put(shelf, "c", None)
    before = (await shelf.scan("team")).items
    lines = await lines_of(shelf)
    assert [json.loads(line).get("key") for line in lines] == [None, "a", "b", None]
    assert json.loads(lines[-1]) == {"items": 2, "revision": 4}
    await put(shelf, "a", b"2")
    done = await shelf.load("team", items_in(told(lines), "team", AT))
    after = (await shelf.scan("team")).items
    assert [(i.key, i.kind, i.created, i.written, i.ends, i.by) for i in after] == [
        (i.key, i.kind, i.created, i.written, i.ends, i.by) for i in before
    ]
    assert values(after) == [("a", "é\n".encode()), ("b", b'{"n":   1.0000000000000000001}')], "numbers as they were"
    assert {item.revision for item in after} == {done.revision}
    assert await lines_of((await place.open()).shelf) != lines, "it is another life"


async def test_a_namespace_that_is_not_there_has_an_empty_copy(place: Place) -> None:
    shelf = (await place.open()).shelf
    lines = await lines_of(shelf)
    assert len(lines) == 2
    await shelf.load("team", items_in(told(lines), "team", AT))
    assert await shelf.namespaces() == ["team"]
    assert (await shelf.scan("team")).items == ()


async def test_a_copy_made_while_money_moves_has_all_of_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf_lines, "_PAGE", 3)
    one, other = (await place.open()).shelf, (await place.open()).shelf
    accounts = [f"account-{number:02}" for number in range(12)]
    await one.commit("team", [Put(key, b"100") for key in accounts], ANN, LIMITS)

    async def move() -> None:
        for turn in range(40):
            source, target = accounts[turn * 5 % 12], accounts[turn * 7 % 12 - 1]
            items = [(await other.get("team", key)).item for key in (source, target)]
            if source != target:
                puts = [
                    Put(item.key, b"%d" % (int(item.value or 0) + more), expect=item.revision)
                    for item, more in zip(items, (-1, 1), strict=True)
                    if item is not None
                ]
                assert isinstance(await other.commit("team", puts, BOB, LIMITS), Committed)
            await other.commit("team", [Put(f"note-{turn}", b"1"), Put(f"note-{turn - 1}", None)], BOB, LIMITS)

    moving = asyncio.create_task(move())
    for _ in range(4):
        lines = []
        async for line in exported(one, "team"):
            lines.append(line)
            await asyncio.sleep(0)
        copy = f"copy-{len(lines)}"
        await one.load(copy, items_in(told(lines), "team", AT))
        found = (await one.scan(copy, "account-")).items
        assert sum(int(item.value or 0) for item in found) == 1200
        assert len((await one.scan(copy, "note-")).items) <= 1
    await moving


@pytest.mark.parametrize("place", ["memory"], indirect=True)
async def test_a_copy_of_what_was_replaced_meanwhile_is_none(place: Place) -> None:
    shelf = (await place.open()).shelf
    await put(shelf, "a", b"1")
    lines = exported(shelf, "team")
    await anext(lines)
    await shelf.drop("team")
    await put(shelf, "a", b"1")
    with pytest.raises(ValueError, match="export it again"):
        await anext(lines)


# -- files ------------------------------------------------------------------------------------------------------


@SQLITE
async def test_a_file_that_was_closed_goes_on_in_the_same_life(place: Place) -> None:
    done = await put((await place.open()).shelf, "a", b"1")
    await place.close()
    again = await put((await place.open()).shelf, "a", b"2", 1, epoch=done.epoch)
    assert isinstance(again, Committed)


@SQLITE
async def test_a_second_process_leaves_the_life_of_the_first_as_it_is(place: Place) -> None:
    child = Child(writer.write, place.url)
    key, version, _ = await asyncio.to_thread(child.hear)
    done = await put((await place.open()).shelf, "a", b"1")
    await place.close()
    Path(f"{place.folder}/state.db-closed").unlink()
    again = await put((await place.open()).shelf, "a", b"2", 1, epoch=done.epoch)
    await asyncio.to_thread(child.kill)
    assert (key, bool(version)) == ("a", True)
    assert isinstance(again, Committed)


@SQLITE
@pytest.mark.parametrize("how", ["copied over", "moved there", "killed"])
async def test_versions_of_a_file_that_was_set_back_do_not_match(place: Place, how: str) -> None:
    """Though the same revision was given again, to something else."""
    shelf = (await place.open()).shelf
    await put(shelf, "a", b"1")
    state, backup = place.folder / "state.db", place.folder / "backup.db"
    with sqlite3.connect(state) as source, sqlite3.connect(backup) as target:
        source.backup(target)
    source.close()
    target.close()
    held = await put(shelf, "a", b"lost", 1)
    await place.close()
    if how == "copied over":
        shutil.copy(backup, state)
    elif how == "moved there":
        backup.rename(state)
    else:
        (place.folder / "state.db-closed").unlink()  # as it lies while it is open
        shutil.copy(backup, state)
    shelf = (await place.open()).shelf
    again = await put(shelf, "a", b"2")
    assert again.revision == held.revision
    assert isinstance(await put(shelf, "a", b"3", held.revision, epoch=held.epoch), Mismatch)
    assert isinstance(await put(shelf, "a", b"3", again.revision, epoch=again.epoch), Committed)


@SQLITE
async def test_what_a_dead_process_had_begun_to_load_is_removed(place: Place) -> None:
    shelf = (await place.open()).shelf
    await put(shelf, "a", b"1")
    await place.close()
    with sqlite3.connect(place.folder / "state.db") as file:
        file.execute("INSERT INTO shelves VALUES (77, NULL, 'e', 1, 0, 0, 0, 0, 0)")
        file.execute("INSERT INTO shelf_owners VALUES (77, 'ann', 1)")
    file.close()
    await place.open()
    with sqlite3.connect(place.folder / "state.db") as file:
        counts = [file.execute(f"SELECT COUNT(*) FROM {table}").fetchone() for table in ("shelves", "shelf_owners")]
    file.close()
    assert counts == [(1,), (1,)]


# -- servers ----------------------------------------------------------------------------------------------------


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


async def answer(replicas: list[Any]) -> None:
    """Until all of them have found Redis again."""
    for state in replicas:
        for _ in range(1500):
            with contextlib.suppress(StoreUnavailable):
                await state.shelf.usage("team")
                break
            await asyncio.sleep(0.01)


async def restart(server: RedisServer, replicas: list[Any]) -> None:
    server.stop()
    with pytest.raises(StoreUnavailable):
        await replicas[0].shelf.get("team", "a")
    server.start()
    await answer(replicas)


async def test_after_a_restart_of_redis_what_stands_stands_in_another_life(
    server: RedisServer, replicas: list[Any]
) -> None:
    """Its data may be older than what was answered: it cannot be told from this server's word."""
    one, other = (state.shelf for state in replicas)
    done = await put(one, "a", b"1")
    await restart(server, replicas)
    refused = await put(other, "a", b"2", 1, epoch=done.epoch)
    assert isinstance(refused, Mismatch)
    assert values(refused.items) == [("a", b"1")]
    assert refused.epoch != done.epoch
    assert isinstance(await put(one, "a", b"2", 1, epoch=refused.epoch), Committed)
    assert (await other.get("team", "a")).epoch == refused.epoch


async def test_versions_that_a_redis_has_lost_do_not_match_what_it_gives_the_same_number(
    server: RedisServer, replicas: list[Any], tmp_path: Path
) -> None:
    """As after a failover to a copy that lags."""
    one, other = (state.shelf for state in replicas)
    await put(one, "a", b"1")
    shutil.copytree(tmp_path, tmp_path.parent / "lags")
    lost = await put(one, "a", b"lost", 1)
    server.stop()
    shutil.rmtree(tmp_path)
    shutil.copytree(tmp_path.parent / "lags", tmp_path)
    server.start()
    await answer(replicas)
    again = await put(other, "a", b"2")
    assert again.revision == lost.revision
    assert isinstance(await put(one, "a", b"3", lost.revision, epoch=lost.epoch), Mismatch)
    assert isinstance(await put(one, "a", b"3", again.revision, epoch=again.epoch), Committed)


async def test_versions_from_before_a_loss_of_everything_do_not_match(
    server: RedisServer, replicas: list[Any], tmp_path: Path
) -> None:
    one, other = (state.shelf for state in replicas)
    done = await put(one, "a", b"1")
    server.stop()
    for path in tmp_path.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    server.start()
    await answer(replicas)
    assert (await one.get("team", "a")).epoch == ""
    again = await put(other, "a", b"2")
    assert again.revision == done.revision
    assert isinstance(await put(one, "a", b"3", 1, epoch=done.epoch), Mismatch)


async def test_a_commit_whose_answer_was_lost_with_the_connection_is_done_once(replicas: list[Any]) -> None:
    """And is told as done, though others have written over it meanwhile."""
    (one, other), client = (state.shelf for state in replicas), replicas[0].shelf._link._client
    first = await put(one, "a", b"1")
    ask, lost = client.evalsha, list[Any]()

    async def breaks(*args: Any) -> Any:
        answer = await ask(*args)
        if not lost:
            lost.append(answer)
            await put(other, "a", b"3")
            raise Disconnected("reset after it was done")
        return answer

    client.evalsha = breaks
    done = await put(one, "a", b"2", 1, epoch=first.epoch)
    assert lost
    assert isinstance(done, Committed)
    assert (done.revision, values(done.items)) == (2, [("a", b"2")])
    assert [item.value for item in (await other.history("team", "a")).items] == [b"3", b"2", b"1"]


async def test_more_writers_than_redis_can_serve_at_once_wait_and_nobody_else_does(replicas: list[Any]) -> None:
    done = await asyncio.gather(*[put(replicas[0].shelf, f"k{number}", b"1") for number in range(500)])
    assert {one.revision for one in done} == set(range(1, 501))
    assert replicas[0].status()["available"]
    assert replicas[0].shelf._link is not replicas[0]._link


async def test_every_question_ends_while_redis_says_nothing(server: RedisServer, replicas: list[Any]) -> None:
    shelf = replicas[0].shelf
    await put(shelf, "a", b"1")
    server.pause()
    try:
        for ask in (put(shelf, "a", b"2", 1), shelf.get("team", "a"), shelf.namespaces(), shelf.drop("team")):
            with pytest.raises(StoreUnavailable):
                await ask
    finally:
        server.resume()


async def test_a_head_that_was_evicted_alone_begins_a_new_life_with_nothing(replicas: list[Any]) -> None:
    one, client = replicas[0].shelf, replicas[0].shelf._link._client
    await put(one, "a", b"1")
    await client.delete("toolgate:{memory:team}:head")
    done = await put(one, "b", b"2")
    assert done.revision == 1
    assert values((await one.scan("team")).items) == [("b", b"2")]
    usage = await one.usage("team")
    assert (usage.items, usage.former) == (1, 0)
