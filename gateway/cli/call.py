"""A call described in a file, as the Call that the gateway would make of it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from time import time
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, Field, JsonValue, ValidationError, model_validator

from gateway.config.documents import Document, documents_in, read_documents
from gateway.config.fields import HeaderName, HeaderValue, Listed, Model
from gateway.config.files import Files
from gateway.config.load import Loaded
from gateway.config.model_errors import Mistake, mistakes
from gateway.errors import ConfigError, Problem
from gateway.model import Agent, Call, Request, Run
from gateway.policy.hints import nearest
from gateway.streets import Kept, Streets
from gateway.understand.route import Router


def _path(value: str) -> str:
    if not re.fullmatch(r"/[!-~]*", value) or "?" in value or "#" in value:
        raise ValueError(f"not a path: {value!r}; write it below the tool, such as /notes/1, percent-encoded")
    return value


class Described(Model):
    """A call in words. ``args`` or ``body`` stand for the request's body; a ``body`` of text is sent as it stands.

    ``operation`` is for MCP servers: a tool's name, called with ``args``, or a method with what it is about
    (``resources/read file:///notes``).
    """

    agent: str = Field(min_length=1)
    roles: Listed[str] = ()
    run: str = ""
    tool: str
    method: HeaderName = "GET"
    path: Annotated[str, AfterValidator(_path)] = "/"
    operation: str = Field(default="", max_length=4096)
    query: str = ""
    headers: dict[HeaderName, HeaderValue] = Field(default={})
    args: dict[str, JsonValue] | None = None
    body: JsonValue = None

    @model_validator(mode="after")
    def _one_body(self) -> Described:
        if self.args is not None and self.body is not None:
            raise ValueError("args and body are both given; keep one of them")
        if self.operation and self.body is not None:
            raise ValueError("operation and body are both given; keep one of them, with args")
        return self


def described(path: Path, loaded: Loaded) -> Described:
    """Read the description of one call; the path ``-`` is standard input.

    Raises:
        ConfigError: it cannot be used; with every mistake and its place.
    """
    if str(path) == "-":
        documents, problems = documents_in("<stdin>", sys.stdin.buffer.read())
    else:
        documents, problems = read_documents(path, Files())
    if problems or len(documents) != 1:
        raise ConfigError(
            problems or [Problem(str(path), 1, 1, "describe one call", "write agent, tool, method, path")]
        )
    document = documents[0]
    try:
        call = Described.model_validate(document.root.plain())
    except ValidationError as error:
        raise ConfigError([document.mistake(mistake) for mistake in mistakes(error, Described)]) from None
    _check_tool(document, call, loaded)
    return call


def _check_tool(document: Document, call: Described, loaded: Loaded) -> None:
    protocols = {tool.name: tool.protocol for tool in loaded.tools}
    if call.operation and protocols.get(call.tool, "mcp") != "mcp":
        message = f"operation is for MCP servers, and {call.tool} speaks {protocols[call.tool]}"
        raise ConfigError([document.mistake(Mistake(("operation",), message, "write method and path"))])
    names = [tool.name for tool in loaded.tools]
    if call.tool not in names:
        near = nearest(call.tool, names)
        hint = f"did you mean {near}?" if near else f"configured are {', '.join(names)}"
        raise ConfigError([document.mistake(Mistake(("tool",), f"no tool named {call.tool!r} is configured", hint))])


def call_of(described: Described, loaded: Loaded) -> Call:
    """The call, read as a request of this agent would be.

    Raises:
        Refused: the request cannot be read in one way only; the gateway would refuse it for that.
    """
    body = _message(described) if described.operation else _body(described)
    headers = {name.lower(): value for name, value in described.headers.items()}
    headers.setdefault("host", str(loaded.config.listen))
    if body and not isinstance(described.body, str):
        headers.setdefault("content-type", "application/json")
    fields = tuple((name.encode("latin-1"), value.encode("utf-8")) for name, value in headers.items())
    query = f"?{described.query}" if described.query else ""
    target = f"/{described.tool}{described.path}{query}"
    method = "POST" if described.operation else described.method.upper()
    request = Request(method, target, "1.1", fields, dict(fields), len(body), "127.0.0.1", True)
    route = Router(loaded.tools).route(request)
    reader = Streets(loaded, Kept(), time).of(route.tool).reader
    agent = Agent(described.agent, described.roles, "described")
    return reader.read("explain", request, route, agent, Run(described.run), body or None)


_ABOUT = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "resources/subscribe": "uri",
    "resources/unsubscribe": "uri",
}
"""MCP methods that are about something, and the parameter that says what."""


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
