"""All sessions: each opened by ``initialize``, ended by DELETE, by its child's end, or by nobody using it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterator

from gateway.bridge import message as rpc
from gateway.bridge.child import Child
from gateway.bridge.message import Message, RpcError
from gateway.bridge.outlet import Item
from gateway.bridge.session import Session

log = logging.getLogger("toolgate.bridge")


class Sessions:
    """``most``: sessions at a time, each a process. ``idle``: seconds that one may go unused."""

    def __init__(self, start: Callable[[], Awaitable[Child]], most: int, idle: float) -> None:
        self._start = start
        self._most = most
        self._idle = idle
        self._open: dict[str, Session] = {}
        self._starting = 0
        self._closing: set[asyncio.Task[None]] = set()

    async def initialize(self, message: Message) -> tuple[str, Item]:
        """Start a child and let it shake hands: the new session's id ("" where the child declined), and its answer.

        Raises:
            RpcError: too many sessions, or the child cannot be started.
        """
        if len(self._open) + self._starting >= self._most:
            raise RpcError(rpc.INTERNAL_ERROR, f"{self._most} sessions are open, which is the most; end one", 503)
        self._starting += 1
        try:
            session = Session(await self._start())
            try:
                item = await session.ask_alone(message, None)
            except BaseException:
                self._close_soon(session)
                raise
        finally:
            self._starting -= 1
        if item.code is not None or not session.alive:
            self._close_soon(session)
            return "", item
        session.version = rpc.scalar(rpc.dig(rpc.parse(item.data).members, "result", "protocolVersion"))
        ident = secrets.token_urlsafe(24)
        self._open[ident] = session
        session.on_end = lambda: self._forget(ident)
        session.last_used = asyncio.get_running_loop().time()
        return ident, item

    @contextlib.contextmanager
    def using(self, ident: str | None) -> Iterator[Session]:
        """The session of a request, which keeps it from being ended for want of use.

        Raises:
            RpcError: 400 without an id, 404 where there is no such session, or no longer.
        """
        if ident is None:
            raise RpcError(rpc.INVALID_REQUEST, "Mcp-Session-Id is missing: send initialize first")
        session = self._open.get(ident)
        if session is None or not session.alive:
            raise RpcError(rpc.INVALID_REQUEST, "no such session, or it has ended: send initialize again", 404)
        session.in_use += 1
        try:
            yield session
        finally:
            session.in_use -= 1
            session.last_used = asyncio.get_running_loop().time()

    def end(self, session: Session) -> None:
        """End a session; its child ends in the background."""
        self._open = {ident: other for ident, other in self._open.items() if other is not session}
        self._close_soon(session)

    async def sweep(self) -> None:
        """End unused sessions, for ever."""
        while True:
            await asyncio.sleep(min(self._idle / 4, 30.0))
            since = asyncio.get_running_loop().time() - self._idle
            for session in list(self._open.values()):
                if not session.in_use and session.last_used < since:
                    log.info("a session was not used for %.0f s; it ends", self._idle)
                    self.end(session)

    async def close(self) -> None:
        """End all, and wait for their children."""
        for session in list(self._open.values()):
            self.end(session)
        await asyncio.gather(*self._closing)

    def _forget(self, ident: str) -> None:
        self._open.pop(ident, None)

    def _close_soon(self, session: Session) -> None:
        task = asyncio.create_task(session.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
