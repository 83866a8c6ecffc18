"""Listening, the clock that bounds every connection, and the end: drain on SIGTERM."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

from msgspec import Struct

from gateway.errors import Refused
from gateway.execute.forward import Forwarder
from gateway.model import Call, Reason, Refusal, Request, Tool
from gateway.pipeline import Pipeline
from gateway.understand.http import title_of
from gateway.wire.outbox import Outbox
from gateway.wire.pool import Pool, Pools
from gateway.wire.redirected import Redirected
from gateway.wire.server import Connection
from gateway.wire.tls import GOODBYE, HANDSHAKE

log = logging.getLogger("toolgate.wire")

TICK = 0.1
"""Seconds between two looks at the clock; every timeout is that exact."""

BACKLOG = 1024
_MOST_WAYS = 4096
_REASONS = {400: Reason.BAD_REQUEST, 403: Reason.UNKNOWN_TOOL, 408: Reason.REQUEST_TIMEOUT}


class Limits(Struct, frozen=True):
    """What a connection may take. Seconds and bytes."""

    head_timeout: float = 10.0
    body_idle: float = 60.0
    keep_alive: float = 75.0
    half_close_grace: float = 0.5
    max_head: int = 64 * 1024
    max_headers: int = 128
    max_connections: int = 10_000
    drain: float = 30.0


class Listener:
    """Accepts agents' connections and hands each request to the pipeline of the moment.

    ``pipeline`` is replaced whole by a reload; calls under way keep the one they began with.
    """

    def __init__(self, pipeline: Pipeline, limits: Limits, outbox: Outbox | None = None) -> None:
        self.pipeline = pipeline
        self.limits = limits
        self.draining = False
        self.connections: set[Connection] = set()
        self.outbox = outbox or Outbox()
        self.pools = Pools(limits.max_head, self.outbox)
        self._ways: dict[int, tuple[Tool, tuple[Forwarder, Pool]]] = {}
        self._servers: list[tuple[asyncio.Server, Callable[[], Connection], dict[str, Any]]] = []
        """With what makes a connection, and what it is accepted with."""
        self._ticker: asyncio.Task[None] | None = None
        self._empty = asyncio.Event()
        self.hosts: set[bytes | None] = set()
        """Host fields that were looked at and found well-formed."""

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> tuple[str, int]:
        """Listen, over TLS where that is given; returns the address in use (``port`` 0 lets the system choose).

        Raises:
            OSError: the address cannot be had.
        """
        options: dict[str, Any] = {}
        if tls is not None:
            options = {"ssl": tls, "ssl_handshake_timeout": HANDSHAKE, "ssl_shutdown_timeout": GOODBYE}
        server = await self._listen(lambda: Connection(self), host, port, options)
        self._ticker = asyncio.ensure_future(self._tick())
        address = server.sockets[0].getsockname()
        return address[0], address[1]

    async def start_transparent(self, port: int) -> None:
        """Take redirected connections too, on this port of the loopback, by IPv4 and, where the machine has it, IPv6.

        Raises:
            OSError: the port cannot be had.
        """
        await self._listen(lambda: Redirected(self), "127.0.0.1", port, {})
        try:
            await self._listen(lambda: Redirected(self), "::1", port, {})
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise

    async def _listen(
        self, made: Callable[[], Connection], host: str, port: int, options: dict[str, Any]
    ) -> asyncio.Server:
        server = await asyncio.get_running_loop().create_server(made, host, port, backlog=BACKLOG, **options)
        self._servers.append((server, made, options))
        return server

    async def drain(self) -> None:
        """Stop accepting, let what is under way end (at most ``limits.drain`` seconds), then close what is left.

        Connections that the system accepted for us before the listening socket closed are served too.
        """
        self.draining = True
        late = [connection for served in self._servers for connection in self._accept_last(*served)]
        for server, _, _ in self._servers:
            server.close()
        await asyncio.gather(*late, return_exceptions=True)
        if self.connections:
            self._empty.clear()
            try:
                async with asyncio.timeout(self.limits.drain):
                    await self._empty.wait()
            except TimeoutError:
                for connection in list(self.connections):
                    connection.stop()
                await asyncio.sleep(TICK)
                for connection in list(self.connections):
                    connection.abort()
        if self._ticker is not None:
            self._ticker.cancel()
        self.pools.close()

    def _accept_last(
        self, server: asyncio.Server, made: Callable[[], Connection], options: dict[str, Any]
    ) -> list[asyncio.Future[object]]:
        loop = asyncio.get_running_loop()
        late: list[asyncio.Future[object]] = []
        for listening in server.sockets:
            with socket.fromfd(listening.fileno(), listening.family, socket.SOCK_STREAM) as twin:
                twin.setblocking(False)
                while True:
                    try:
                        accepted, _ = twin.accept()
                    except OSError:
                        break
                    accepted.setblocking(False)
                    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    serving = loop.connect_accepted_socket(made, accepted, **options)
                    late.append(asyncio.ensure_future(serving))
        return late

    def retire_certified(self) -> None:
        """Other certificates are good now: agents who are known by theirs must show it again."""
        for connection in self.connections:
            if connection.certificate:
                connection.retire()

    def opened(self, connection: Connection) -> None:
        """A connection begins."""
        self.connections.add(connection)
        if len(self.connections) > self.limits.max_connections:
            request = Request("", "", "", (), {}, 0, connection.peer, connection.loopback)
            connection.write(self.rejection(503, "this gateway has as many connections as it may", request))
            connection.transport.close()

    def lost(self, connection: Connection) -> None:
        """A connection has ended."""
        self.connections.discard(connection)
        if not self.connections:
            self._empty.set()

    def remember_host(self, host: bytes | None) -> None:
        """This Host field is well-formed (a missing one never is: it is allowed in HTTP/1.0 only)."""
        if host is not None and len(host) <= 256:
            if len(self.hosts) >= 1024:
                self.hosts.clear()
            self.hosts.add(host)

    def way_to(self, tool: Tool) -> tuple[Forwarder, Pool]:
        """What writes the heads of requests to a tool, and the connections to it.

        Raises:
            OSError: the tool's TLS files cannot be read.
        """
        entry = self._ways.get(id(tool))
        if entry is None or entry[0] is not tool:
            if len(self._ways) > _MOST_WAYS:
                self._ways.clear()
            entry = self._ways[id(tool)] = (tool, (Forwarder(tool), self.pools.of(tool)))
        return entry[1]

    def in_flight(self) -> Iterator[tuple[str, int]]:
        """Tools, and how many calls to them are under way."""
        tools = [connection.calling() for connection in self.connections]
        return iter(Counter([tool for tool in tools if tool]).items())

    def cut(self, covers: Callable[[Call], bool], refused: Refused, *, running: bool) -> int:
        """End these calls: those that wait to be permitted, and where ``running`` those under way too. An agent that
        has no answer yet gets the refusal; an answer that has begun is broken off. Returns how many there were."""
        return sum([connection.cut(covers, refused, running=running) for connection in list(self.connections)])

    def rejection(self, status: int, detail: str, request: Request) -> bytes:
        """The whole answer to what never became a call, which is recorded; the connection ends after it."""
        reason = _REASONS.get(status, Reason.CONCURRENCY_LIMITED)
        advice = "send one well-formed HTTP/1.1 request" if status == 400 else ""
        reply = self.pipeline.reject(request, Refusal(reason, status, detail, advice=advice))
        lines = b"".join([b"%b: %b\r\n" % field for field in reply.fields])
        head = b"HTTP/1.1 %d %b\r\n" % (status, title_of(status).encode())
        return head + lines + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(reply.body) + reply.body

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            now = monotonic()
            for connection in list(self.connections):
                try:
                    connection.check(now)
                except Exception:  # one connection must never stop the clock of all
                    log.exception("a connection is dropped: its clock could not be read")
                    connection.abort()
            self.pools.sweep(now)
