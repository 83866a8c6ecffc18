"""An MCP server with notes that knows no versions: whoever writes last wins."""

from __future__ import annotations

import argparse

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

NOTES: dict[str, str] = {}


def read_note(name: str, head: int | None = None) -> str:
    """What stands in a note, or its first characters."""
    if name not in NOTES:
        raise ToolError(f"there is no note {name}")
    return NOTES[name] if head is None else NOTES[name][:head]


def write_note(name: str, text: str) -> str:
    """Write a note. A text of "fail" is an error."""
    if text == "fail":
        raise ToolError("it could not be written")
    NOTES[name] = text
    return "written"


def list_notes() -> list[dict[str, str]]:
    """All notes."""
    return [{"name": name, "text": text} for name, text in NOTES.items()]


def stored(name: str) -> str:
    """A note as a resource."""
    return NOTES[name]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    server = MCPServer(name="notes", version="1.0.0", log_level="WARNING")
    for tool in (read_note, write_note, list_notes):
        server.tool()(tool)
    server.resource("note://{name}")(stored)
    app = server.streamable_http_app(json_response=options.json)
    uvicorn.run(app, host="127.0.0.1", port=options.port, http="h11", log_level="warning")


if __name__ == "__main__":
    main()
