"""A described call as the request that an agent would send."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.config.described import Described
from gateway.model import Request

Asked = tuple[Request, bytes]
"""A request and its body."""

_ABOUT = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "resources/subscribe": "uri",
    "resources/unsubscribe": "uri",
}
"""MCP methods that are about something, and the parameter that says what."""


def request_of(described: Described, host: str) -> Asked:
    """The request, from the loopback, with ``host`` as its Host where the description names none."""
    body = _message(described) if described.operation else _body(described)
    headers = {name.lower(): value for name, value in described.headers.items()}
    headers.setdefault("host", host)
    if body and not isinstance(described.body, str):
        headers.setdefault("content-type", "application/json")
    fields = tuple((name.encode("latin-1"), value.encode("utf-8")) for name, value in headers.items())
    query = f"?{described.query}" if described.query else ""
    target = f"/{described.tool}{described.path}{query}"
    method = "POST" if described.operation else described.method.upper()
    return Request(method, target, "1.1", fields, dict(fields), len(body), "127.0.0.1", True), body


def _message(described: Described) -> bytes:
    """The JSON-RPC message of an MCP operation."""
    method, _, about = described.operation.partition(" ")
    if about == "" and "/" not in method and method not in ("initialize", "ping"):
        method, about = "tools/call", method
    params: dict[str, Any] = dict(described.args or {})
    if method in _ABOUT and about:
        params = {_ABOUT[method]: about} | ({"arguments": params} if _ABOUT[method] == "name" else {})
    return orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


def _body(described: Described) -> bytes:
    if isinstance(described.body, str):
        return described.body.encode()
    value: Any = described.args if described.args is not None else described.body
    return b"" if value is None else orjson.dumps(value)
