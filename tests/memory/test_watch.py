"""A stream of changes: in order, resumed where it broke off, never with what its reader is not marked with."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from gateway.config.schema_memory import Namespace
from gateway.memory import watch
from gateway.memory.caller import FIELD, Caller
from gateway.memory.http import HttpMemory
from gateway.memory.namespaces import Namespaces
from gateway.memory.wrong import Wrong
from gateway.model.shelf import Provenance, Put, ShelfLimits
from tests.memory.support import ADA, BOB, World, by_field

BLANK = b"\n"


class Stream:
    """One reader."""

    def __init__(self, response: Any) -> None:
        self.response = response
        self.last = ""

    async def event(self) -> tuple[str, Any]:
        """The next event and its data; ("end", None) where the stream ends, ("", None) for a comment."""
        name, data = "", None
        while True:
            line = await asyncio.wait_for(self.response.content.readline(), 5)
            if not line:
                return "end", None
            field, _, value = line.decode().rstrip("\n").partition(": ")
            if line == BLANK:
                return name, data
            if field == "event":
                name = value
            elif field == "data":
                data = json.loads(value)
            elif field == "id":
                self.last = value

    @property
    def labels(self) -> str:
        return self.response.headers.get("X-Toolgate-Labels", "")


@pytest.fixture
async def world():
    return World()


@pytest.fixture
async def client(world: World):
    async with TestClient(TestServer(HttpMemory(world.book, world.watches).make_app())) as client:
        yield client


async def opened(client: TestClient, query: str = "", last: str = "", by: Caller = ADA) -> Stream:
    fields = {FIELD: by_field(by)} | ({"Last-Event-ID": last} if last else {})
    stream = Stream(await client.get(f"/team?watch{query}", headers=fields))
    assert stream.response.status == 200
    assert await stream.event() == ("", None), "how long to wait before coming back"
    return stream


async def put(client: TestClient, key: str, by: Caller = ADA) -> str:
    async with client.put(f"/team/{key}", json=1, headers={FIELD: by_field(by)}) as response:
        assert response.status == 201
        return (await response.json())["version"]


async def test_changes_come_from_now_on_or_from_a_version_on(client: TestClient) -> None:
    await put(client, "before")
    live = await opened(client)
    version = await put(client, "a")
    name, data = await live.event()
    assert (name, data["key"], data["version"], live.last) == ("change", "a", version, version)
    assert "value" not in data
    await put(client, "b")
    assert (await live.event())[1]["key"] == "b"
    resumed = await opened(client, last=version)
    assert (await resumed.event())[1]["key"] == "b"
    all_of_it = await opened(client, "&after=0")
    assert [(await all_of_it.event())[1]["key"] for _ in range(3)] == ["before", "a", "b"]


async def test_a_commit_of_several_keys_is_told_whole_also_to_who_comes_back(client: TestClient) -> None:
    live = await opened(client)
    puts = {"puts": [{"key": "a", "value": 1}, {"key": "b", "value": 1}]}
    await client.post("/team:commit", json=puts, headers={FIELD: by_field(ADA)})
    assert (await live.event())[1]["key"] == "a"
    assert live.last == "", "until all of it has been told, a reader who comes back gets all of it"
    assert (await live.event())[1]["key"] == "b"
    assert live.last != ""


async def test_removals_and_expiries_are_told(client: TestClient, world: World, monkeypatch) -> None:
    monkeypatch.setattr(watch, "POLL", 0.02)
    await put(client, "a?ttl=60s")
    live = await opened(client)
    world.now += 61
    name, data = await live.event()
    assert (name, data["key"], data["deleted"], data["by"]["agent"]) == ("change", "a", True, "")


async def test_what_another_replica_has_written_is_told(client: TestClient, world: World, monkeypatch) -> None:
    monkeypatch.setattr(watch, "POLL", 0.02)
    live = await opened(client)
    await world.shelf.commit("team", [Put("theirs", b"1")], Provenance("bob"), ShelfLimits())
    assert (await live.event())[1]["key"] == "theirs"


async def test_a_change_with_other_labels_is_told_by_an_answer_that_has_them(client: TestClient) -> None:
    live = await opened(client)
    assert live.labels == ""
    version = await put(client, "clean")
    assert (await live.event())[1]["key"] == "clean"
    await put(client, "poisoned", by=BOB)
    assert await live.event() == ("end", None), "its reader is not marked, and does not hear of it"
    again = await opened(client, last=version)
    assert again.labels == "untrusted"
    assert (await again.event())[1]["key"] == "poisoned"
    await put(client, "more", by=BOB)
    assert (await again.event())[1]["key"] == "more"


@pytest.mark.parametrize("last", ["life9-1", "life1-99"])
async def test_a_reader_whose_version_is_not_known_begins_anew(client: TestClient, last: str) -> None:
    await put(client, "a")
    stream = await opened(client, last=last)
    assert (await stream.event())[0] == "reset"
    assert (await stream.event())[1]["key"] == "a"


async def test_a_namespace_that_is_put_back_ends_the_streams_of_its_earlier_life(
    client: TestClient, world: World, monkeypatch
) -> None:
    monkeypatch.setattr(watch, "POLL", 0.02)
    await put(client, "a")
    live = await opened(client)

    async def nothing():
        return
        yield

    await world.shelf.load("team", nothing())
    assert await live.event() == ("end", None)


async def test_silence_is_broken_by_heartbeats(client: TestClient, monkeypatch) -> None:
    monkeypatch.setattr(watch, "POLL", 0.01)
    monkeypatch.setattr(watch, "HEARTBEAT", 0.02)
    assert await (await opened(client)).event() == ("", None)


async def test_streams_are_bounded_for_each_agent_and_given_back(client: TestClient, world: World, monkeypatch) -> None:
    monkeypatch.setattr(watch, "POLL", 0.02)
    streams = [await opened(client) for _ in range(watch.MOST_OF_AGENT)]
    refused = await client.get("/team?watch", headers={FIELD: by_field(ADA)})
    assert refused.status == 429
    assert (await refused.json())["reason"] == "too_many"
    await opened(client, by=BOB)
    for stream in streams:
        stream.response.close()
    for _ in range(250):
        if world.watches._open["ada"] == 0:
            break
        await asyncio.sleep(0.02)
    await opened(client)


async def test_no_stream_outlasts_the_gateway(client: TestClient, world: World) -> None:
    live = await opened(client)
    world.watches.end(for_good=True)
    assert await live.event() == ("end", None)
    assert await (await opened(client)).event() == ("end", None)


async def test_who_may_not_read_any_more_is_told_nothing_more(client: TestClient, world: World) -> None:
    live = await opened(client, by=BOB)
    world.book.namespaces = Namespaces({"team": Namespace(readers=("ada",))})
    world.watches.end(for_good=False)
    assert await live.event() == ("end", None)
    assert (await client.get("/team?watch", headers={FIELD: by_field(BOB)})).status == 403
    await opened(client)


async def test_what_is_no_version_is_said(client: TestClient, world: World) -> None:
    with pytest.raises(Wrong, match="no version"):
        await world.watches._begin("team", "yesterday")
