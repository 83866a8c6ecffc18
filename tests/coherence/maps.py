"""Memories as a configuration declares them, and the calls and answers that they are about."""

from __future__ import annotations

import json
from typing import Any

import orjson

from gateway.coherence.memory_map import ToolMemory
from gateway.config.documents import documents_in
from gateway.config.memories import MemoryCompiler
from gateway.config.schema import ToolConfig
from gateway.model import Answered, Call, Request
from gateway.policy.engine import CelEngine
from gateway.policy.engines import load_engine
from gateway.understand.said import said_by_http, said_by_mcp
from tests.builders import call as a_call
from tests.builders import request, tool

ENGINE = load_engine("cel-expr-python", sql=False)
JSON = (b"Content-Type", b"application/json")


def memory(section: dict[str, Any], protocol: str = "http", engine: CelEngine = ENGINE) -> ToolMemory:
    """The memory of a tool with this section, which must be right."""
    written = {"url": "http://127.0.0.1:1", "protocol": protocol, "memory": section}
    (document,), _ = documents_in("t.yaml", json.dumps({"tools": {"notes": written}}).encode())
    config = ToolConfig.model_validate(written)
    assert config.memory is not None
    compiler = MemoryCompiler("notes", config, document, engine)
    declared = compiler.compile(config.memory)
    assert declared is not None, compiler.problems
    return ToolMemory(declared, said_by_mcp if protocol == "mcp" else said_by_http)


def http_call(method: str, target: str, *, fields: tuple[tuple[str, str], ...] = (), **args: Any) -> Call:
    """A plain HTTP call, with these arguments read."""
    came: Request = request(method, f"/notes{target}", fields)
    path = target.partition("?")[0]
    return a_call(f"{method} {path}", to=tool("notes"), of=came, target=target, args=args)


def mcp_call(operation: str, **args: Any) -> Call:
    """A call of an MCP server's tool."""
    came = request("POST", "/notes/mcp")
    return a_call(operation, to=tool("notes", protocol="mcp"), of=came, target="/mcp", args=args)


def answered(status: int = 200, *fields: tuple[str, str], kind: str = "application/json") -> Answered:
    """The head of an answer."""
    given = tuple([(name.encode(), value.encode("latin-1")) for name, value in fields])
    return Answered(status, 0.0, kind, fields=given)


def body(value: Any) -> bytes:
    """As JSON."""
    return orjson.dumps(value)


def result(value: dict[str, Any]) -> bytes:
    """A JSON-RPC response."""
    return body({"jsonrpc": "2.0", "id": 1, "result": value})


def event(data: bytes) -> bytes:
    """One event of a stream."""
    return b"event: message\ndata: " + data + b"\n\n"
