"""A client on the official Python SDK that does all that a server offers: the client under test of client scenarios.

``python -m tests.conformance.client URL``. The suite tells the revision and, for some scenarios, which calls to make
through the environment. What goes wrong is printed and passed over: the suite's server judges what it saw.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2
from mcp import Client
from mcp.client.session import ClientRequestContext
from mcp.client.streamable_http import streamable_http_client
from mcp_types import (
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequestFormParams,
    ElicitRequestParams,
    ElicitResult,
    ListRootsResult,
    TextContent,
    Tool,
)

from . import oauth

_SAMPLES: Mapping[str, Any] = {"string": "text", "integer": 5, "number": 3, "boolean": True, "array": []}


async def elicited(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    """Accept what is asked, with the defaults of the form, or a sample where a field has none."""
    assert isinstance(params, ElicitRequestFormParams)
    fields = params.requested_schema.get("properties", {})
    content = {name: schema.get("default", _SAMPLES.get(schema.get("type"))) for name, schema in fields.items()}
    return ElicitResult(action="accept", content=content)


async def sampled(context: ClientRequestContext, params: CreateMessageRequestParams) -> CreateMessageResult:
    """Say always the same."""
    return CreateMessageResult(role="assistant", content=TextContent(type="text", text="sampled"), model="none")


async def roots(context: ClientRequestContext) -> ListRootsResult:
    """Have no roots."""
    return ListRootsResult(roots=[])


def sample(tool: Tool, tools: list[Tool]) -> dict[str, Any]:
    """Arguments that fit a tool's schema. An object is another tool's schema, which lets a server see what we kept."""
    found: dict[str, Any] = {}
    for name, schema in tool.input_schema.get("properties", {}).items():
        kind = schema.get("type")
        if "enum" in schema:
            found[name] = schema["enum"][0]
        elif kind == "object":
            found[name] = tools[0].input_schema
        elif kind in _SAMPLES:
            found[name] = _SAMPLES[kind]
    return found


async def told(what: str, doing: Awaitable[Any]) -> Any:
    """The result of one step; None, and a line, where it failed."""
    try:
        return await doing
    except Exception as error:
        print(f"{what}: {type(error).__name__}: {error}")
        return None


async def use(client: Client, calls: list[dict[str, Any]]) -> None:
    """List and use all tools, resources and prompts; ``calls`` instead of sample arguments where given."""
    listed = await told("tools/list", client.list_tools())
    tools = listed.tools if listed else []
    calls = calls or [{"name": tool.name, "arguments": sample(tool, tools)} for tool in tools]
    for call in calls:
        await told(call["name"], client.call_tool(call["name"], call["arguments"]))
    capabilities = client.server_capabilities
    if capabilities.resources is not None:
        for resource in (await client.list_resources()).resources:
            await told(str(resource.uri), client.read_resource(resource.uri))
    if capabilities.prompts is not None:
        for prompt in (await client.list_prompts()).prompts:
            arguments = {argument.name: "text" for argument in prompt.arguments or ()}
            await told(prompt.name, client.get_prompt(prompt.name, arguments))


async def run(url: str, revision: str, calls: list[dict[str, Any]], http: httpx2.AsyncClient) -> None:
    """Use the server at ``url`` as clients of a revision do."""
    async with (
        http,
        Client(
            streamable_http_client(url, http_client=http),
            mode="legacy" if revision < "2026" else "auto",
            elicitation_callback=elicited,
            sampling_callback=sampled,
            list_roots_callback=roots,
            read_timeout_seconds=20,
        ) as client,
    ):
        await use(client, calls)


def main(url: str, proxy: str | None = None) -> None:
    """Use the server at ``url``, through an HTTP proxy where there is one, as the environment says."""
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    auth = oauth.provider(url, context) if os.environ["MCP_CONFORMANCE_SCENARIO"].startswith("auth/") else None
    parts = urlsplit(url)
    mounts = {f"{parts.scheme}://{parts.netloc}": httpx2.AsyncHTTPTransport(proxy=proxy)} if proxy else None
    timeout = httpx2.Timeout(30, read=300)
    http = httpx2.AsyncClient(auth=auth, mounts=mounts, timeout=timeout, trust_env=False)
    asyncio.run(run(url, os.environ["MCP_CONFORMANCE_PROTOCOL_VERSION"], context.get("toolCalls", []), http))


if __name__ == "__main__":
    main(sys.argv[-1])
