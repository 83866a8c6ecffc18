"""One message to an MCP server and the answer to it, as JSON or out of a stream of events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import jiter
import orjson

from gateway.errors import ToolgateError
from gateway.policy.visible import visible
from gateway.understand.sse import EventParser

_MOST_BYTES = 32 << 20
_SHOWN = 300


class McpError(ToolgateError):
    """A server cannot be asked. The message says why and what to do."""


class HttpError(McpError):
    """The server answered with an HTTP status that is no success."""

    def __init__(self, status: int, reason: str, body: bytes) -> None:
        hint = {
            401: "; give the credential: in the configuration, or --header 'Authorization: Bearer ...'",
            403: "; give another credential, or --header",
            404: "; check the path: --path, or mcp.endpoints in the configuration",
            405: "; check the path: --path, or mcp.endpoints in the configuration",
        }.get(status, "")
        text = visible(body[:_SHOWN].decode("utf-8", "replace")).strip()
        super().__init__(f"the server answers {status} {reason}{hint}" + (f": {text}" if text else ""))
        self.status = status


class RpcError(McpError):
    """The server answered with a JSON-RPC error."""

    def __init__(self, method: str, error: dict[str, Any]) -> None:
        self.code, self.data = error.get("code"), error.get("data")
        super().__init__(f"the server refuses {method}: {self.code} {visible(str(error.get('message', ''))[:_SHOWN])}")


async def exchange(
    http: aiohttp.ClientSession, url: str, headers: dict[str, str], message: dict[str, Any], options: dict[str, Any]
) -> tuple[str | None, dict[str, Any] | None]:
    """POST a message; the session that the server names, and the answer with the message's id (None where it has none,
    or the server did not answer it).

    Raises:
        McpError: the server answers with an error, or not as MCP says.
    """
    headers = {**headers, "Content-Type": "application/json"}
    async with http.post(url, data=orjson.dumps(message), headers=headers, **options) as response:
        session = response.headers.get("Mcp-Session-Id")
        kind = response.content_type
        if response.status >= 400:
            body = await _whole(response)
            answer = next(_answers(body, None), None) if kind == "application/json" else None
            if answer is not None and isinstance(answer.get("error"), dict) and response.status not in (401, 403):
                return session, answer
            raise HttpError(response.status, response.reason or "", body)
        if response.status >= 300:
            where = response.headers.get("Location", "")
            raise McpError(f"the server sends elsewhere ({response.status}): {visible(where[:_SHOWN])}; write that URL")
        if "id" not in message or response.status == 202:
            return session, None
        if kind == "text/event-stream":
            async for data in _events(response):
                for answer in _answers(data, message["id"]):
                    return session, answer
            return session, None
        return session, next(_answers(await _whole(response), message["id"]), None)


def _answers(body: bytes, ident: object) -> Iterator[dict[str, Any]]:
    """The responses with this id (or any, where it is None) in a message or a batch."""
    try:
        value = jiter.from_json(body, catch_duplicate_keys=True, allow_inf_nan=False)
    except ValueError as error:
        if ident is None:
            return
        raise McpError(f"the answer cannot be read: {error}; is this the URL of an MCP server?") from None
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict) and ("result" in one or "error" in one) and (ident is None or one.get("id") == ident):
            yield one


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    parser, size = EventParser(_MOST_BYTES), 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > _MOST_BYTES:
            raise McpError(f"the answer is longer than {_MOST_BYTES >> 20} MiB")
        for event in parser.feed(chunk):
            if event.data:
                yield event.data
    for event in parser.end():
        if event.data:
            yield event.data


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise McpError(f"the answer is longer than {_MOST_BYTES >> 20} MiB")
    return bytes(body)
