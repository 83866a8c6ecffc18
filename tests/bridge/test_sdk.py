"""The official SDK's client over HTTP, the bridge, the official SDK's server over stdio: as if there were no bridge."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from mcp import Client, MCPError

from tests.bridge.support import SDK_SERVER, bridge

ERAS = pytest.mark.parametrize("mode", ["legacy", "auto"])


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with bridge(server=SDK_SERVER) as (url, _):
        yield url


async def seen(path: Path) -> None:
    async with asyncio.timeout(10):
        while not path.exists():
            await asyncio.sleep(0.02)


def text(result: Any) -> str:
    return result.content[0].text


async def counted(client: Client, to: int) -> None:
    steps = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, total, message))

    assert text(await client.call_tool("count", {"to": to}, progress_callback=note)) == "counted"
    assert steps == [(step, to, f"step {step}") for step in range(1, to + 1)]


@ERAS
async def test_tools_are_listed_and_called_and_tell_of_their_progress(url: str, mode: str) -> None:
    async with Client(url, mode=mode) as client:
        assert client.protocol_version == ("2025-11-25" if mode == "legacy" else "2026-07-28")
        assert {"add", "count", "greet"} <= {tool.name for tool in (await client.list_tools()).tools}
        assert (await client.call_tool("add", {"a": 2, "b": 3})).structured_content == {"result": 5}
        await counted(client, 6)


async def test_two_clients_at_once_have_each_their_own_progress(url: str) -> None:
    # The SDK numbers requests, and so progress tokens, from the start in each client: the two are the same here.
    async with Client(url) as one, Client(url) as two:
        await asyncio.gather(counted(one, 5), counted(two, 7))


async def test_an_elicitation_reaches_the_client_in_the_middle_of_its_call(url: str) -> None:
    async def answer(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        assert params.message == "Who are you?"
        return types.ElicitResult(action="accept", content={"name": "Ada"})

    async with Client(url, mode="legacy", elicitation_callback=answer) as client:
        assert text(await client.call_tool("greet", {})) == "Hello Ada"


async def test_logs_go_to_the_request_that_asked_for_them(url: str) -> None:
    logs: list[Any] = []

    async def note(params: types.LoggingMessageNotificationParams) -> None:
        logs.append(params.data)

    async with Client(url, logging_callback=note, log_level="info") as client:
        assert text(await client.call_tool("log", {"text": "here"})) == "logged"
    assert logs == ["here"]


async def test_each_subscription_hears_of_changes_under_its_own_id(url: str) -> None:
    async with (
        Client(url) as one,
        Client(url) as two,
        one.listen(tools_list_changed=True) as first,
        two.listen(tools_list_changed=True) as second,
    ):
        assert first.subscription_id != second.subscription_id
        await one.call_tool("change", {})
        async with asyncio.timeout(10):
            assert type(await anext(first)) is type(await anext(second))


@ERAS
async def test_a_cancelled_call_is_cancelled_in_the_server(url: str, mode: str, tmp_path: Path) -> None:
    async with Client(url, mode=mode) as client:
        call = asyncio.create_task(client.call_tool("wait", {"marks": str(tmp_path)}))
        await seen(tmp_path / "started")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await seen(tmp_path / "cancelled")
        assert text(await client.call_tool("add", {"a": 1, "b": 1})) == "2"


async def test_a_crash_is_an_error_for_its_call_and_the_next_call_finds_a_new_process(url: str) -> None:
    async with Client(url) as client:
        with pytest.raises(MCPError, match="exit status 3"):
            await client.call_tool("die", {})
        assert text(await client.call_tool("add", {"a": 1, "b": 1})) == "2"
