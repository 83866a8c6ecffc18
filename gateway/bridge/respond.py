"""Messages as an HTTP response: JSON where the answers come first, an event stream where something else does."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from aiohttp import web
from msgspec import Struct

from gateway.bridge import message as rpc
from gateway.bridge.outlet import Item, Outlet
from gateway.understand.sse import event

_SILENCE = 15.0
"""Seconds without a byte, after which a comment shows that the stream lives. Proxies cut off silent ones."""
_EVENTS = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
_PING = b": ping\n\n"
_STATUS = {
    rpc.PARSE_ERROR: 400,
    rpc.INVALID_REQUEST: 400,
    rpc.INVALID_PARAMS: 400,
    rpc.HEADER_MISMATCH: 400,
    -32021: 400,
    rpc.UNSUPPORTED_VERSION: 400,
    rpc.METHOD_NOT_FOUND: 404,
}
"""Of an error answer, in the revisions without sessions."""


class Reply(Struct, frozen=True):
    """How a POST is answered. ``owed``: the number of its requests. ``batch``: they came as an array.

    ``speaking_status``: whether an error shows in the HTTP status too.
    """

    owed: int = 1
    batch: bool = False
    speaking_status: bool = False
    headers: Mapping[str, str] = {}


async def respond(request: web.Request, outlet: Outlet, reply: Reply) -> web.StreamResponse:
    """Answer a POST with what comes out of ``outlet``."""
    answers: list[Item] = []
    while len(answers) < reply.owed:
        try:
            item = await outlet.next(_SILENCE if outlet.can_stream else None)
        except TimeoutError:
            return await _stream(request, outlet, reply, answers)
        if item is None or not item.is_answer:
            return await _stream(request, outlet, reply, [*answers, item] if item else answers)
        answers.append(item)
    status = 200
    if reply.speaking_status and answers[0].code is not None:
        status = _STATUS.get(answers[0].code, 200)
    body = b"[%b]" % b",".join([answer.data for answer in answers]) if reply.batch else answers[0].data
    return web.Response(status=status, body=body, content_type="application/json", headers=reply.headers)


async def stand(request: web.Request, outlet: Outlet) -> web.StreamResponse:
    """Answer a GET: everything that comes out of ``outlet``, until it ends."""
    return await _stream(request, outlet, Reply(), [])


async def _stream(request: web.Request, outlet: Outlet, reply: Reply, first: list[Item]) -> web.StreamResponse:
    if request.transport is not None:
        outlet.on_overflow = request.transport.abort
    answered = sum([item.is_answer for item in first])
    response = web.StreamResponse(headers={**_EVENTS, **reply.headers})
    # A client that has gone meets the write; the caller sees to what it had asked.
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        await response.write(b"".join([event(item.data, "message") for item in first]) or _PING)
        while answered < reply.owed:
            try:
                item = await outlet.next(_SILENCE)
            except TimeoutError:
                await response.write(_PING)
                continue
            if item is None:
                break
            await response.write(event(item.data, "message"))
            answered += item.is_answer
        await response.write_eof()
    return response
