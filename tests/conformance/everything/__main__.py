"""Serve until killed: sessions, stateless calls and resumable streams on one address."""

from __future__ import annotations

import argparse

import uvicorn
from mcp.server import MCPServer

from . import asking, contents, rounds, shelf, subscriptions
from .events import Remembered


def build() -> MCPServer:
    """The server with all that the suite calls."""
    server: MCPServer = MCPServer(name="everything", version="1.0.0", log_level="WARNING")
    for part in (contents, asking, rounds, shelf, subscriptions):
        part.register(server)
    return server


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    app = build().streamable_http_app(event_store=Remembered(), retry_interval=100)
    # h11: the other parser that uvicorn would take, where it is installed, leaves spaces behind a field's value
    uvicorn.run(app, host="127.0.0.1", port=port, http="h11", log_level="warning")


if __name__ == "__main__":
    main()
