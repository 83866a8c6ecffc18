"""The agents' side of the wire: one connection, its requests in order, on llhttp.

llhttp parses; what it lets pass and RFC 9112 does not is refused in ``strict``. Requests that arrive while one is under
way (pipelining) wait in line, with reading paused, so that a connection holds at most what one read brought.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, cast

import httptools

from gateway.errors import Refused
from gateway.model import Call, Request
from gateway.wire import strict
from gateway.wire.driver import RELAYING
from gateway.wire.exchange import Exchange
from gateway.wire.outbox import Outgoing
from gateway.wire.upstream import HIGH_WATER

if TYPE_CHECKING:
    from gateway.wire.listener import Listener
    from gateway.wire.tunnel import Tunnel

_SECOND_PROBE, _RARELY = 0.25, 15.0
"""Seconds from the first probe of a client that may have gone to the second, and between later ones at the most."""

_LINGER = 2.0
"""Seconds that a closing connection is still read, so that the agent gets our answer and not a reset."""

_END_WITHIN = 10.0
"""Seconds without progress after which a connection that ends is cut: its agent has stopped reading."""

_COMMON = (b"POST /", b"GET /", b"PUT /", b"DELETE /", b"PATCH /")
"""How most requests begin: nothing to look at more closely."""

_SINGLE = frozenset({b"host", b"transfer-encoding", b"content-length"})

_BLANK = (b" ", b"\t")

_FRAMING = 16
"""Bytes that framing one chunk may take: its size in hex and two line ends."""

_LARGE = 16 * 1024
"""Bytes of a read from which its calls do not wait for the end of the turn."""

_PROBE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Malformed(Exception):  # noqa: N818 - a verdict on bytes, raised to stop llhttp
    """A request that is refused before it becomes one. Carries what is wrong with it."""


class Connection(asyncio.Protocol):
    """One agent's connection."""

    __slots__ = (
        "_begun",
        "_body_of",
        "_chunks",
        "_current",
        "_ending_at",
        "_eof_at",
        "_fields",
        "_head_at",
        "_held",
        "_idle_since",
        "_line_runs",
        "_linger_at",
        "_lookup",
        "_method",
        "_most_headers",
        "_new",
        "_overhead",
        "_parser",
        "_paused",
        "_prefix",
        "_probes",
        "_queue",
        "_repeated",
        "_resuming",
        "_size",
        "_stalled",
        "_tunnel",
        "_unsent",
        "_upgrading",
        "_url",
        "listener",
        "loopback",
        "peer",
        "transport",
    )

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self._most_headers = listener.limits.max_headers
        self._parser = httptools.HttpRequestParser(self)
        self._current: Exchange | None = None
        self._queue: deque[Exchange] = deque()
        self._new: list[Exchange] = []
        self._body_of: Exchange | None = None
        self._tunnel: Tunnel | None = None
        self._begun = False
        """Somewhere inside a request."""
        self._upgrading = self._resuming = self._paused = self._stalled = self._line_runs = False
        self._chunks = self._overhead = 0
        """Of a chunked body: chunks in this read, and bytes so far that were neither content nor chunk sizes."""
        self._prefix = self._held = b""
        self._size = 0
        """Bytes read since the head under way began; 0 while it is in the read that ended the request before it."""
        self._method: bytes | None = None
        self._linger_at = self._eof_at = self._ending_at = 0.0
        self._unsent = 0
        self._probes = 0
        self._idle_since = self._head_at = monotonic()
        self._new_head()

    def _new_head(self) -> None:
        self._url = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._lookup: dict[bytes, bytes] = {}
        self._repeated = False

    # -- asyncio ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        raw = cast("asyncio.Transport", transport)
        self.transport = Outgoing(raw, self.listener.outbox)
        raw.set_write_buffer_limits(HIGH_WATER)
        peer = raw.get_extra_info("peername")
        self.peer = peer[0] if isinstance(peer, tuple) else "unknown"
        self.loopback = self.peer.startswith("127.") or self.peer in ("::1", "::ffff:127.0.0.1")
        self.listener.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel.from_client(data)
            return
        if self._linger_at:
            return
        if self._upgrading:
            self._hold(data)
            return
        if not self._begun:
            self._size = 0
            if self._prefix or not data.startswith(_COMMON):
                data = self._at_start(data)
                if not data:
                    return
        self._size += len(data)
        body_of = self._body_of
        received = body_of.upload.received if body_of is not None else 0
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stopped_at_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._malformed(error)
        else:
            if self._size or self._chunks:
                self._check_sizes(body_of, len(data) + received)
        if self._new:
            self._announce(len(data))

    def _announce(self, read: int) -> None:
        """Calls set out at the end of the turn, unless more of a body may be read in it: that must not pile up."""
        if read < _LARGE and self._body_of is None:
            self.listener.outbox.read(self)
        else:
            self.set_out()

    def _check_sizes(self, going_on: Exchange | None, read: int) -> None:
        """Bound what is read and not passed on: a head that does not end, chunk extensions.

        ``going_on`` is the exchange whose body began in an earlier read; ``read`` its body bytes then, and what is
        read now.
        """
        limits = self.listener.limits
        if self._begun and self._body_of is None and self._size > limits.max_head:
            self._malformed(Malformed("the request head is too large"))
            return
        fed = self._new if going_on is None or going_on in self._new else [going_on, *self._new]
        chunked = [exchange for exchange in fed if exchange.upload.chunked]
        if not chunked:
            return
        if going_on is None:
            self._overhead = 0
        heads = sum([_head_size(exchange.request.target, exchange.request.fields) for exchange in self._new])
        self._overhead += read - heads - sum([exchange.upload.received for exchange in fed]) - _FRAMING * self._chunks
        self._overhead = max(0, self._overhead)
        self._chunks = 0
        if self._overhead > limits.max_head:
            self._malformed(Malformed("the chunked body is mostly chunk extensions"), chunked[0])

    def set_out(self) -> None:
        """Everything of this turn has been read: what is new joins the line."""
        self._queue.extend(self._new)
        self._new.clear()
        self._run_line()
        if self._queue:
            self.pause_reading()

    def _at_start(self, data: bytes) -> bytes:
        """At the start of a message: note the time, and give llhttp a method it knows where the agent's is our own."""
        if self._prefix:
            data, self._prefix = self._prefix + data, b""
        else:
            self._head_at = monotonic()
        if strict.is_part_of_a_method(data):
            self._prefix = data
            return b""
        if strict.starts_oddly(data):
            self._malformed(Malformed("the request line has more than one space after the method"))
            self.set_out()
            return b""
        self._method = strict.own_method(data)
        if self._method is not None:
            data = b"POST" + data[len(self._method) :]
        return data

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
            return self._tunnel.client_eof()
        if self._new:
            self.set_out()
        if self._current is None or self._linger_at:
            self.transport.flush()  # asyncio closes on False, and knows nothing of what waits
            return False
        # Gone, or only done talking (half-close)? TCP does not say. `check` finds out.
        if self._body_of is not None:
            self._body_of.feed_broken("the request body ended early")
            self.transport.flush()
            return False
        if self._current.phase >= RELAYING and not self._queue:
            self.transport.flush()
            return False  # nobody stops talking in the middle of an answer: the agent has gone
        self._eof_at = monotonic()
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.listener.lost(self)
        del self._parser  # it holds us, we hold it
        if self._tunnel is not None:
            self._tunnel.closed()
        current, self._current = self._current, None
        if current is not None:
            current.abandon()
        self._queue.clear()
        self._new.clear()

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

    # -- llhttp -------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._begun = True
        self._head_at = monotonic()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        fields = self._fields
        if value[-1:] in _BLANK:  # no part of the value (RFC 9110, 5.5), but llhttp leaves it there
            value = value.rstrip(b" \t")
        fields.append((name, value))
        if len(fields) > self._most_headers:
            raise Malformed(f"more than {self._most_headers} header fields")
        low = name.lower()
        lookup = self._lookup
        if low in lookup:
            lookup[low] += b", " + value
            if low in _SINGLE:
                self._repeated = True
        else:
            lookup[low] = value

    def on_headers_complete(self) -> None:
        if self._resuming:
            return
        parser = self._parser
        lookup = self._lookup
        version = parser.get_http_version()
        method = (self._method or parser.get_method()).decode("ascii")
        self._method = None
        limits = self.listener.limits
        if (self._size > limits.max_head or not self._size) and _head_size(self._url, self._fields) > limits.max_head:
            raise Malformed("the request head is too large")
        host = lookup.get(b"host")
        codings = lookup.get(b"transfer-encoding")
        if host not in self.listener.hosts or version != "1.1" or codings is not None or self._repeated:
            wrong = strict.complaint(version, method, host, codings, repeated=self._repeated)
            if wrong:
                raise Malformed(wrong)
            self.listener.remember_host(host)
        if b"#" in self._url:
            raise Malformed("the request target has a fragment")
        length = -1 if codings is not None else int(lookup.get(b"content-length", 0))
        if length and method == "CONNECT":
            raise Malformed("a body with CONNECT")
        upgrade = b""
        if b"upgrade" in lookup and not length and parser.should_upgrade():
            upgrade = lookup[b"upgrade"]
        request = Request(
            method,
            self._url.decode("latin-1"),
            version,
            tuple(self._fields),
            lookup,
            length,
            self.peer,
            self.loopback,
        )
        expect = b"expect" in lookup and version == "1.1" and lookup[b"expect"].lower() == b"100-continue"
        exchange = Exchange(self, request, parser.should_keep_alive(), upgrade, expect)
        self._new_head()
        self._body_of = exchange
        self._new.append(exchange)

    def on_chunk_header(self) -> None:
        self._chunks += 1

    def on_body(self, data: bytes) -> None:
        if self._body_of is not None:
            self._body_of.feed(data)

    def on_message_complete(self) -> None:
        exchange = self._body_of
        if exchange is None:
            return
        if exchange.request.length and not self._resuming and self._parser.should_upgrade():
            return  # llhttp stops here, but there is a body: see _stopped_at_upgrade
        trailers: Sequence[tuple[bytes, bytes]] = ()
        if self._fields:
            trailers = self._fields
            wrong = strict.trailer_complaint(trailers, self.listener.limits.max_headers, self.listener.limits.max_head)
            if wrong:
                raise Malformed(wrong)
            self._new_head()
        self._begun = self._resuming = False
        self._body_of = None
        self._size = 0
        self._idle_since = monotonic()
        exchange.feed_end(trailers)

    # -- upgrades -----------------------------------------------------------------------------------------------

    def _stopped_at_upgrade(self, rest: bytes) -> None:
        """llhttp takes any Upgrade for the end of HTTP. It is that only once the tool has agreed."""
        exchange = self._body_of
        if exchange is not None:  # an upgrade with a body is a request like any other
            self._parser = httptools.HttpRequestParser(self)
            self._resuming = True
            length = exchange.request.length
            framing = b"Content-Length: %d" % length if length > 0 else b"Transfer-Encoding: chunked"
            self._parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")
            self._new_head()
            if rest:
                self.data_received(rest)
            return
        self._upgrading = True
        if rest:
            self._hold(rest)

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

    def writelines(self, data: list[bytes]) -> None:
        self.transport.writelines(data)

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
        return current.calling() if isinstance(current, Exchange) else ""

    def cut(self, covers: Callable[[Call], bool], refused: Refused, *, running: bool) -> bool:
        """End the call on this connection, where it is one of these; see ``Exchange.cut``."""
        current = self._current
        return isinstance(current, Exchange) and current.cut(covers, refused, running=running)

    def abort(self) -> None:
        """Drop the connection."""
        self.transport.abort()

    def break_off(self, *, hard: bool) -> None:
        """End the connection in the middle of an answer. ``hard``: only a reset tells the agent so."""
        if hard:
            self.transport.abort()
        else:
            self._shut()

    def exchange_done(self, exchange: Exchange) -> None:
        """An exchange has ended; the next one in line sets out."""
        if exchange is not self._current:
            return
        self._current = None
        self._idle_since = monotonic()
        if exchange.closing or not exchange.keep_alive:
            self._close(lingering=not exchange.complete or bool(self._queue))
            return
        if self._upgrading and not self._queue:  # the tool declined: HTTP goes on
            self._upgrading = False
            self._parser = httptools.HttpRequestParser(self)
            held, self._held = self._held, b""
            if held:
                self.data_received(held)
        self._run_line()
        self._rest()

    def _rest(self) -> None:
        """Nothing is under way or in line: read on, or end where the agent has said all and is answered."""
        if self._current is None and not self._queue and not self._stalled:
            if self._eof_at:
                self._shut()
            else:
                self._resume()

    def _close(self, *, lingering: bool) -> None:
        self._queue.clear()
        self._ending_at = monotonic() + _END_WITHIN
        if self.transport.is_closing():
            return
        if not lingering or self._eof_at:
            self.transport.close()
            return
        self._linger_at = monotonic() + _LINGER
        self._resume()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    # -- refusals without a request -----------------------------------------------------------------------------

    def _malformed(self, error: Exception, of: Exchange | None = None) -> None:
        """Bytes that are no request: 400 and the end, after what came before it is answered.

        ``of`` is the exchange whose body they belong to, where its request seemed complete.
        """
        cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else error
        if not isinstance(cause, Malformed | httptools.HttpParserError):
            raise error
        if "Data after `Connection: close`" in str(cause):
            return  # the answer to the request before it ends the connection
        self._begun = False
        self._chunks = 0
        body_of, self._body_of = of or self._body_of, None
        if body_of is not None and body_of is self._current:
            self._queue.clear()
            self._new.clear()
            body_of.feed_broken(f"the request body is malformed: {cause}")
            return
        for line in (self._queue, self._new):
            if body_of in line:  # it, and whatever was made of the bytes behind it
                while line.pop() is not body_of:
                    pass
        self.pause_reading()
        request = body_of.request if body_of is not None else None
        self._new.append(Rejected(self, str(cause), 400, request))  # type: ignore[arg-type]

    # -- the clock ----------------------------------------------------------------------------------------------

    def check(self, now: float) -> None:
        """Called a few times a second: bounds on everything that an agent could stretch."""
        limits = self.listener.limits
        if self._ending_at:
            self._end(now)
            return
        current = self._current
        if self._begun or self._prefix:
            body_of = self._body_of
            if body_of is None:
                if now - self._head_at > limits.head_timeout:
                    self._timed_out(f"the request head took longer than {limits.head_timeout:g} s")
                    return
            elif not self._paused and not self._stalled and now - body_of.seen > limits.body_idle:
                self._begun, self._body_of = False, None
                body_of.feed_broken(f"no more of the request body came for {limits.body_idle:g} s", timed_out=True)
                return
        if current is not None:
            current.check(now, self._stalled)
            if self._eof_at and now - self._eof_at > limits.half_close_grace and current is self._current:
                self._probe(current)
        elif now - self._idle_since > (1.0 if self.listener.draining else limits.keep_alive) and not self._begun:
            self._shut()

    def _shut(self) -> None:
        """Close once what is written has gone out. `_end` bounds how long that may take."""
        self._ending_at = monotonic() + _END_WITHIN
        self.transport.close()

    def _end(self, now: float) -> None:
        """A connection that ends lives while the agent takes what is written, then as long as it may linger."""
        unsent = self.transport.unsent()
        if unsent:
            if unsent < self._unsent:
                self._ending_at = now + _END_WITHIN
            self._unsent = unsent
            self._linger_at = now + _LINGER if self._linger_at else 0.0
        if now > self._ending_at or (self._linger_at and now > self._linger_at):
            self.transport.abort()

    def stop(self) -> None:
        """The gateway ends now: what is under way gets an answer that says so, or an end that cannot be mistaken."""
        if isinstance(self._current, Exchange):
            self._current.stop()
        self._shut()

    def _probe(self, current: Exchange) -> None:
        """An agent that only half-closed ignores an interim answer; the kernel of one that is gone resets us."""
        # The first probe draws the reset and the second meets it; the client of a third one lives, and is asked rarely.
        self._probes += 1
        pause = min(_SECOND_PROBE * 4 ** min(self._probes - 1, 4), _RARELY)
        self._eof_at = monotonic() + pause - self.listener.limits.half_close_grace
        if current.phase < RELAYING and current.request.version == "1.1":  # nothing of the answer is out yet
            self.transport.write(_PROBE)

    def _timed_out(self, detail: str) -> None:
        self._begun, self._prefix = False, b""
        self._queue.append(Rejected(self, detail, 408))  # type: ignore[arg-type]
        self._run_line()


def _head_size(target: str | bytes, fields: Iterable[tuple[bytes, bytes]]) -> int:
    return len(target) + sum([len(name) + len(value) + 4 for name, value in fields])


class Rejected:
    """Stands in the line of exchanges for bytes that never became a request."""

    keep_alive = complete = False
    closing = True
    phase = 0

    def __init__(self, connection: Connection, detail: str, status: int, request: Request | None = None) -> None:
        self._connection, self._detail, self._status = connection, detail, status
        self._request = request

    def start(self) -> None:
        """Answer and end."""
        connection = self._connection
        request = self._request or Request("", "", "", (), {}, 0, connection.peer, connection.loopback)
        connection.write(connection.listener.rejection(self._status, self._detail, request))
        connection.exchange_done(self)  # type: ignore[arg-type]

    def abandon(self) -> None:
        """Nothing is under way."""

    def check(self, now: float, stalled: bool) -> None:
        """Nothing to wait for."""

    def pause_answer(self) -> None:
        """Nothing to pause."""

    resume_answer = pause_answer
