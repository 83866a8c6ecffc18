"""A server made with the official SDK, run by tests as a process that speaks stdio in both eras."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import anyio
from mcp.server.mcpserver import Context, MCPServer
from pydantic import BaseModel, Field

server = MCPServer("tester", log_level="WARNING")


class Name(BaseModel):
    name: str


@server.tool()
def add(a: int, b: int) -> int:
    return a + b


@server.tool()
def place(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
    return region


@server.tool()
def pid() -> int:
    return os.getpid()


@server.tool()
async def count(to: int, ctx: Context) -> str:
    for step in range(to):
        await ctx.report_progress(step + 1, to, f"step {step + 1}")
        await anyio.sleep(0.01)
    return "counted"


@server.tool()
async def greet(ctx: Context) -> str:
    answer = await ctx.elicit("Who are you?", Name)
    return f"Hello {answer.data.name}" if answer.action == "accept" else answer.action


@server.tool()
async def log(text: str, ctx: Context) -> str:
    await ctx.request_context.session.send_log_message(level="info", data=text)
    return "logged"


@server.tool()
async def change(ctx: Context) -> str:
    await ctx.notify_tools_changed()
    return "changed"


@server.tool()
async def wait(marks: str) -> str:
    """Wait to be cancelled, leaving marks."""
    Path(marks, "started").touch()
    try:
        await anyio.sleep(60)
    except anyio.get_cancelled_exc_class():
        Path(marks, "cancelled").touch()
        raise
    return "waited"


@server.tool()
async def pause(marks: str) -> str:
    """Return when told to by a file."""
    Path(marks, "started").touch()
    while not Path(marks, "go").exists():
        await anyio.sleep(0.02)
    return "went"


@server.tool()
def die() -> None:
    os._exit(3)


if __name__ == "__main__":
    server.run("stdio")
