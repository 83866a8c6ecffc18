"""A real MCP server (official SDK) for tests of the command line, whose tools a test can change while it runs.

``python -m tests.cli.mcp_server STATE [json] [stateless]`` prints its port. STATE is a JSON file with the tools'
descriptions by name; it is read anew for each list. It wants ``Authorization: Bearer right``.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn
from mcp.server.lowlevel import Server
from mcp_types import ListToolsResult, PaginatedRequestParams, Tool, ToolAnnotations
from starlette.types import ASGIApp, Receive, Scope, Send

_PAGE = 2


def main() -> None:
    state = Path(sys.argv[1])

    async def list_tools(_: Any, params: PaginatedRequestParams | None) -> ListToolsResult:
        tools = [_tool(name, text) for name, text in json.loads(state.read_text()).items()]
        start = int(params.cursor) if params is not None and params.cursor else 0
        more = str(start + _PAGE) if start + _PAGE < len(tools) else None
        return ListToolsResult(tools=tools[start : start + _PAGE], next_cursor=more)

    server: Server[Any] = Server("docs", on_list_tools=list_tools)
    app = server.streamable_http_app(json_response="json" in sys.argv, stateless_http="stateless" in sys.argv)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(_guarded(app), log_level="warning")).run(sockets=[listener])


def _guarded(app: ASGIApp) -> ASGIApp:
    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (b"authorization", b"Bearer right") not in scope["headers"]:
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b"who are you?\x1b[2J"})
            return
        await app(scope, receive, send)

    return guarded


def _tool(name: str, description: str) -> Tool:
    schema = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
    return Tool(
        name=name,
        description=description,
        input_schema=schema,
        annotations=ToolAnnotations(read_only_hint=name.startswith("search")),
    )


if __name__ == "__main__":
    main()
