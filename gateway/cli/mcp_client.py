"""A small MCP client (Streamable HTTP) that asks a server for its tools: stateless (2026-07-28), else by handshake."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp
from msgspec import Struct

from gateway import __version__
from gateway.cli.mcp_exchange import HttpError, McpError, RpcError, exchange

MODERN = "2026-07-28"
HANDSHAKE = "2025-11-25"
"""The revision that a handshake proposes; the server answers with the one it speaks."""
_CLIENT = {"name": "toolgate", "version": __version__}
_META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": _CLIENT,
}
_UNSUPPORTED_VERSION = -32022
_MOST_PAGES, _MOST_TOOLS = 1_000, 10_000


class Server(Struct, frozen=True):
    """Where a server is and how it is asked. ``fields`` are header fields to send, credentials among them."""

    url: str
    fields: tuple[tuple[str, str], ...] = ()
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    timeout: float = 30.0
    """Seconds for all of it."""


class Listing(Struct, frozen=True):
    """What a server offers: its tools as they came, and the revision of MCP that it was asked in."""

    tools: tuple[dict[str, Any], ...]
    version: str


async def list_tools(server: Server) -> Listing:
    """Ask a server for all its tools, page by page.

    Raises:
        McpError: it cannot be reached, or does not answer as MCP says; tells what to do.
    """
    timeout = aiohttp.ClientTimeout(total=server.timeout)
    try:
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=True) as http:
            return await _Asking(http, server).listing()
    except TimeoutError:
        raise McpError(
            f"no answer within {server.timeout:g} seconds; check the URL, and that the server runs"
        ) from None
    except aiohttp.ClientError as error:
        raise McpError(f"cannot be reached: {error}; check the URL, and that the server runs") from None


class _Asking:
    """One visit to a server."""

    def __init__(self, http: aiohttp.ClientSession, server: Server) -> None:
        self._http, self._server = http, server
        self._fields: dict[str, str] = {}
        self._meta: Mapping[str, Any] | None = None
        self._last = 0

    async def listing(self) -> Listing:
        version = MODERN if await self._is_modern() else await self._shake_hands()
        tools = await self._pages()
        if "Mcp-Session-Id" in self._fields:
            await self._end_session()
        return Listing(tuple(tools), version)

    async def _is_modern(self) -> bool:
        """Whether the server discovers itself at the stateless revision. Servers of older ones refuse that in many
        ways, and so does a gateway in front of them; only what no handshake can mend is told."""
        self._meta, self._fields = _META, {"MCP-Protocol-Version": MODERN}
        try:
            result = await self._ask("server/discover", {})
        except RpcError as error:
            supported = error.data.get("supported") if isinstance(error.data, dict) else None
            versions = [one for one in supported if isinstance(one, str)] if isinstance(supported, list) else []
            if error.code == _UNSUPPORTED_VERSION and versions and min(versions) > MODERN:
                raise McpError(f"the server speaks only {', '.join(versions)}, which is newer than {MODERN}") from None
            return False
        except HttpError as error:
            if error.status in (401, 403):
                raise
            return False
        found = result.get("supportedVersions")
        return isinstance(found, list) and MODERN in found

    async def _shake_hands(self) -> str:
        self._meta, self._fields = None, {}
        proposal = {"protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": _CLIENT}
        result = await self._ask("initialize", proposal)
        version = result.get("protocolVersion")
        if not isinstance(version, str):
            raise McpError("the answer to initialize names no protocolVersion; is this the URL of an MCP server?")
        self._fields["MCP-Protocol-Version"] = version
        await self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return version

    async def _pages(self) -> list[dict[str, Any]]:
        tools: list[dict[str, Any]] = []
        cursors: set[str] = set()
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            result = await self._ask("tools/list", {} if cursor is None else {"cursor": cursor})
            page = result.get("tools")
            if not isinstance(page, list) or not all(_is_tool(one) for one in page):
                raise McpError("the answer to tools/list holds something that is no tool with a name")
            tools += page
            cursor = result.get("nextCursor")
            if not isinstance(cursor, str):
                return tools
            if cursor in cursors or len(tools) > _MOST_TOOLS:
                break
            cursors.add(cursor)
        raise McpError(f"tools/list does not end: {len(tools)} tools in {len(cursors) + 1} pages")

    async def _end_session(self) -> None:
        try:
            async with self._http.delete(self._server.url, headers=self._headers({}), **self._options()):
                pass
        except (aiohttp.ClientError, TimeoutError):
            return  # the list is here; the server ends idle sessions itself

    async def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._last += 1
        if self._meta is not None:
            params = {**params, "_meta": self._meta}
        message = {"jsonrpc": "2.0", "id": self._last, "method": method, "params": params}
        answer = await self._send(message)
        if answer is None:
            raise McpError(f"there is no answer to {method}; is this the URL of an MCP server?")
        error = answer.get("error")
        if isinstance(error, dict):
            raise RpcError(method, error)
        result = answer.get("result")
        if not isinstance(result, dict):
            raise McpError(f"the answer to {method} has neither result nor error; is this the URL of an MCP server?")
        return result

    async def _send(self, message: dict[str, Any]) -> dict[str, Any] | None:
        modern = {"Mcp-Method": message["method"]} if self._meta is not None else {}
        headers = self._headers(modern)
        session, answer = await exchange(self._http, self._server.url, headers, message, self._options())
        if session is not None and message["method"] == "initialize":
            self._fields["Mcp-Session-Id"] = session
        return answer

    def _headers(self, more: Mapping[str, str]) -> dict[str, str]:
        return {"Accept": "application/json, text/event-stream", **dict(self._server.fields), **self._fields, **more}

    def _options(self) -> dict[str, Any]:
        tls: ssl.SSLContext | bool = self._server.tls if self._server.tls is not None else True
        return {"ssl": tls, "server_hostname": self._server.server_name, "allow_redirects": False}


def _is_tool(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("name"), str) and bool(value["name"])
