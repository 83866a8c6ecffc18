"""What clients can listen for: changes of lists, updates of a resource, log messages of a level."""

from __future__ import annotations

from typing import Any

from mcp.server import MCPServer
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Context
from mcp_types import EmptyResult, SetLevelRequestParams, SubscribeRequestParams, UnsubscribeRequestParams

WATCHED = "test://watched-resource"


async def test_trigger_tool_change(ctx: Context) -> str:
    """Tells listeners that the list of tools has changed."""
    await ctx.notify_tools_changed()
    await ctx.session.send_tool_list_changed()
    return "Tool change triggered"


async def test_trigger_prompt_change(ctx: Context) -> str:
    """Tells listeners that the list of prompts has changed."""
    await ctx.notify_prompts_changed()
    await ctx.session.send_prompt_list_changed()
    return "Prompt change triggered"


async def touch(ctx: Context) -> str:
    """Tells listeners that the watched resource has changed; the suite does not call it, tests do."""
    await ctx.notify_resource_updated(WATCHED)
    await ctx.session.send_resource_updated(WATCHED)
    return "Resource update triggered"


async def test_logging_tool(ctx: Context) -> str:
    """Logs, which reaches only those who asked for logs."""
    await ctx.info("a line of the log")
    return "Logged"


async def _subscribe(ctx: ServerRequestContext[Any], params: SubscribeRequestParams) -> EmptyResult:
    return EmptyResult()


async def _unsubscribe(ctx: ServerRequestContext[Any], params: UnsubscribeRequestParams) -> EmptyResult:
    return EmptyResult()


async def _set_level(ctx: ServerRequestContext[Any], params: SetLevelRequestParams) -> EmptyResult:
    return EmptyResult()


def register(server: MCPServer) -> None:
    """Add the tools of this file and the handlers that the high-level server has no decorator for."""
    for fn in (test_trigger_tool_change, test_trigger_prompt_change, touch, test_logging_tool):
        server.add_tool(fn)
    lowlevel = server._lowlevel_server
    lowlevel.add_request_handler("resources/subscribe", SubscribeRequestParams, _subscribe)
    lowlevel.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, _unsubscribe)
    lowlevel.add_request_handler("logging/setLevel", SetLevelRequestParams, _set_level)
