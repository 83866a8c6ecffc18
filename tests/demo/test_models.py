"""The demo's MCP server and model, asked by the official SDKs."""

from __future__ import annotations

from contextlib import asynccontextmanager

import aiohttp
import pytest
from mcp import Client
from openai import AsyncOpenAI

from gateway.demo.library import POISON, TOOLS
from gateway.demo.tools import serve

OFFERED = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "required": required}}}
    for name, required in (("search", ["query"]), ("delete_all", []))
]


@asynccontextmanager
async def base(name: str):
    """The base URL of a tool that runs meanwhile."""
    runner = await serve(name, 0)
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_the_library_speaks_both_eras_of_mcp(mode):
    async with base("library") as url, Client(f"{url}/mcp", mode=mode) as client:
        tools = (await client.list_tools()).tools
        assert tuple(tool.name for tool in tools) == TOOLS
        assert [tool.annotations.destructive_hint for tool in tools] == [None, None, True]
        found = await client.call_tool("search", {"query": "tides", "limit": 1})
        assert (found.content[0].text, found.is_error) == ("tides", False)
        assert (await client.call_tool("read_note", {"name": "tides"})).content[0].text.startswith("High water")
        await client.call_tool("delete_all", {})
        assert (await client.call_tool("read_note", {"name": "tides"})).content[0].text == "there is no such note"


async def test_a_description_changes_on_command_and_changes_back():
    async with base("library") as url, aiohttp.ClientSession() as operator, Client(f"{url}/mcp") as client:
        original = (await client.list_tools(cache_mode="bypass")).tools[0].description
        for poisoned, expected in ((True, original + POISON), (False, original)):
            async with operator.post(f"{url}/_chaos", json={"poisoned": poisoned}) as answer:
                assert answer.status == 200
            assert (await client.list_tools(cache_mode="bypass")).tools[0].description == expected


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("tools/grow", {}, -32601),
        ("tools/call", {"name": "grow"}, -32602),
        ("tools/call", {"name": "search", "arguments": {"query": 7}}, -32602),
        ("tools/list", {"_meta": {"io.modelcontextprotocol/protocolVersion": "1999-01-01"}}, -32022),
    ],
)
async def test_what_the_library_cannot_do_is_an_error(method, params, code):
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    async with base("library") as url, aiohttp.ClientSession() as session:
        async with session.post(f"{url}/mcp", json=message) as answer:
            assert (await answer.json())["error"]["code"] == code


async def test_the_model_proposes_every_tool_that_it_is_offered_streamed_or_not():
    async with base("llm") as url, AsyncOpenAI(base_url=f"{url}/v1", api_key="-") as client:
        asked = {"model": "demo-1", "messages": [{"role": "user", "content": "about tides"}], "tools": OFFERED}
        whole = await client.chat.completions.create(**asked)
        calls = [(call.function.name, call.function.arguments) for call in whole.choices[0].message.tool_calls]
        assert calls == [("search", '{"query":"tides"}'), ("delete_all", "{}")]
        assert whole.choices[0].finish_reason == "tool_calls"
        assert whole.usage.prompt_tokens > 0 < whole.usage.completion_tokens
        async with client.chat.completions.stream(**asked, stream_options={"include_usage": True}) as stream:
            last = await stream.get_final_completion()
        streamed = [(call.function.name, call.function.arguments) for call in last.choices[0].message.tool_calls]
        assert streamed == calls
        assert last.choices[0].message.content == whole.choices[0].message.content
        assert last.usage.completion_tokens == whole.usage.completion_tokens


async def test_the_model_only_talks_where_it_is_offered_nothing():
    async with base("llm") as url, AsyncOpenAI(base_url=f"{url}/v1", api_key="-") as client:
        told = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}])
    assert told.choices[0].finish_reason == "stop"
    assert told.choices[0].message.tool_calls is None
