"""Makes a call: brings an agent's request to a tool, over a connection of the pool or a new one."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Sequence
from time import monotonic

from gateway.effects import Send
from gateway.errors import Refused, ToolgateError, UpstreamError
from gateway.execute.forward import BODY_IGNORED, Forwarder
from gateway.model import SAFE_METHODS, Answered, Lent, Permit, Reason
from gateway.wire.driver import CONNECTING, DONE, RELAYING, SENT, WAITING, Driver
from gateway.wire.upstream import UpstreamConnection

log = logging.getLogger("gateway.wire")

_HOLD = 256 * 1024
"""Bytes of a body kept while nobody takes them; above, the agent's connection is paused."""

_NOT_TUNNELLED = frozenset({b"h2c", b"http", b"tls"})
"""Upgrades to these would let requests through that no policy sees (h2c smuggling): the field is dropped instead."""


class Caller(Driver):
    """The way of a request to its tool. What the tool answers is the matter of ``Exchange``."""

    # As in Driver, class attributes stand for the usual case.
    keep_alive: bool
    """The agent's connection may carry another request after this one."""
    upgrade: bytes
    """What the agent wants to go on with instead of HTTP; empty for nothing, or where the tool may not have it."""
    status = 0
    sent_whole = False
    _retried = _plain = _typed = False
    _first_byte = _began = _asked_at = 0.0
    _upstream: UpstreamConnection | None = None
    _lent: Lent | None = None
    _permit: Permit
    _forwarder: Forwarder

    # -- the agent's request body -------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Body bytes from the agent."""
        upload = self.upload
        upload.received += len(data)
        self.seen = monotonic()
        if self._upstream is not None and self.phase >= SENT:
            upload.pass_on(self._upstream.transport, data)
            return
        if self.phase >= RELAYING:  # answered already: the rest is read and dropped
            return
        upload.parts.append(data)
        if self._wanted is not None:
            self._body_grew(self._wanted)
        elif upload.received > _HOLD:
            self._connection.pause_reading()

    def feed_end(self, trailers: Sequence[tuple[bytes, bytes]]) -> None:
        """The agent's request is complete."""
        upload = self.upload
        upload.complete = True
        if trailers:
            upload.trailers = trailers
        if self._wanted is not None:
            wanted, self._wanted = self._wanted, None
            self._advance(upload.whole(wanted))
        elif self._upstream is not None and self.phase >= SENT and not self.sent_whole:
            self._asked()
            upload.end(self._upstream.transport, self._forwarder)

    def feed_broken(self, complaint: str, *, timed_out: bool = False) -> None:
        """The agent's request body is malformed, or stopped coming."""
        self.keep_alive = False
        kind = Refused if self.phase == WAITING else UpstreamError
        if timed_out:
            self.upload.complete = True  # nothing more will come that the agent should be let finish
            self._fail(kind(Reason.REQUEST_TIMEOUT, 408, complaint))
        else:
            self._fail(kind(Reason.BAD_REQUEST, 400, complaint))

    def pause_upload(self) -> None:
        """The tool takes the body slower than the agent sends it."""
        self._connection.pause_reading()

    def resume_upload(self) -> None:
        """The tool takes more of it again."""
        self._connection.resume_reading()

    # -- the call to the tool -----------------------------------------------------------------------------------

    def _send(self, send: Send) -> None:
        self._plain, self._typed = send.plain, send.plain or send.typed
        self._permit, self._lent = send.permit, send.lent
        permit = send.permit
        if permit.call.body is not None:
            self.upload.replace(permit.call.body)
        if permit.ruling is not None:
            self.upload.trailers = ()  # nobody was shown them; RFC 9110, 6.5.1 lets them be left out
        self._began = monotonic()
        self.phase = CONNECTING
        try:
            self._forwarder, pool = self._connection.listener.way_to(permit.call.tool)
        except OSError as error:  # ssl.SSLError is one
            self._fail(
                UpstreamError(Reason.UPSTREAM_UNREACHABLE, 502, f"the tool's TLS settings are of no use: {error}")
            )
            return
        upstream = pool.pop() if self.request.method != "CONNECT" else None
        if upstream is not None:
            self._dispatch(upstream)
        else:
            self._connect()

    def _connect(self) -> None:
        tool = self._permit.call.tool
        _, pool = self._connection.listener.way_to(tool)
        tunnel = self.request.method == "CONNECT"
        self._await = task = asyncio.ensure_future(pool.connect(tool.timeouts.connect, raw=tunnel))
        task.add_done_callback(self._connected)

    def _connected(self, task: asyncio.Future[UpstreamConnection]) -> None:
        self._await = None
        if task.cancelled():
            return
        error = task.exception()
        if self.phase == DONE:
            if error is None:
                task.result().transport.close()
        elif error is not None:
            self.upstream_failed(error)
        else:
            self._dispatch(task.result())

    def _dispatch(self, upstream: UpstreamConnection) -> None:
        self._upstream = upstream
        self._attach(upstream)
        self.phase = SENT
        if self.request.method == "CONNECT":
            self.status = 200
            self._advance(Answered(200, self._since()))
            return
        permit, upload = self._permit, self.upload
        if self.upgrade:
            self.upgrade = self._allowed_upgrade(permit.call.tool.upgrades)
        head = self._forwarder.head(
            permit,
            chunked=upload.chunked,
            upgrade=self.upgrade,
            expect=upload.expect and not upload.complete,
            plain=self._plain,
            lent=self._lent,
        )
        if upload.complete:
            self._asked()
        upload.begin(upstream.transport, head, self._forwarder)
        if upload.complete:
            return
        upload.parts = []
        self._retried = True  # part of the body is gone: what is sent cannot be sent again
        self._connection.resume_reading()

    def _allowed_upgrade(self, allowed: tuple[str, ...]) -> bytes:
        name = self.upgrade.split(b"/")[0].strip().lower()
        if not name or name in _NOT_TUNNELLED or name.startswith(b"h2") or b"," in self.upgrade:
            return b""
        return self.upgrade if "*" in allowed or name.decode("latin-1") in allowed else b""

    def body_may_be_ignored(self) -> bool:
        """Whether the tool may have left the body unread, and would take it for a request."""
        return self.request.length != 0 and self.request.method in BODY_IGNORED

    def _asked(self) -> None:
        """The request has gone out whole: from now on the tool owes the head of an answer."""
        self.sent_whole = True
        self._asked_at = monotonic()

    def _since(self) -> float:
        self._first_byte = monotonic() - self._began
        return self._first_byte

    def upstream_lost(self, upstream: UpstreamConnection, exc: Exception | None) -> None:
        """The tool's connection ended before its answer did. Retried once, only if nothing can have been processed."""
        self._upstream = None
        if (
            self.phase == SENT
            and upstream.reused
            and not upstream.got
            and not self._retried
            and self.request.method in SAFE_METHODS
        ):
            self._retried = True
            self.phase = CONNECTING
            self._connect()
            return
        what = "broke off its answer" if self.phase == RELAYING or upstream.got else "closed the connection unanswered"
        detail = f"the tool {what}" + (f": {exc}" if exc else "")
        self._fail(UpstreamError(Reason.UPSTREAM_UNREACHABLE, 502, detail))

    def upstream_failed(self, error: BaseException) -> None:
        """The call to the tool cannot go on."""
        self._upstream = None
        if isinstance(error, ToolgateError):
            self._fail(error)
        else:
            log.error("connecting to a tool failed", exc_info=error)
            self._fail(UpstreamError(Reason.UPSTREAM_UNREACHABLE, 502, f"{type(error).__name__} while connecting"))

    def _drop_upstream(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abort()

    def _connected_tool(self) -> UpstreamConnection:
        if self._upstream is None:
            raise RuntimeError("an answer without a tool")
        return self._upstream

    @abstractmethod
    def _attach(self, upstream: UpstreamConnection) -> None:
        """From here on, hear what the tool says on this connection."""

    @abstractmethod
    def _fail(self, error: ToolgateError) -> None:
        """The call has gone wrong."""


__all__ = ["Caller"]
