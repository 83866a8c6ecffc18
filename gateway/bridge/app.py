"""The HTTP side: one endpoint that speaks Streamable HTTP in both eras and hands each message to its child."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence

from aiohttp import web
from msgspec import Struct

from gateway.bridge import message as rpc
from gateway.bridge.child import LONGEST_LINE, Child
from gateway.bridge.envelope import VERSION, check, is_stateless, unsupported
from gateway.bridge.hosts import Handler, guard
from gateway.bridge.message import Message, RpcError
from gateway.bridge.outlet import Outlet
from gateway.bridge.respond import Reply, respond, stand
from gateway.bridge.session import Session
from gateway.bridge.sessions import Sessions
from gateway.bridge.stateless import Shared

_SESSION = "Mcp-Session-Id"
_JSON, _EVENTS = "application/json", "text/event-stream"


class Settings(Struct, frozen=True):
    """What a bridge is to do. ``idle`` in seconds; ``allow_hosts`` in lower case."""

    command: Sequence[str]
    env: Mapping[str, str] = {}
    host: str = "127.0.0.1"
    port: int = 0
    path: str = "/mcp"
    allow_hosts: frozenset[str] = frozenset()
    sessions: int = 64
    idle: float = 1800.0


class Bridge:
    """All children and the application that serves them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sessions = Sessions(self._start, settings.sessions, settings.idle)
        self._shared = Shared(self._start)

    def make_app(self) -> web.Application:
        """The application without a socket. Its clean-up ends all children."""
        app = web.Application(middlewares=[guard(self._settings.allow_hosts), _worded], client_max_size=LONGEST_LINE)
        app.router.add_post(self._settings.path, self._post)
        app.router.add_get(self._settings.path, self._get, allow_head=False)
        app.router.add_delete(self._settings.path, self._delete)
        app.cleanup_ctx.append(self._sweeping)
        return app

    async def close(self) -> None:
        """End all children; their clients get errors for what is under way."""
        await asyncio.gather(self._sessions.close(), self._shared.close())

    async def _start(self) -> Child:
        try:
            return await Child.start(self._settings.command, self._settings.env)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            raise RpcError(rpc.INTERNAL_ERROR, f"the server cannot be started: {why}", 502) from error

    async def _sweeping(self, _: web.Application) -> AsyncIterator[None]:
        sweeper = asyncio.create_task(self._sessions.sweep())
        yield
        sweeper.cancel()
        await self.close()

    async def _post(self, request: web.Request) -> web.StreamResponse:
        if request.content_type != _JSON:
            raise RpcError(rpc.INVALID_REQUEST, f"Content-Type must be {_JSON}", 415)
        if not (_accepts(request, _JSON) or _accepts(request, _EVENTS)):
            raise RpcError(rpc.INVALID_REQUEST, f"Accept must name {_JSON} and {_EVENTS}", 406)
        posted = rpc.parse_body(await request.read())
        try:
            return await self._handle(request, posted)
        except RpcError as error:
            if isinstance(posted, Message) and posted.is_request:
                error.ident = posted.raw_ident
            raise

    async def _handle(self, request: web.Request, posted: Message | list[Message]) -> web.StreamResponse:
        if is_stateless(request.headers):
            return await self._post_stateless(request, posted)
        if isinstance(posted, Message) and posted.method == "initialize" and posted.is_request:
            return await self._initialize(request, posted)
        with self._sessions.using(request.headers.get(_SESSION)) as session:
            return await self._post_session(request, session, posted)

    async def _initialize(self, request: web.Request, message: Message) -> web.StreamResponse:
        if _SESSION in request.headers:
            with self._sessions.using(request.headers[_SESSION]):
                raise RpcError(rpc.INVALID_REQUEST, "this session has been initialized")
        ident, item = await self._sessions.initialize(message)
        headers = {_SESSION: ident} if ident else {}
        return web.Response(body=item.data, content_type=_JSON, headers=headers)

    async def _post_session(
        self, request: web.Request, session: Session, posted: Message | list[Message]
    ) -> web.StreamResponse:
        batch = isinstance(posted, list)
        if batch and session.version != "2025-03-26":
            raise RpcError(rpc.INVALID_REQUEST, "batches exist in revision 2025-03-26 only; send one message a POST")
        messages = posted if isinstance(posted, list) else [posted]
        if any(message.method == "initialize" for message in messages):
            raise RpcError(rpc.INVALID_REQUEST, "initialize must be sent alone, and first")
        requests = [message for message in messages if message.is_request]
        outlet = Outlet(streams=_accepts(request, _EVENTS))
        try:
            if requests:
                await session.ask(requests, outlet)
            for message in messages:
                if not message.is_request:
                    await session.tell(message)
            if not requests:
                return web.Response(status=202)
            return await respond(request, outlet, Reply(len(requests), batch))
        finally:
            outlet.end()

    async def _post_stateless(self, request: web.Request, posted: Message | list[Message]) -> web.StreamResponse:
        if isinstance(posted, list) or posted.method is None:
            raise RpcError(rpc.INVALID_REQUEST, "the body must be one request or notification")
        if not posted.is_request:
            # This revision gives clients no notifications over HTTP, and one client must not cancel another's request.
            return web.Response(status=202)
        check(posted, request.headers)
        if posted.method == "initialize":
            raise RpcError(rpc.METHOD_NOT_FOUND, "this revision has no initialize", 404)
        streams = _accepts(request, _EVENTS)
        if posted.method == "subscriptions/listen" and not streams:
            raise RpcError(rpc.INVALID_REQUEST, f"Accept must name {_EVENTS}", 406)
        channel = await self._shared.channel()
        if channel is None:
            raise unsupported(request.headers[VERSION])
        await channel.check_mirrors(posted, request.headers)
        outlet = Outlet(streams=streams)
        try:
            await channel.ask([posted], outlet)
            return await respond(request, outlet, Reply(speaking_status=True))
        finally:
            outlet.end()
            channel.abandon(outlet)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        _only_sessions(request)
        if not _accepts(request, _EVENTS):
            raise RpcError(rpc.INVALID_REQUEST, f"Accept must name {_EVENTS}", 406)
        with self._sessions.using(request.headers.get(_SESSION)) as session:
            outlet = Outlet(streams=True)
            session.stand(outlet)
            try:
                return await stand(request, outlet)
            finally:
                outlet.end()
                session.leave(outlet)

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        _only_sessions(request)
        with self._sessions.using(request.headers.get(_SESSION)) as session:
            self._sessions.end(session)
        return web.Response(status=204)


def _only_sessions(request: web.Request) -> None:
    if is_stateless(request.headers):
        raise web.HTTPMethodNotAllowed(request.method, ["POST"])


def _accepts(request: web.Request, kind: str) -> bool:
    accept = ",".join(request.headers.getall("Accept", ["*/*"]))
    named = {part.split(";")[0].strip().lower() for part in accept.split(",")}
    return not named.isdisjoint({kind, f"{kind.partition('/')[0]}/*", "*/*"})


@web.middleware
async def _worded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors as JSON-RPC errors."""
    headers = {}
    try:
        return await handler(request)
    except RpcError as error:
        status, body = error.status, rpc.error(error.ident, error.code, str(error), error.data)
    except web.HTTPRequestEntityTooLarge:
        status, body = 413, rpc.error(b"null", rpc.INVALID_REQUEST, f"longer than {LONGEST_LINE >> 20} MiB")
    except web.HTTPMethodNotAllowed as error:
        status, body = 405, rpc.error(b"null", rpc.INVALID_REQUEST, "this method is not for this endpoint")
        headers["Allow"] = ", ".join(sorted(error.allowed_methods))
    return web.Response(status=status, body=body, content_type=_JSON, headers=headers)
