"""Connections that agents believe to have with a tool, or with somebody else, and that the network has redirected here.

What is HTTP takes the way of all requests, by the host that it names. TLS cannot be read: it takes the way of a CONNECT
to the host that its ClientHello names, and is answered by the tool itself, or by an alert. The address that it was for
is never connected to: the agent has chosen it.
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import TYPE_CHECKING

from gateway.effects import Reply
from gateway.model import Outcome, Reason, Refusal, Request
from gateway.wire.client_hello import client_hello
from gateway.wire.door import DENIED
from gateway.wire.driver import RELAYING
from gateway.wire.exchange import Exchange
from gateway.wire.original import Place, is_ours, original_destination, written
from gateway.wire.server import Connection

if TYPE_CHECKING:
    from gateway.wire.listener import Listener

log = logging.getLogger("toolgate.egress")

_TLS = 22
"""The first byte of TLS (a handshake record: RFC 8446, 5.1), with which no method of HTTP begins."""
_BROKEN = b"\x15\x03\x03\x00\x02\x02\x50"
"""A fatal alert of TLS, ``internal_error`` (RFC 8446, 6.2)."""


class Redirected(Connection):
    """A redirected connection. Until its first bytes tell what it is, nothing else of it is looked at."""

    __slots__ = ("_began", "_first", "_known", "_to", "original")

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener)
        self.original = ""
        self._to: Place | None = None
        self._first = b""
        """Of TLS, until it is known for which host."""
        self._known = False
        self._began = monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._to = original_destination(transport.get_extra_info("socket"))
        if self._to is not None:
            self.original = written(self._to)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._known or self._ending.lingers:
            super().data_received(data)
            return
        self._first += data
        encrypted = self._first[0] == _TLS
        if wrong := self._stray():
            self._turn_away(Reason.UNKNOWN_TOOL, 403, wrong, encrypted=encrypted)
        elif encrypted:
            self._greeted()
        else:
            self._known, first = True, self._first
            self._first = b""
            super().data_received(first)

    def _stray(self) -> str:
        """Why no connection of an agent is to be served here; empty where it is one that was redirected."""
        if self._to is None:
            return "this port takes connections that were redirected to it, and this one came straight"
        peer = self.transport.get_extra_info("peername")
        if self._first and is_ours((peer[0], peer[1]), self._to):
            log.error("a connection of this gateway to %s was redirected to itself: except its user", self.original)
            return f"the gateway's own connection to {self.original} was redirected to itself"
        return ""

    def _greeted(self) -> None:
        """TLS: once the ClientHello is whole, ask for a tunnel to the host that it names."""
        try:
            hello = client_hello(self._first)
        except ValueError as error:
            detail = f"{error}, on a connection to {self.original}"
            self._turn_away(Reason.BAD_REQUEST, 400, detail, encrypted=True)
            return
        if hello is None or self._to is None:
            return
        address, port = self._to
        named = hello.server_name or (f"[{address}]" if ":" in address else address)
        self._known = True
        self._held, self._first = self._first, b""
        self._requests.upgrading = True  # what comes now is the tunnel's
        request = self._request("CONNECT", f"{named}:{port}")
        tunnel = Redirection(self, request, keep_alive=False, upgrade=b"", expect=False)
        tunnel.feed_end(())
        self._queue.append(tunnel)
        self._run_line()

    def _request(self, method: str = "", target: str = "") -> Request:
        """In HTTP/1.0, which nobody is told anything in before the answer."""
        return Request(method, target, "1.0", (), {}, 0, self.peer, self.loopback, original=self.original)

    def _turn_away(self, reason: Reason, status: int, detail: str, *, encrypted: bool) -> None:
        """Refuse what never became a request, in the words of what it seems to speak, and end. It is recorded."""
        self._known, self._first = True, b""
        if encrypted:
            self.listener.pipeline.reject(self._request(), Refusal(reason, status, detail))
            self.write(DENIED)
        else:
            self.write(self.listener.rejection(status, detail, self._request()))
        self._ending.linger()

    def check(self, now: float) -> None:
        """The first bytes must come as soon as the head of a request: where a server speaks first, none ever do."""
        if not self._known and now - self._began > self.listener.limits.head_timeout:
            what = f"neither HTTP nor TLS came on a connection to {self.original or 'here'}"
            self.listener.pipeline.reject(self._request(), Refusal(Reason.REQUEST_TIMEOUT, 408, what))
            self._known = True
            self.abort()
            return
        super().check(now)


class Redirection(Exchange):
    """A tunnel that nobody has asked for in words: only TLS is spoken on it, by the tool, or in an alert."""

    def _reply(self, reply: Reply) -> Outcome:
        self._drop_upstream()
        self.phase, self.status, self.closing = RELAYING, reply.status, True
        alert = DENIED if reply.status < 500 else _BROKEN
        self._connection.write(alert)
        return Outcome(reply.status, sent=len(alert))

    def _begin_tunnel(self, head: bytes, rest: bytes) -> None:  # noqa: ARG002 - there is no head of an answer
        super()._begin_tunnel(b"", rest)


__all__ = ["Redirected"]
