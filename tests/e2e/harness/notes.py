"""Tools as naive as those that agents share: notes over HTTP, by which a test can hold up who reads and writes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote


class Notes:
    """``GET``, ``PUT``, ``DELETE /notes/ID`` with ``{"text": ...}``, ``GET`` and ``POST /notes``.

    ``tags``: answers have an ETag, and If-Match and If-None-Match are heeded. Without, whoever writes last wins.
    """

    def __init__(self, *, tags: bool = False) -> None:
        self.texts: dict[str, str] = {}
        self.revisions: dict[str, int] = {}
        self.tags = tags
        self.lock = threading.Lock()
        self.heard: list[tuple[str, str, dict[str, str]]] = []
        """Method, path and fields of each request, names in lower case."""
        self.before: Callable[[str, str], None] = lambda method, path: None
        """Is called with method and path before a request is answered."""
        self.fail: dict[str, int] = {}
        """Statuses of the next answers to these methods, in the place of the tool's own; a write is made all the
        same."""
        notes = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                notes.before(self.command, self.path)
                fields = {name.lower(): value for name, value in self.headers.items()}
                with notes.lock:
                    notes.heard.append((self.command, self.path, fields))
                    status, value, more = notes.answer(self.command, unquote(self.path), fields, body)
                data = b"" if value is None else json.dumps(value).encode()
                self.send_response(notes.fail.pop(self.command, status))
                for name, text in more.items():
                    self.send_header(name, text)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def put(self, key: str, text: str) -> None:
        """Write it past the gateway."""
        with self.lock:
            self._put(key, text)

    def _put(self, key: str, text: str) -> None:
        self.texts[key] = text
        self.revisions[key] = self.revisions.get(key, 0) + 1

    def _tag(self, key: str) -> dict[str, str]:
        return {"ETag": f'"{self.revisions[key]}"'} if self.tags and key in self.texts else {}

    def answer(
        self, method: str, path: str, fields: dict[str, str], body: bytes
    ) -> tuple[int, Any, dict[str, str]]:  # fmt: skip
        """Status, JSON and more fields."""
        key = path.partition("?")[0].removeprefix("/notes").strip("/")
        if not key:
            return self._all(method, body)
        tag = self._tag(key)
        if method in ("GET", "HEAD"):
            if key not in self.texts:
                return 404, {"error": "no such note"}, {}
            if tag and fields.get("if-none-match") == tag["ETag"]:
                return 304, None, tag
            return 200, {"id": key, "text": self.texts[key]}, tag
        wanted, unless = fields.get("if-match"), fields.get("if-none-match")
        if self.tags and ((wanted and wanted != tag.get("ETag")) or (unless == "*" and key in self.texts)):
            return 412, {"error": "it is not as you think"}, {}
        if method == "DELETE":
            return (204 if self.texts.pop(key, None) is not None else 404), None, {}
        self._put(key, json.loads(body)["text"])
        return 200, {"saved": key}, self._tag(key)

    def _all(self, method: str, body: bytes) -> tuple[int, Any, dict[str, str]]:
        if method == "POST":
            key = f"n{len(self.revisions)}"
            self._put(key, json.loads(body)["text"])
            return 201, {"id": key}, {}
        return 200, {"items": [{"id": key, "text": text} for key, text in self.texts.items()]}, {}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
