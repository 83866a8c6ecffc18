"""The agents' side of the wire: one connection, and its requests in order.

Requests that arrive while one is under way (pipelining) wait in line, with reading paused, so that a connection holds
at most what one read brought. ``requests.py`` makes them of bytes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from gateway.errors import Refused
from gateway.model import Call
from gateway.wire.driver import RELAYING
from gateway.wire.ending import Ending
from gateway.wire.exchange import Exchange
from gateway.wire.outbox import Outgoing
from gateway.wire.requests import RequestParser
from gateway.wire.tls import good_until, names_of
from gateway.wire.turn import Rejected, Turn
from gateway.wire.upstream import HIGH_WATER

if TYPE_CHECKING:
    from gateway.wire.listener import Listener
    from gateway.wire.tunnel import Tunnel

_SECOND_PROBE, _RARELY = 0.25, 15.0
"""Seconds from the first probe of a client that may have gone to the second, and between later ones at the most."""

_LARGE = 16 * 1024
"""Bytes of a read from which its calls do not wait for the end of the turn."""

_PROBE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(asyncio.Protocol):
    """One agent's connection."""

    __slots__ = (
        "_current",
        "_ending",
        "_eof_at",
        "_held",
        "_line_runs",
        "_paused",
        "_probes",
        "_queue",
        "_requests",
        "_retires_at",
        "_stalled",
        "_tunnel",
        "certificate",
        "idle_since",
        "listener",
        "loopback",
        "peer",
        "retired",
        "secure",
        "transport",
    )

    original = ""
    """See ``Request.original``; a redirected connection has one."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self._requests = RequestParser(self)
        self._current: Turn | None = None
        self._queue: deque[Turn] = deque()
        self._tunnel: Tunnel | None = None
        self._paused = self._stalled = self._line_runs = False
        self._held = b""
        """What came behind a request for an upgrade."""
        self._eof_at = 0.0
        self._probes = 0
        self.idle_since = monotonic()
        self.secure = self.retired = False
        """It is over TLS; it ends after the call under way."""
        self.certificate: tuple[str, ...] = ()
        """Names in the agent's certificate."""
        self._retires_at = 0.0
        """When that ends: whoever goes on after it must show a new one."""

    # -- asyncio ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        raw = cast("asyncio.Transport", transport)
        self.transport = Outgoing(raw, self.listener.outbox)
        self._ending = Ending(self.transport)
        raw.set_write_buffer_limits(HIGH_WATER)
        peer = raw.get_extra_info("peername")
        self.peer = peer[0] if isinstance(peer, tuple) else "unknown"
        self.loopback = self.peer.startswith("127.") or self.peer in ("::1", "::ffff:127.0.0.1")
        if (tls := raw.get_extra_info("ssl_object")) is not None:
            self._is_secure(tls.getpeercert())
        self.listener.opened(self)

    def _is_secure(self, shown: Mapping[str, Any] | None) -> None:
        self.secure = True
        if shown:
            self.certificate, self._retires_at = names_of(shown), good_until(shown)

    def data_received(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel.from_client(data)
            return
        if self._ending.lingers:
            return
        requests = self._requests
        if requests.upgrading:
            self._hold(data)
            return
        behind = requests.feed(data)
        if behind:
            self._hold(behind)
        if requests.new:
            self._announce(len(data))

    def _announce(self, read: int) -> None:
        """Calls set out at the end of the turn, unless more of a body may be read in it: that must not pile up."""
        if read < _LARGE and self._requests.body_of is None:
            self.listener.outbox.read(self)
        else:
            self.set_out()

    def set_out(self) -> None:
        """Everything of this turn has been read: what is new joins the line."""
        new = self._requests.new
        self._queue.extend(new)
        new.clear()
        self._run_line()
        if self._queue:
            self.pause_reading()

    def _run_line(self) -> None:
        """Let the first in line set out, and the next where that one is answered at once (a loop, not a recursion).

        Exchanges set out after the whole read was parsed, so that a small body goes out with its head; and not while
        the agent does not take the answers it has.
        """
        if self._line_runs:
            return
        self._line_runs = True
        while self._queue and self._current is None and not self._stalled:
            self._current = following = self._queue.popleft()
            if self._paused and not self._queue:  # read on: it is how we learn that the agent has gone
                self._resume()
            following.start()
        self._line_runs = False

    def eof_received(self) -> bool:
        if self._tunnel is not None:
            return self._tunnel.client_eof() and not self.secure
        if self._requests.new:
            self.set_out()
        if self._current is None or self._ending.lingers:
            self.transport.flush()  # asyncio closes on False, and knows nothing of what waits
            return False
        # Gone, or only done talking (half-close)? TCP does not say. `check` finds out.
        if self._requests.body_of is not None:
            self._requests.body_of.feed_broken("the request body ended early")
            self.transport.flush()
            return False
        if (self._current.phase >= RELAYING or self._current.streaming) and not self._queue:
            self.transport.flush()
            return False  # nobody stops talking in the middle of an answer: the agent has gone
        if self.secure:  # no half-close over TLS, as asyncio has it
            self.transport.flush()
            return False
        self._eof_at = monotonic()
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.listener.lost(self)
        self._requests.close()
        if self._tunnel is not None:
            self._tunnel.closed()
        current, self._current = self._current, None
        if current is not None:
            current.abandon()
        self._queue.clear()
        self._requests.new.clear()

    def pause_writing(self) -> None:
        self._stalled = True
        if self._current is not None:
            self._current.pause_answer()

    def resume_writing(self) -> None:
        self._stalled = False
        if self._current is not None:
            self._current.resume_answer()
        else:
            self._run_line()
            self._rest()

    # -- upgrades -----------------------------------------------------------------------------------------------

    def _hold(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > HIGH_WATER:
            self.pause_reading()

    def tunnel_opened(self, tunnel: Tunnel) -> bytes:
        """From here on the connection's bytes are the tunnel's. Returns what the agent sent ahead."""
        self._tunnel = tunnel
        held, self._held = self._held, b""
        self._resume(force=True)
        return held

    # -- the exchange's requests --------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def pause_reading(self) -> None:
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on, unless requests wait in line."""
        if self._paused and not self._queue:
            self._resume()

    def _resume(self, *, force: bool = False) -> None:
        if (self._paused or force) and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    def calling(self) -> str:
        """The tool that is being called on this connection, or nothing."""
        current = self._current
        return current.calling() if current is not None else ""

    def cut(self, covers: Callable[[Call], bool], refused: Refused, *, running: bool) -> bool:
        """End the call on this connection, where it is one of these; see ``Exchange.cut``."""
        current = self._current
        return current is not None and current.cut(covers, refused, running=running)

    def abort(self) -> None:
        """Drop the connection."""
        self.transport.abort()

    def break_off(self, *, hard: bool) -> None:
        """End the connection in the middle of an answer. ``hard``: only a reset tells the agent so."""
        if hard:
            self.transport.abort()
        else:
            self._ending.shut()

    def exchange_done(self, turn: Turn) -> None:
        """A turn has ended; the next in line sets out."""
        if turn is not self._current:
            return
        self._current = None
        self.idle_since = monotonic()
        if turn.closing or not turn.keep_alive:
            self._close(lingering=not turn.complete or bool(self._queue))
            return
        if self._requests.upgrading and not self._queue:  # the tool declined: HTTP goes on
            self._requests.go_on()
            held, self._held = self._held, b""
            if held:
                self.data_received(held)
        self._run_line()
        self._rest()

    def _rest(self) -> None:
        """Nothing is under way or in line: read on, or end where the agent has said all and is answered."""
        if self._current is None and not self._queue and not self._stalled:
            if self._eof_at:
                self._ending.shut()
            else:
                self._resume()

    def _close(self, *, lingering: bool) -> None:
        self._queue.clear()
        if not lingering or self._eof_at or self.transport.is_closing():
            self._ending.shut()
            return
        self._resume()
        self._ending.linger()

    # -- refusals without a request -----------------------------------------------------------------------------

    def reject(self, complaint: str, of: Exchange | None) -> None:
        """Bytes that are no request: 400 and the end, after what came before it is answered. ``of`` is the exchange
        whose body they belong to, if any."""
        new = self._requests.new
        if of is not None and of is self._current:
            self._queue.clear()
            new.clear()
            of.feed_broken(f"the request body is malformed: {complaint}")
            return
        for line in (self._queue, new):
            if of in line:  # it, and whatever was made of the bytes behind it
                while line.pop() is not of:
                    pass
        self.pause_reading()
        new.append(Rejected(self, complaint, 400, of.request if of is not None else None))

    # -- the clock ----------------------------------------------------------------------------------------------

    def check(self, now: float) -> None:
        """Called a few times a second: bounds on everything that an agent could stretch."""
        limits = self.listener.limits
        if self._ending.check(now):
            return
        if self._retires_at and now >= self._retires_at:
            self.retire()
        current = self._current
        requests = self._requests
        if requests.begun or requests.prefix:
            body_of = requests.body_of
            if body_of is None:
                if now - requests.head_at > limits.head_timeout:
                    self._timed_out(f"the request head took longer than {limits.head_timeout:g} s")
                    return
            elif not self._paused and not self._stalled and now - body_of.seen > limits.body_idle:
                requests.give_up()
                body_of.feed_broken(f"no more of the request body came for {limits.body_idle:g} s", timed_out=True)
                return
        if current is not None:
            current.check(now, self._stalled)
            if self._eof_at and now - self._eof_at > limits.half_close_grace and current is self._current:
                self._probe(current)
        elif now - self.idle_since > self._patience() and not requests.begun:
            self._ending.shut()

    def retire(self) -> None:
        """Who has connected is not known by this certificate any more: calls under way are answered, then it ends."""
        self.retired, self._retires_at, self.certificate = True, 0.0, ()

    def _patience(self) -> float:
        """Seconds for which it may be idle."""
        if self.retired:
            return 0.0
        return 1.0 if self.listener.draining else self.listener.limits.keep_alive

    def stop(self) -> None:
        """The gateway ends now: what is under way gets an answer that says so, or an end that cannot be mistaken."""
        if self._current is not None:
            self._current.stop()
        self._ending.shut()

    def _probe(self, current: Turn) -> None:
        """An agent that only half-closed ignores an interim answer; the kernel of one that is gone resets us."""
        # The first probe draws the reset and the second meets it; the client of a third one lives, and is asked rarely.
        self._probes += 1
        pause = min(_SECOND_PROBE * 4 ** min(self._probes - 1, 4), _RARELY)
        self._eof_at = monotonic() + pause - self.listener.limits.half_close_grace
        out = current.phase >= RELAYING or current.streaming
        if not out and current.request.version == "1.1":  # nothing of the answer is out yet
            self.transport.write(_PROBE)

    def _timed_out(self, detail: str) -> None:
        self._requests.give_up()
        self._queue.append(Rejected(self, detail, 408))
        self._run_line()


__all__ = ["Connection"]
