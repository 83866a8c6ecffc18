"""The MCP project's own filesystem and memory servers as memories, behind the bridge, asked by agents on its SDK.
Configured as docs/memory-recipes.md says."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

from tests.e2e.harness.gateway import Gateway

from .support import gateway_before, mcp_server, needs_servers


@asynccontextmanager
async def connected(gateway: Gateway, tool: str, agent: str) -> AsyncIterator[Client]:
    """An agent with a run, and a session and so a server of its own."""
    fields = {"x-agent-id": agent, "x-run-id": f"run-{agent}-{uuid.uuid4().hex[:6]}"}
    async with (
        httpx2.AsyncClient(headers=fields, timeout=20) as http,
        Client(streamable_http_client(f"{gateway.url}/{tool}", http_client=http)) as client,
    ):
        yield client


def said(result: CallToolResult) -> str:
    return "".join(part.text for part in result.content if isinstance(part, TextContent))


async def done(client: Client, operation: str, **args: Any) -> str:
    """What a call that succeeds says."""
    result = await client.call_tool(operation, args)
    assert not result.is_error, said(result)
    return said(result)


async def refused(client: Client, operation: str, **args: Any) -> str:
    result = await client.call_tool(operation, args)
    assert result.is_error, said(result)
    return said(result)


# -- files ------------------------------------------------------------------------------------------------------------


class Files:
    """A folder, its server and the gateway."""

    def __init__(self, gateway: Gateway, folder: Path) -> None:
        self.gateway, self.folder = gateway, folder

    def put(self, name: str, text: str) -> str:
        """Write a file past the gateway; its path."""
        (self.folder / name).write_text(text)
        return str(self.folder / name)

    @asynccontextmanager
    async def agents(self) -> AsyncIterator[tuple[Client, Client]]:
        async with connected(self.gateway, "files", "ann") as ann, connected(self.gateway, "files", "bob") as bob:
            yield ann, bob


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Files]:
    needs_servers()
    folder = tmp_path_factory.mktemp("files").resolve()
    (folder / "shared").mkdir()
    with (
        mcp_server("server-filesystem", str(folder / "shared")) as url,
        gateway_before(folder, "files", url) as gateway,
    ):
        yield Files(gateway, folder / "shared")


async def test_a_file_that_somebody_else_has_changed_is_read_again(files: Files) -> None:
    path = files.put("plan.md", "milk\nbread\n")
    async with files.agents() as (ann, bob):
        await done(ann, "read_text_file", path=path)
        await done(bob, "read_text_file", path=path)
        await done(bob, "edit_file", path=path, edits=[{"oldText": "bread", "newText": "rye bread"}])
        await done(bob, "read_text_file", path=path)
        told = await refused(ann, "write_file", path=path, content="oat milk\nbread\n")
        assert "changed by bob" in told
        assert "+rye bread" in told
        assert await done(ann, "read_text_file", path=path) == "milk\nrye bread\n"
        await done(ann, "write_file", path=path, content="oat milk\nrye bread\n")
        assert Path(path).read_text() == "oat milk\nrye bread\n"


async def test_a_file_is_created_once_by_who_has_seen_that_there_is_none(files: Files) -> None:
    path = str(files.folder / "new.md")
    async with files.agents() as (ann, bob):
        assert "has not read" in await refused(ann, "write_file", path=path, content="blind")
        for client in (ann, bob):
            assert "ENOENT" in await refused(client, "read_text_file", path=path)
        await done(ann, "write_file", path=path, content="anns")
        await refused(bob, "write_file", path=path, content="bobs")
        assert Path(path).read_text() == "anns"


async def test_what_has_changed_is_not_moved_away(files: Files) -> None:
    source, destination = files.put("source.md", "one"), str(files.folder / "destination.md")
    async with files.agents() as (ann, bob):
        for client in (ann, bob):
            await done(client, "read_text_file", path=source)
            await refused(client, "read_text_file", path=destination)
        await done(bob, "write_file", path=source, content="two")
        await refused(ann, "move_file", source=source, destination=destination)
        await done(bob, "move_file", source=source, destination=destination)
        assert "changed by bob" in await refused(ann, "write_file", path=destination, content="anns")
        assert await done(ann, "read_text_file", path=destination) == "two"


async def test_another_spelling_or_a_part_is_no_ground_for_a_write(files: Files) -> None:
    path = files.put("spelt.md", "one\ntwo\n")
    async with files.agents() as (ann, _):
        await done(ann, "read_text_file", path=path, head=1)
        assert "has not read" in await refused(ann, "write_file", path=path, content="x")
        for spelling in ("spelt.md", path.replace("/spelt", "/./spelt"), path.replace("/spelt", "//spelt")):
            assert "absolute path" in await refused(ann, "write_file", path=spelling, content="x")
        assert Path(path).read_text() == "one\ntwo\n"


async def test_agents_that_count_in_a_file_come_to_the_right_sum(files: Files) -> None:
    path = files.put("counter.txt", "0")

    async def count(agent: str) -> None:
        async with connected(files.gateway, "files", agent) as client:
            for _ in range(4):
                while True:
                    seen = int(await done(client, "read_text_file", path=path) or 0)
                    if not (await client.call_tool("write_file", {"path": path, "content": str(seen + 1)})).is_error:
                        break

    await asyncio.gather(*[count(f"counts-{number}") for number in range(3)])
    assert Path(path).read_text() == "12"


# -- the knowledge graph ----------------------------------------------------------------------------------------------


class Graph:
    """The server's file, and the gateway."""

    def __init__(self, gateway: Gateway, file: Path) -> None:
        self.gateway, self.file = gateway, file

    def observed(self, name: str) -> list[str]:
        """What stands in the file of an entity."""
        lines = [json.loads(line) for line in self.file.read_text().splitlines()]
        (found,) = [line["observations"] for line in lines if line.get("name") == name]
        return list(found)

    @asynccontextmanager
    async def agents(self, name: str) -> AsyncIterator[tuple[Client, Client]]:
        """Two agents that have read an entity."""
        async with connected(self.gateway, "graph", "ann") as ann, connected(self.gateway, "graph", "bob") as bob:
            await done(ann, "create_entities", entities=[entity(name, "likes tea")])
            await done(ann, "open_nodes", names=[name])
            await done(bob, "search_nodes", query=name)
            yield ann, bob


def entity(name: str, *observations: str) -> dict[str, Any]:
    return {"name": name, "entityType": "person", "observations": list(observations)}


def observed(name: str, *contents: str) -> dict[str, Any]:
    return {"observations": [{"entityName": name, "contents": list(contents)}]}


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    needs_servers()
    folder = tmp_path_factory.mktemp("graph")
    file = folder / "memory.jsonl"
    with (
        mcp_server("server-memory", env={"MEMORY_FILE_PATH": str(file)}) as url,
        gateway_before(folder, "graph", url) as gateway,
    ):
        yield Graph(gateway, file)


async def test_observations_are_added_to_what_stands(graph: Graph) -> None:
    async with graph.agents("Carol") as (ann, bob):
        await done(bob, "add_observations", **observed("Carol", "moved to Rome"))
        await done(bob, "read_graph")
        told = await refused(ann, "add_observations", **observed("Carol", "lives in Paris"))
        assert "changed by bob" in told
        assert "moved to Rome" in told
        await done(ann, "open_nodes", names=["Carol"])
        await done(ann, "add_observations", **observed("Carol", "likes Rome"))
        assert graph.observed("Carol") == ["likes tea", "moved to Rome", "likes Rome"]


async def test_what_has_changed_is_not_deleted(graph: Graph) -> None:
    async with graph.agents("Dave") as (ann, bob):
        await done(bob, "add_observations", **observed("Dave", "is important"))
        await refused(ann, "delete_entities", entityNames=["Dave"])
        await refused(ann, "delete_observations", deletions=[{"entityName": "Dave", "observations": ["likes tea"]}])
        await done(ann, "open_nodes", names=["Dave"])
        await done(ann, "delete_entities", entityNames=["Dave"])
        assert "deleted by ann" in await refused(bob, "add_observations", **observed("Dave", "is back"))


async def test_an_entity_that_is_there_is_not_created_anew(graph: Graph) -> None:
    async with graph.agents("Erin") as (ann, bob):
        await done(bob, "create_entities", entities=[entity("Erin", "overwritten")])
        await done(ann, "add_observations", **observed("Erin", "likes milk"))
        assert graph.observed("Erin") == ["likes tea", "likes milk"]


async def test_agents_that_write_different_entities_at_once_lose_nothing(graph: Graph) -> None:
    """Each has a server of its own, and all have one file."""

    async def write(number: int) -> None:
        async with connected(graph.gateway, "graph", f"writes-{number}") as client:
            await done(client, "create_entities", entities=[entity(f"own-{number}")])
            for step in range(5):
                await done(client, "open_nodes", names=[f"own-{number}"])
                await done(client, "add_observations", **observed(f"own-{number}", f"step {step}"))

    await asyncio.gather(*[write(number) for number in range(4)])
    for number in range(4):
        assert graph.observed(f"own-{number}") == [f"step {step}" for step in range(5)]
