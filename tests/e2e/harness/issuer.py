"""An issuer of tokens on this machine, which is a cluster's API server besides."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.tokens import Issuer

OWN = "the gateway's own token"
"""What the API server knows the gateway by."""


class IssuerServer:
    """Shows ``keys``, and knows the tokens in ``accounts`` (by name, of service accounts)."""

    def __init__(self, algorithm: str = "ES256") -> None:
        self.fetched: list[str] = []
        self.accounts: dict[str, str] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.issuer = Issuer(self.url, "first", algorithm)
        self.keys = self.issuer.keys()
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def token(self, **claims: Any) -> str:
        return self.issuer.token(time.time(), **claims)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _reviewed(self, review: Any) -> dict[str, Any]:
        spec = review["spec"]
        name = self.accounts.get(spec["token"])
        if name is None or "toolgate" not in spec["audiences"]:
            return {"authenticated": False, "error": "invalid bearer token"}
        extra = {"authentication.kubernetes.io/pod-name": [f"{name.rpartition(':')[2]}-0"]}
        user = {"username": name, "groups": ["system:serviceaccounts"], "extra": extra}
        return {"authenticated": True, "user": user, "audiences": ["toolgate"]}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.fetched.append(self.path)
                if self.path == "/jwks":
                    self._answer(200, server.keys)
                else:
                    self._answer(404, b"{}")

            def do_POST(self) -> None:
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.fetched.append(self.path)
                if self.headers["Authorization"] != f"Bearer {OWN}":
                    self._answer(401, b"{}")
                else:
                    self._answer(201, json.dumps({**review, "status": server._reviewed(review)}).encode())

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler
