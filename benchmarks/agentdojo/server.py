"""The tools of AgentDojo's suites over HTTP: ``POST /SUITE/TOOL`` with the arguments as a JSON object.

Each run (``X-Run-Id``) has an environment of its own, which the player puts in and looks at afterwards.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from agentdojo.functions_runtime import FunctionsRuntime
from pydantic import BaseModel


class Worlds:
    """The environments of all runs under way."""

    def __init__(self) -> None:
        self.runtimes: dict[str, FunctionsRuntime] = {}
        self._worlds: dict[str, Any] = {}

    def put(self, run: str, environment: Any) -> None:
        """Let the run have this environment."""
        self._worlds[run] = environment

    def take(self, run: str) -> Any:
        """The environment as the run has left it."""
        return self._worlds.pop(run)

    def call(self, suite: str, tool: str, run: str, args: dict[str, Any]) -> tuple[int, Any]:
        """Status and JSON of one call."""
        result, error = self.runtimes[suite].run_function(self._worlds[run], tool, args)
        return (200, {"result": plain(result)}) if error is None else (422, {"error": error})


def plain(value: Any) -> Any:
    """JSON of what a tool gives."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def serve(worlds: Worlds) -> int:
    """Serve on loopback, in threads; the port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = 1 << 16

        def do_POST(self) -> None:
            _, suite, tool = self.path.split("/", 2)
            args = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            status, told = worlds.call(suite, tool, self.headers["X-Run-Id"], args)
            body = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet: there are thousands of calls."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return int(server.server_address[1])
