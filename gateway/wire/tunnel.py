"""Bytes both ways after the decision: WebSocket and other upgrades, and CONNECT.

Backpressure goes through; one side's end of stream is passed on and the other side may go on talking (half-close).
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from gateway.wire.door import DENIED, Door
from gateway.wire.outbox import Outgoing

if TYPE_CHECKING:
    from gateway.wire.exchange import Exchange


class Tunnel:
    """Joins an agent's transport to a tool's. Tells the exchange once, when both directions are over."""

    __slots__ = (
        "_client",
        "_client_done",
        "_door",
        "_exchange",
        "_over",
        "_shown",
        "_upstream",
        "_upstream_done",
        "received",
        "refused",
        "seen",
        "sent",
    )

    def __init__(
        self,
        exchange: Exchange,
        client: Outgoing,
        upstream: Outgoing,
        door: Door | None = None,
        shown: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self._exchange, self._shown = exchange, shown
        self._door = door
        """What the agent's first bytes must pass; the tool is not read before."""
        self.refused = ""
        """Why they did not."""
        self._client, self._upstream = client, upstream
        self._client_done = self._upstream_done = self._over = False
        self.received = self.sent = 0
        """Bytes from the agent, bytes to the agent."""
        self.seen = monotonic()

    def from_client(self, data: bytes) -> None:
        self.received += len(data)
        self.seen = monotonic()
        if self._door is not None:
            data = self._admitted(self._door, data)
            if not data:
                return
        self._upstream.write(data)

    def _admitted(self, door: Door, data: bytes) -> bytes:
        if self._over:
            return b""
        try:
            data = door.admit(data)
        except ValueError as error:
            self.refused = str(error)
            self._client.write(DENIED)
            self.closed()
            return b""
        if data:
            self._door = None
            _resume(self._upstream)
        return data

    def from_upstream(self, data: bytes) -> None:
        self.sent += len(data)
        self.seen = monotonic()
        self._client.write(self._shown(data))

    def client_eof(self) -> bool:
        """The agent will send no more. True keeps its side open for what the tool still says."""
        self._client_done = True
        if self._door is not None:
            self.closed()
            return False
        return self._pass_eof(self._upstream)

    def upstream_eof(self) -> bool:
        """The tool will send no more. True keeps its side open for what the agent still says."""
        self._upstream_done = True
        return self._pass_eof(self._client)

    def _pass_eof(self, other: Outgoing) -> bool:
        if (self._client_done and self._upstream_done) or not other.can_write_eof():
            self.closed()
            return False
        if not other.is_closing():
            other.write_eof()
        return True

    def pause_client(self) -> None:
        _pause(self._client)

    def resume_client(self) -> None:
        _resume(self._client)

    def pause_upstream(self) -> None:
        _pause(self._upstream)

    def resume_upstream(self) -> None:
        if self._door is None:
            _resume(self._upstream)

    def closed(self) -> None:
        """A side is gone, or both are done: close both (what is written still goes out) and end the exchange."""
        if self._over:
            return
        self._over = True
        self._client.close()
        self._upstream.close()
        self._exchange.tunnel_over(self)


def _pause(transport: Outgoing) -> None:
    if not transport.is_closing():
        transport.pause_reading()


def _resume(transport: Outgoing) -> None:
    if not transport.is_closing():
        transport.resume_reading()
