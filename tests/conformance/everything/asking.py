"""Tools that talk while they work, in the way of revisions to 2025-11-25: logs, progress, questions to the client."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.shared.message import ServerMessageMetadata
from mcp_types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    SamplingMessage,
    TextContent,
)

STEP = 0.05
"""Seconds between two messages of a tool, as the suite asks for."""

ANSWER = {
    "type": "object",
    "properties": {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    },
    "required": ["username", "email"],
}
DEFAULTS = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "User name", "default": "John Doe"},
        "age": {"type": "integer", "description": "User age", "default": 30},
        "score": {"type": "number", "description": "User score", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "description": "Verification status", "default": True},
    },
    "required": [],
}


def _titled(*names: str) -> list[dict[str, str]]:
    return [{"const": f"value{number}", "title": name} for number, name in enumerate(names, 1)]


ENUMS = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {"type": "string", "oneOf": _titled("First Option", "Second Option", "Third Option")},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
        "titledMulti": {"type": "array", "items": {"anyOf": _titled("First Choice", "Second Choice", "Third Choice")}},
    },
    "required": [],
}


async def _elicit(ctx: Context, message: str, schema: dict[str, Any]) -> str:
    """Ask the user, on the stream of this very call; what came of it as text."""
    asked = ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))
    where = ServerMessageMetadata(related_request_id=ctx.request_id)
    answer = await ctx.session.send_request(asked, ElicitResult, metadata=where)
    return f"action={answer.action}, content={answer.content}"


async def test_tool_with_logging(ctx: Context) -> str:
    """Sends three log messages."""
    await ctx.info("Tool execution started")
    await asyncio.sleep(STEP)
    await ctx.info("Tool processing data")
    await asyncio.sleep(STEP)
    await ctx.info("Tool execution completed")
    return "Tool with logging executed successfully"


async def test_tool_with_progress(ctx: Context) -> str:
    """Reports its progress in three steps."""
    for step in (0, 50, 100):
        await ctx.report_progress(step, 100, f"Completed step {step} of 100")
        await asyncio.sleep(STEP)
    return "Tool with progress executed successfully"


async def test_sampling(prompt: str, ctx: Context) -> str:
    """Asks the client's model."""
    asked = CreateMessageRequest(
        params=CreateMessageRequestParams(
            messages=[SamplingMessage(role="user", content=TextContent(type="text", text=prompt))], max_tokens=100
        )
    )
    where = ServerMessageMetadata(related_request_id=ctx.request_id)
    answer = await ctx.session.send_request(asked, CreateMessageResult, metadata=where)
    content = answer.content
    return f"LLM response: {content.text if isinstance(content, TextContent) else content.type}"


async def test_elicitation(message: str, ctx: Context) -> str:
    """Asks the user."""
    return f"User response: {await _elicit(ctx, message, ANSWER)}"


async def test_elicitation_sep1034_defaults(ctx: Context) -> str:
    """Asks the user, with a default for every primitive type."""
    return f"Elicitation completed: {await _elicit(ctx, 'Please provide user information', DEFAULTS)}"


async def test_elicitation_sep1330_enums(ctx: Context) -> str:
    """Asks the user, with every kind of enumeration."""
    return f"Elicitation completed: {await _elicit(ctx, 'Please select options', ENUMS)}"


async def test_reconnection(ctx: Context) -> str:
    """Ends its own stream half-way: the client comes back for the rest with Last-Event-ID."""
    await ctx.info("Before disconnect")
    await ctx.close_sse_stream()
    await asyncio.sleep(0.3)
    await ctx.info("After reconnect")
    return "Reconnection test completed"


async def wait(seconds: float, kind: Literal["progress", "silent"] = "silent", ctx: Context | None = None) -> str:
    """Works for a while; the suite does not call it, tests of cancellation do."""
    assert ctx is not None
    loop = asyncio.get_running_loop()
    began = loop.time()
    WAITING.add(ctx.request_id)
    try:
        while (spent := loop.time() - began) < seconds:
            if kind == "progress":
                await ctx.report_progress(spent, seconds)
            await asyncio.sleep(min(STEP, seconds))
    finally:
        WAITING.discard(ctx.request_id)
    return f"waited {seconds} s"


WAITING: set[str] = set()
"""Calls of ``wait`` under way."""


def waiting() -> int:
    """How many calls of the tool ``wait`` are under way."""
    return len(WAITING)


def register(server: MCPServer) -> None:
    """Add the tools of this file."""
    for fn in (
        test_tool_with_logging, test_tool_with_progress, test_sampling, test_elicitation,
        test_elicitation_sep1034_defaults, test_elicitation_sep1330_enums, test_reconnection, wait, waiting,
    ):  # fmt: skip
        server.add_tool(fn)
