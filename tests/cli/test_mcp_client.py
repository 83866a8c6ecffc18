"""The small MCP client against servers that the official SDK does not stand for: old ones, odd ones, hostile ones."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.cli.mcp_client import Listing, Server, list_tools
from gateway.cli.mcp_exchange import McpError

Message = dict[str, Any]
Handler = Callable[[web.Request, Message], web.Response | Awaitable[web.StreamResponse]]
TOOL = {"name": "search", "inputSchema": {"type": "object"}}


async def asked(handler: Handler, timeout: float = 5.0) -> tuple[Listing, list[tuple[str, Message | None]]]:
    """What a server answers, and what it was sent: method and message of each request."""
    sent: list[tuple[str, Message | None]] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        message = await request.json() if request.method == "POST" else None
        sent.append((request.method, message))
        if message is None:
            return web.Response()
        answer = handler(request, message)
        return answer if isinstance(answer, web.StreamResponse) else await answer

    app = web.Application()
    app.router.add_route("*", "/mcp", serve)
    async with TestServer(app) as server:
        return await list_tools(Server(str(server.make_url("/mcp")), (("X-Key", "k"),), timeout=timeout)), sent


def result(message: Message, value: Message, **more: Any) -> web.Response:
    return web.json_response({"jsonrpc": "2.0", "id": message["id"], "result": value}, **more)


def old(request: web.Request, message: Message) -> web.Response:
    """A server of 2025-03-26 with sessions, which answers in events, after a ping and a notification, in a batch."""
    if message["method"] == "initialize":
        return result(message, {"protocolVersion": "2025-03-26"}, headers={"Mcp-Session-Id": "s1"})
    if request.headers.get("Mcp-Session-Id") != "s1" or request.headers["X-Key"] != "k":
        return web.json_response({"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": "?"}}, status=400)
    assert request.headers["MCP-Protocol-Version"] == "2025-03-26"
    if "id" not in message:
        return web.Response(status=202)
    answer = {"jsonrpc": "2.0", "id": message["id"], "result": {"tools": [TOOL]}}
    events = [
        ": hello",
        'data: {"jsonrpc":"2.0","id":1,"method":"ping"}',
        'data: {"jsonrpc":"2.0","method":"notifications/message","params":{}}',
        "data: [" + json.dumps(answer, indent=1).replace("\n", "\ndata: ") + "]",
    ]
    return web.Response(
        body="\r\n\r\n".join([*events, ""]).replace("\ndata", "\r\ndata"), content_type="text/event-stream"
    )


async def test_an_old_server_is_asked_by_handshake_in_its_revision_and_the_session_ended() -> None:
    listing, sent = await asked(old)
    assert listing == Listing((TOOL,), "2025-03-26")
    told = [message["method"] if message else method for method, message in sent]
    assert told == ["server/discover", "initialize", "notifications/initialized", "tools/list", "DELETE"]
    assert "_meta" not in (sent[3][1] or {})["params"]


async def test_pages_are_read_to_the_end_and_cursors_passed_back() -> None:
    def paged(request: web.Request, message: Message) -> web.Response:
        assert request.headers["Mcp-Method"] == message["method"]
        assert message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
        if message["method"] == "server/discover":
            return result(message, {"supportedVersions": ["2026-07-28"]})
        at = int(message["params"].get("cursor", "0"))
        more = {"nextCursor": str(at + 1)} if at < 3 else {}
        return result(message, {"tools": [{**TOOL, "name": f"t{at}"}], **more})

    listing, sent = await asked(paged)
    assert [tool["name"] for tool in listing.tools] == ["t0", "t1", "t2", "t3"]
    assert len(sent) == 5


def answering(value: Any, **more: Any) -> Handler:
    """A stateless server with this answer to tools/list."""

    def handler(_: web.Request, message: Message) -> web.Response:
        if message["method"] == "server/discover":
            return result(message, {"supportedVersions": ["2026-07-28"]})
        return web.json_response(value, **more) if not callable(value) else value(message)

    return handler


@pytest.mark.parametrize(
    ("handler", "told"),
    [
        (answering(lambda m: result(m, {"tools": [{"title": "x"}]})), "no tool with a name"),
        (answering(lambda m: result(m, {"tools": "x"})), "no tool with a name"),
        (answering(lambda m: result(m, {"tools": [TOOL], "nextCursor": "x"})), "does not end: 2 tools in 2 pages"),
        (answering(lambda m: web.Response(text='{"a":1,"a":2}', content_type="application/json")), "cannot be read"),
        (answering(lambda m: web.Response(text="<html>", content_type="text/html")), "is this the URL of an MCP"),
        (answering({"jsonrpc": "2.0", "id": 99, "result": {}}), "there is no answer to tools/list"),
        (
            answering({"jsonrpc": "2.0", "id": 2, "error": {"code": -1, "message": "\x1bno"}}),
            "tools/list: -1 \\u001bno",
        ),
        (answering({}, status=404), "404 Not Found; check the path"),
        (answering({}, status=307, headers={"Location": "http://x/"}), "elsewhere (307): http://x/"),
        (lambda _, m: web.Response(status=404), "404 Not Found; check the path"),
        (lambda _, m: result(m, {}) if "id" in m else web.Response(status=202), "names no protocolVersion"),
        (
            lambda _, m: web.json_response(
                {"id": m["id"], "error": {"code": -32022, "message": "", "data": {"supported": ["2027-05-01"]}}},
                status=400,
            ),
            "speaks only 2027-05-01",
        ),
    ],
)
async def test_what_goes_wrong_is_told_with_what_to_do(handler: Handler, told: str) -> None:
    with pytest.raises(McpError) as caught:
        await asked(handler)
    assert told in str(caught.value)


async def test_a_server_that_does_not_answer_is_given_up() -> None:
    async def silent(request: web.Request, _: Message) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while True:
            await response.write(b": wait\n\n" * 1000)

    with pytest.raises(McpError, match=r"within 0.3 seconds|longer than 32 MiB"):
        await asked(silent, timeout=0.3)
