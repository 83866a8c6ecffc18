"""An MCP server that is a memory, asked by agents on the official SDK: answers as streams of events, and as JSON."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

from tests.conformance.places import process

from .harness.gateway import Gateway

MEMORY = {
    "reads": [
        {
            "operations": ["read_note"],
            "key": '"note://" + args.name',
            "value": "result.result",
            "partial": "has(args.head)",
            "gone": 'response.isError && string(result).contains("there is no note")',
        },
        {"operations": ["resources/read note://*"], "key": "mcp.uri"},
        {"operations": ["list_notes"], "entries": "result.result", "key": '"note://" + entry.name'},
    ],
    "writes": [{"operations": ["write_note"], "key": '"note://" + args.name', "value": "args.text"}],
}
MERGING = {**MEMORY, "reads": MEMORY["reads"][:1], "conflict": "merge"}
Connect = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture(scope="module", params=["events", "json"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway before that server."""
    with process("tests.e2e.harness.notes_mcp", *(["--json"] if request.param == "json" else [])) as url:
        started = Gateway(
            tmp_path_factory.mktemp("memory"),
            {
                "notes": {"url": f"{url}/mcp", "protocol": "mcp", "memory": MEMORY},
                "merging": {"url": f"{url}/mcp", "protocol": "mcp", "memory": MERGING},
            },
            identify=[{"header": "x-agent-id"}],
        ).start()
        yield started
        started.stop()
        assert "Traceback" not in started.output, started.output


@pytest.fixture
def connect(gateway: Gateway) -> Connect:
    """An agent of its own, with one run."""
    case = uuid.uuid4().hex[:8]

    @asynccontextmanager
    async def connected(agent: str, tool: str = "notes") -> AsyncIterator[Client]:
        fields = {"x-agent-id": f"{agent}-{case}", "x-run-id": f"run-{agent}"}
        async with (
            httpx2.AsyncClient(headers=fields, timeout=20) as http,
            Client(streamable_http_client(f"{gateway.url}/{tool}", http_client=http)) as client,
        ):
            yield client

    return connected


@pytest.fixture
def name() -> str:
    """A note that no other test knows."""
    return f"note-{uuid.uuid4().hex[:8]}"


def said(result: CallToolResult) -> str:
    return "".join(part.text for part in result.content if isinstance(part, TextContent))


async def read(client: Client, name: str, **more: Any) -> str:
    result = await client.call_tool("read_note", {"name": name, **more})
    assert not result.is_error, said(result)
    return said(result)


async def write(client: Client, name: str, text: str) -> CallToolResult:
    return await client.call_tool("write_note", {"name": name, "text": text})


async def create(client: Client, name: str, text: str) -> None:
    """Look, and write where there is nothing."""
    assert (await client.call_tool("read_note", {"name": name})).is_error
    result = await write(client, name, text)
    assert not result.is_error, said(result)


async def test_agents_that_count_come_to_the_right_sum(connect: Connect, name: str) -> None:
    async def count(agent: str) -> None:
        async with connect(agent) as client:
            for _ in range(8):
                while (await write(client, name, str(int(await read(client, name)) + 1))).is_error:
                    await asyncio.sleep(0)

    async with connect("first") as first:
        await create(first, name, "0")
        await asyncio.gather(*[count(f"counts{number}") for number in range(4)])
        assert await read(first, name) == "32"


async def test_a_stale_write_is_a_result_that_tells_what_changed(connect: Connect, name: str) -> None:
    async with connect("one") as one, connect("other") as other:
        await create(one, name, "milk")
        assert await read(other, name) == "milk"
        assert not (await write(one, name, "milk\nbread")).is_error
        refused = await write(other, name, "beer")
        assert refused.is_error
        assert "changed by one-" in said(refused)
        assert "+bread" in said(refused)
        assert "Read it again" in said(refused)
        assert await read(other, name) == "milk\nbread"
        assert not (await write(other, name, "beer")).is_error


async def test_a_merge_is_told_to_the_model_in_the_result(connect: Connect, name: str) -> None:
    async with connect("one", "merging") as one, connect("other", "merging") as other:
        await create(one, name, "milk\n-\neggs")
        assert await read(other, name) == "milk\n-\neggs"
        assert not (await write(one, name, "milk\n-\ntwelve eggs")).is_error
        merged = await write(other, name, "oat milk\n-\neggs")
        assert not merged.is_error
        assert "Note of the gateway: merging/note://" in said(merged)
        assert "was merged with a change of one-" in said(merged)
        assert merged.meta is not None
        assert len(merged.meta["toolgate/notes"]) == 1
        assert await read(other, name) == "oat milk\n-\ntwelve eggs"


async def test_what_an_agent_has_only_seen_a_part_of_it_does_not_write(connect: Connect, name: str) -> None:
    async with connect("one") as one, connect("other") as other:
        await create(one, name, "a long text")
        refused = await write(other, name, "blind")
        assert "has not read" in said(refused)
        assert await read(other, name, head=1) == "a"
        assert (await write(other, name, "half blind")).is_error
        assert await read(other, name) == "a long text"
        assert not (await write(other, name, "seen")).is_error


async def test_an_error_of_a_write_leaves_nobody_knowing_what_stands(connect: Connect, name: str) -> None:
    async with connect("one") as one:
        await create(one, name, "text")
        assert said(await write(one, name, "fail")).endswith("it could not be written")
        refused = await write(one, name, "again")
        assert refused.is_error
        assert "has not read" in said(refused)
        await read(one, name)
        assert not (await write(one, name, "again")).is_error


async def test_lists_and_resources_are_reads_too(connect: Connect, name: str) -> None:
    async with connect("one") as one, connect("lister") as lister, connect("other") as other:
        await create(one, name, "text")
        await lister.call_tool("list_notes", {})
        assert not (await write(lister, name, "listed")).is_error
        await other.read_resource(f"note://{name}")
        assert not (await write(other, name, "read as a resource")).is_error
