"""A token endpoint on the loopback that is as strict as the RFCs let it be, and can be made to fail in many ways."""

from __future__ import annotations

import base64
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
REPEATABLE = {"audience", "resource"}
"""RFC 8693, 2.1; RFC 8707, 2. Nothing else may stand twice (RFC 6749, 3.2)."""


class Idp:
    """``clients`` are ids with their secrets; ``assertions`` and ``subjects`` the tokens that are believed. Tokens are
    ``token``, with a number behind it. ``mode``: "" for as it should be."""

    def __init__(self, clients: dict[str, str] | None = None, token: str = "at-canary-access-token") -> None:
        self.clients = clients or {}
        self.assertions: set[str] = set()
        self.subjects: set[str] = set()
        self.token, self.mode, self.expires_in = token, "", 3600
        self.asked: list[list[tuple[str, str]]] = []
        self.given: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self) -> Idp:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, headers: Any, body: bytes) -> tuple[int, bytes]:
        members = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
        self.asked.append(members)
        if self.mode == "down":  # the worst that there is: it says what it was told
            return 500, json.dumps({"error": body.decode(), "authorization": headers.get("Authorization", "")}).encode()
        if self.mode == "malformed":
            return 200, json.dumps({"access_token": f"{self.token}\r\nX: y", "token_type": "Bearer"}).encode()
        if self.mode == "no json":
            return 200, b"<html>" + body
        if self.mode == "other type":
            return 200, json.dumps({"access_token": self.token, "token_type": "mac"}).encode()
        if self.mode == "huge":
            return 200, b'{"access_token": "' + b"x" * 200_000
        status, told = self._judged(headers, members)
        return status, json.dumps(told).encode()

    def _judged(self, headers: Any, members: list[tuple[str, str]]) -> tuple[int, dict[str, Any]]:
        told = dict(members)
        counts = Counter(name for name, _ in members)
        if headers["Content-Type"] != "application/x-www-form-urlencoded":
            return 400, {"error": "invalid_request"}
        if any(count > 1 and name not in REPEATABLE for name, count in counts.items()):
            return 400, {"error": "invalid_request"}
        who = self._client(headers, told)
        if who is None:
            return 401, {"error": "invalid_client", "error_description": "it said " + json.dumps(told)}
        if told.get("grant_type") == EXCHANGE:
            if not told.get("subject_token") or not told.get("subject_token_type"):
                return 400, {"error": "invalid_request"}
            if ("actor_token" in told) != ("actor_token_type" in told):
                return 400, {"error": "invalid_request"}
            if told["subject_token"] not in self.subjects:
                return 400, {"error": "invalid_grant", "error_description": told["subject_token"]}
        elif told.get("grant_type") != "client_credentials":
            return 400, {"error": "unsupported_grant_type"}
        token = f"{self.token}-{len(self.given) + 1}"
        self.given.append(token)
        granted = {"access_token": token, "token_type": "Bearer", "expires_in": self.expires_in}
        if told["grant_type"] == EXCHANGE:
            granted["issued_token_type"] = "urn:ietf:params:oauth:token-type:access_token"
        return 200, granted

    def _client(self, headers: Any, told: dict[str, str]) -> str | None:
        shown = []
        if (basic := headers.get("Authorization", "")).startswith("Basic "):
            user, _, password = base64.b64decode(basic[6:]).decode().partition(":")
            shown.append((unquote_plus(user), unquote_plus(password)))  # RFC 6749, 2.3.1
        if "client_secret" in told:
            shown.append((told.get("client_id", ""), told["client_secret"]))
        if "client_assertion" in told:
            kind = told.get("client_assertion_type")
            good = kind == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            return "by assertion" if good and told["client_assertion"] in self.assertions and not shown else None
        if not shown and told.get("grant_type") == EXCHANGE:
            return "public"
        if len(shown) != 1:  # RFC 6749, 2.3: not more than one method
            return None
        return shown[0][0] if self.clients.get(shown[0][0]) == shown[0][1] else None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        idp = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if idp.mode == "cut":
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
                    self.close_connection = True
                    return
                status, told = (302, body) if idp.mode == "redirect" else idp.answer(self.headers, body)
                self.send_response(status)
                if idp.mode == "redirect":
                    self.send_header("Location", f"/elsewhere?{body.decode()}")
                self.send_header("Cache-Control", "no-store")
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
