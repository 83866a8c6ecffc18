"""Agents that count through tools which know no versions: every acknowledged count is there in the end, at one gateway
and at two that share a Redis, also where one of them is killed. Side by side with the same tools undeclared.

``TOOLGATE_KILLS=100`` kills more often.
"""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

from tests.conformance.places import process
from tests.stores.redis_server import RedisServer

from .harness.counting import Counter, HeldNotes, finish, together
from .harness.gateway import Gateway
from .harness.net import eventually

KILLS = max(1, int(os.environ.get("TOOLGATE_KILLS", "4")) // 4)
"""Each costs the time in which the killed gateway's write might still be carried out."""
MEMORY: dict[str, Any] = {
    "name": "counters",
    "reads": [{"operations": ["GET /notes/{id}"], "key": "args.id"}],
    "writes": [{"operations": ["PUT /notes/{id}"], "key": "args.id"}],
}
MCP_MEMORY: dict[str, Any] = {
    "reads": [
        {
            "operations": ["read_note"],
            "key": "args.name",
            "value": "result.result",
            "gone": 'response.isError && string(result).contains("there is no note")',
        }
    ],
    "writes": [{"operations": ["write_note"], "key": "args.name"}],
}
AGENTS, TIMES = 4, 6


@pytest.fixture(scope="module")
def notes() -> Iterator[HeldNotes]:
    notes = HeldNotes()
    yield notes
    notes.close()


@pytest.fixture(scope="module")
def tools(notes: HeldNotes) -> Iterator[dict[str, Any]]:
    """The same two tools, declared and not; ``mortal`` is the first with writes that are known to be over soon."""
    url = f"http://127.0.0.1:{notes.port}"
    with process("tests.e2e.harness.notes_mcp", "--json") as origin:
        mcp = {"url": f"{origin}/mcp", "protocol": "mcp"}
        yield {
            "plain": {"url": url},
            "counted": {"url": url, "memory": MEMORY},
            "mortal": {"url": url, "memory": MEMORY, "limits": {"timeout": "2s", "connect": "500ms"}},
            "mcp-plain": mcp,
            "mcp-counted": {**mcp, "memory": MCP_MEMORY},
        }


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory, tools: dict[str, Any]) -> Iterator[list[Gateway]]:
    """Two replicas that share a Redis."""
    server = RedisServer()
    identify = [{"header": "x-agent-id"}]
    replicas = [
        Gateway(tmp_path_factory.mktemp("replica") / name, tools, state=server.url, identify=identify)
        for name in ("one", "other")
    ]
    for gateway in replicas:
        gateway.start()
    yield replicas
    for gateway in replicas:
        gateway.stop()
        assert "Traceback" not in gateway.output, gateway.output
    server.stop()


@pytest.fixture
def pair(replicas: list[Gateway]) -> list[Gateway]:
    """Both are there."""
    for gateway in replicas:
        if gateway.running.poll() is not None:
            gateway.start()
    return replicas


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, tools: dict[str, Any]) -> Iterator[list[Gateway]]:
    """One that shares nothing."""
    gateway = Gateway(tmp_path_factory.mktemp("alone"), tools, identify=[{"header": "x-agent-id"}]).start()
    yield [gateway]
    gateway.stop()
    assert "Traceback" not in gateway.output, gateway.output


def counted(tool: str, gateways: list[Gateway], notes: HeldNotes, *, moves: bool = False) -> tuple[int, list[Counter]]:
    """What the counter comes to when all agents have counted, each at a gateway or (``moves``) by turns at all of
    them."""
    key = f"{tool}-{uuid.uuid4().hex[:8]}"
    notes.put(key, "0")
    notes.crowd(key, AGENTS)
    at = [gateways[number % len(gateways) :] + gateways[: number % len(gateways)] for number in range(AGENTS)]
    agents = [Counter(f"{key}-{number}", tool, at[number], moves=moves) for number in range(AGENTS)]
    finish(together(*[partial(agent.count, key, TIMES) for agent in agents]))
    assert sum(agent.acknowledged for agent in agents) == AGENTS * TIMES, "nobody was told of anything else"
    return int(notes.texts[key]), agents


def test_side_by_side_at_one_gateway(alone: list[Gateway], notes: HeldNotes) -> None:
    """All read before the first of them writes."""
    right, agents = counted("counted", alone, notes)
    wrong, carefree = counted("plain", alone, notes)
    assert right == AGENTS * TIMES
    assert wrong <= AGENTS * TIMES - (AGENTS - 1)
    assert sum(agent.refused for agent in agents) >= AGENTS - 1
    assert sum(agent.refused for agent in carefree) == 0


@pytest.mark.parametrize("moves", [False, True], ids=["each-at-its-own", "by-turns"])
def test_side_by_side_at_two_gateways_that_share_a_redis(pair: list[Gateway], notes: HeldNotes, moves: bool) -> None:
    """Also where an agent reads at one of them and writes at the other."""
    right, agents = counted("counted", pair, notes, moves=moves)
    wrong, _ = counted("plain", pair, notes, moves=moves)
    assert right == AGENTS * TIMES
    assert wrong <= AGENTS * TIMES - (AGENTS - 1)
    assert sum(agent.refused for agent in agents) >= AGENTS - 1


# -- MCP --------------------------------------------------------------------------------------------------------


def said(result: CallToolResult) -> str:
    return "".join(part.text for part in result.content if isinstance(part, TextContent))


async def counted_by_mcp(tool: str, gateways: list[Gateway]) -> tuple[int, int]:
    """All agents read, then all write; who is refused begins again. What it comes to, and how many were refused."""
    name, refused = f"{tool}-{uuid.uuid4().hex[:8]}", 0

    async def read(client: Client) -> int:
        return int(said(await client.call_tool("read_note", {"name": name})))

    async def write(client: Client, number: int) -> bool:
        answer = await client.call_tool("write_note", {"name": name, "text": str(number)})
        assert not answer.is_error or "read it" in said(answer).lower(), said(answer)
        return not answer.is_error

    async with AsyncExitStack() as stack:
        clients = []
        for number in range(AGENTS):
            fields = {"x-agent-id": f"{name}-{number}", "x-run-id": "run"}
            url = f"{gateways[number % len(gateways)].url}/{tool}"
            http = await stack.enter_async_context(httpx2.AsyncClient(headers=fields, timeout=20, verify=False))
            clients.append(await stack.enter_async_context(Client(streamable_http_client(url, http_client=http))))
        assert (await clients[0].call_tool("read_note", {"name": name})).is_error, "there is nothing yet"
        assert await write(clients[0], 0)
        waiting = clients
        while waiting:
            numbers = await asyncio.gather(*[read(client) for client in waiting])
            done = await asyncio.gather(*[write(*each) for each in zip(waiting, [n + 1 for n in numbers], strict=True)])
            waiting = [client for client, ended in zip(waiting, done, strict=True) if not ended]
            refused += len(waiting)
        return await read(clients[0]), refused


@pytest.mark.parametrize("which", ["alone", "pair"])
async def test_side_by_side_by_mcp(which: str, request: pytest.FixtureRequest) -> None:
    gateways = request.getfixturevalue(which)
    assert await counted_by_mcp("mcp-plain", gateways) == (1, 0)
    right, refused = await counted_by_mcp("mcp-counted", gateways)
    assert right == AGENTS
    assert refused >= AGENTS - 1


def test_what_was_made_and_what_was_not_is_in_the_metrics(alone: list[Gateway], notes: HeldNotes) -> None:
    def told() -> tuple[float, float]:
        made = alone[0].metric('toolgate_coherence_writes_total{memory="counters",outcome="written"}')
        ways = ("refused", "overtaken", "unread")
        names = [f'toolgate_coherence_conflicts_total{{memory="counters",outcome="{way}"}}' for way in ways]
        return made, sum(alone[0].metric(name) for name in names)

    before = told()
    _, agents = counted("counted", alone, notes)
    refused = sum(agent.refused for agent in agents)
    eventually(lambda: told() == (before[0] + AGENTS * TIMES, before[1] + refused), what="all is counted")


# -- killed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(KILLS))
def test_no_acknowledged_count_is_lost_where_a_gateway_is_killed(
    pair: list[Gateway], notes: HeldNotes, number: int
) -> None:
    """With SIGKILL, while the tool has a write of each of two counters from it: one is carried out after that, one
    never is. Its agents go on at the other, which lets nobody write before both must be over."""
    one, other = pair
    keys = [f"carried-out-{number}", f"dropped-{number}"]
    agents = [
        [Counter(f"{key}-a", "mortal", [one, other]), Counter(f"{key}-b", "mortal", [one, other]),
         Counter(f"{key}-c", "mortal", [other])]
        for key in keys
    ]  # fmt: skip
    for key, (first, *_) in zip(keys, agents, strict=True):
        notes.put(key, "0")
        first.count(key, 2)
    held = [notes.hold(key) for key in keys]
    threads = together(*[partial(of[0].count, key, 3) for key, of in zip(keys, agents, strict=True)])
    for there, _ in held:
        assert there.wait(10), "a write is on its way"
    threads += together(
        *[partial(agent.count, key, 3) for key, of in zip(keys, agents, strict=True) for agent in of[1:]]
    )
    for of in agents:
        eventually(
            lambda of=of: all(agent.refused for agent in of[1:]), what="others are told that it is being written"
        )
    one.signal(signal.SIGKILL)
    one.wait()
    for (_, release), carried_out in zip(held, (True, False), strict=True):
        release(carried_out)
    finish(threads)
    for key, of, unheard in zip(keys, agents, (1, 0), strict=True):
        acknowledged, unknown = sum(agent.acknowledged for agent in of), sum(agent.unknown for agent in of)
        assert acknowledged + unknown == 11
        assert unknown >= 1
        assert int(notes.texts[key]) == acknowledged + unheard
