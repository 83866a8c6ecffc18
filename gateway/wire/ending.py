"""How an agent's connection ends: what is written still goes out, while the agent takes it, and not for longer."""

from __future__ import annotations

from time import monotonic

from gateway.wire.outbox import Outgoing

_LINGER = 2.0
"""Seconds that a closing connection is still read, so that the agent gets our answer and not a reset."""

_WITHIN = 10.0
"""Seconds without progress after which a connection that ends is cut: its agent has stopped reading."""


class Ending:
    """The end of one connection. ``transport`` is the agent's."""

    __slots__ = ("_at", "_linger_at", "_transport", "_unsent", "lingers")

    def __init__(self, transport: Outgoing) -> None:
        self._transport = transport
        self._at = self._linger_at = 0.0
        self._unsent = 0
        self.lingers = False
        """The connection is read only to be drained."""

    def shut(self) -> None:
        """Close once what is written has gone out."""
        self._at = monotonic() + _WITHIN
        self._transport.close()

    def linger(self) -> None:
        """Say that this is all, and drain what the agent still sends. Closing at once with something unread would
        reset the connection, and the agent might lose our answer."""
        now = monotonic()
        self._at, self._linger_at = now + _WITHIN, now + _LINGER
        self.lingers = True
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def check(self, now: float) -> bool:
        """Look at the clock: the connection lives while the agent takes what is written, then as long as it may
        linger. Whether it is ending."""
        if not self._at:
            return False
        unsent = self._transport.unsent()
        if unsent:
            if unsent < self._unsent:
                self._at = now + _WITHIN
            self._unsent = unsent
            self._linger_at = now + _LINGER if self.lingers else 0.0
        if now > self._at or (self.lingers and now > self._linger_at):
            self._transport.abort()
        return True


__all__ = ["Ending"]
