"""One turn of the event loop, in phases: everything is read, then the new calls set out, then everything is written.

A turn of a busy loop reads from many connections. Deciding and writing for each as soon as it was read wakes the
process at the other end for every message, and jumps to and fro between parsing, deciding and the kernel. Taken
together, the same work finds its readers awake and its own code in the caches: measured at 32 connections, a third
less CPU for a call and a lower 99th percentile. Nothing waits longer than the turn it was read in.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

_JOIN_BELOW = 64 * 1024
"""Bytes up to which copying parts together is cheaper than handing them over one by one."""

_HOLD = 64 * 1024
"""Bytes that wait at most: more go out at once, so that the transport's own bound (backpressure) counts them."""

log = logging.getLogger("toolgate.wire")

Soon = Callable[[Callable[[], None]], object]


def _at_end_of_turn(flush: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(flush)


class Reader(Protocol):
    """A connection on which calls have been read."""

    def set_out(self) -> None: ...

    def abort(self) -> None: ...


class Outbox:
    """Who has calls to make, and who has something to write, in this turn.

    ``soon`` arranges for a function to be called at the turn's end.
    """

    __slots__ = ("_readers", "_soon", "_waiting")

    def __init__(self, soon: Soon = _at_end_of_turn) -> None:
        self._soon = soon
        self._readers: list[Reader] = []
        self._waiting: list[Outgoing] = []

    def read(self, reader: Reader) -> None:
        """Let this one's calls set out when everything is read."""
        self._readers.append(reader)
        if len(self._readers) == 1 and not self._waiting:
            self._soon(self._end_turn)

    def add(self, outgoing: Outgoing) -> None:
        """Flush this one at the end of the turn."""
        self._waiting.append(outgoing)
        if len(self._waiting) == 1 and not self._readers:
            self._soon(self._end_turn)

    def _end_turn(self) -> None:
        readers, self._readers = self._readers, []
        for reader in readers:
            try:
                reader.set_out()
            except Exception:
                log.exception("a connection is dropped: its calls were lost on the way")
                reader.abort()
        waiting, self._waiting = self._waiting, []
        for outgoing in waiting:
            try:
                outgoing.turn_over()
            except Exception:
                log.exception("a connection is dropped: it could not be written to")
                outgoing.abort()


class Outgoing:
    """A transport whose writes wait for the end of the turn. Order is kept: closing sends what waits first."""

    __slots__ = (
        "_buffered",
        "_outbox",
        "_parts",
        "_queued",
        "_size",
        "_transport",
        "can_write_eof",
        "get_extra_info",
        "is_closing",
        "pause_reading",
        "resume_reading",
    )

    def __init__(self, transport: asyncio.Transport, outbox: Outbox) -> None:
        self._transport = transport
        self._outbox = outbox
        self._parts: list[bytes] = []
        self._size = 0
        self._queued = False
        """Whether the outbox will come by at the end of this turn."""
        self.can_write_eof: Callable[[], bool] = transport.can_write_eof
        self.get_extra_info: Callable[[str], Any] = transport.get_extra_info
        self._buffered: Callable[[], int] = transport.get_write_buffer_size
        self.is_closing: Callable[[], bool] = transport.is_closing
        self.pause_reading: Callable[[], None] = transport.pause_reading
        self.resume_reading: Callable[[], None] = transport.resume_reading

    def write(self, data: bytes) -> None:
        """Send ``data`` at the end of the turn."""
        self._parts.append(data)
        self._size += len(data)
        self._wait()

    def writelines(self, parts: list[bytes]) -> None:
        """Send all of ``parts`` at the end of the turn."""
        self._parts += parts
        self._size += sum([len(part) for part in parts])
        self._wait()

    def _wait(self) -> None:
        if self._size >= _HOLD:
            self.flush()
        elif not self._queued:
            self._queued = True
            self._outbox.add(self)

    def turn_over(self) -> None:
        """The turn has ended."""
        self._queued = False
        self.flush()

    def unsent(self) -> int:
        """Bytes that have not reached the kernel."""
        return self._size + self._buffered()

    def flush(self) -> None:
        """Send what waits now."""
        parts = self._parts
        if not parts:
            return
        size, self._size = self._size, 0
        self._parts = []
        if self._transport.is_closing():
            return
        if len(parts) == 1:
            self._transport.write(parts[0])
        elif size <= _JOIN_BELOW:
            self._transport.write(b"".join(parts))
        else:
            self._transport.writelines(parts)

    def write_eof(self) -> None:
        """Send what waits, then the end of the stream."""
        self.flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Send what waits, then close."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once; what waits is lost."""
        self._parts, self._size = [], 0
        self._transport.abort()
