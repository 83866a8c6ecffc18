"""One call on the wire: drives the pipeline's generator from callbacks and moves the bytes it asks for.

An exchange stands between one request of an agent's connection and at most one connection to a tool. Its phases:

    waiting    for its turn (pipelining), for the body (ReadBody) or for something to happen (Await)
    connecting to the tool (Send)
    sent       the request is going out or gone, no answer yet
    collecting the answer is read before any of it is passed on (Collect)
    relaying   the answer is passed on as it comes (Relay); also tunnels
    done       the agent has its answer, or one side is gone
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from gateway.errors import ClientGone, CutShort, Refused, ToolgateError, UpstreamError
from gateway.execute.forward import BODY_IGNORED, Forwarder
from gateway.model import SAFE_METHODS, Answered, Call, Fields, Outcome, Permit, Reason, Request
from gateway.pipeline import Collect, ReadBody, Relay, Reply, Send, Way
from gateway.replies import blame
from gateway.understand.http import title_of
from gateway.understand.reader import Answer
from gateway.wire.answer import DROPPED, content_of, ends_with_connection, head_of, lines
from gateway.wire.tunnel import Tunnel
from gateway.wire.upstream import UpstreamConnection

if TYPE_CHECKING:
    from gateway.wire.server import Connection

log = logging.getLogger("gateway.wire")

WAITING, CONNECTING, SENT, COLLECTING, RELAYING, DONE = range(6)

_JOIN_BELOW = 16 * 1024
_HOLD = 256 * 1024
"""Bytes of a body kept while nobody takes them; above, the agent's connection is paused."""

_NOT_TUNNELLED = frozenset({b"h2c", b"http", b"tls"})
"""Upgrades to these would let requests through that no policy sees (h2c smuggling): the field is dropped instead."""


class Exchange:
    """A request, its way through the pipeline, and the bytes of its answer."""

    # Class attributes stand for the usual case, so that an exchange sets only what differs (it is made for each call).
    phase = WAITING
    closing = False
    """The agent's connection ends after this answer."""
    complete = False
    """The agent's request has been read to its end."""
    sent_whole = bodiless = False
    received = sent = status = head_fields = 0
    _retried = _chunked_out = _plain = _typed = False
    _framed = True
    _slow = False
    """The agent has not taken what was written to it."""
    _first_byte = _began = _asked_at = 0.0
    _out_size = _limit = 0
    _upstream: UpstreamConnection | None = None
    _tunnel: Tunnel | None = None
    _wanted: ReadBody | None = None
    _await: asyncio.Future[Any] | None = None
    _waits: Call | None = None
    """The call that waits for what ``_await`` gives, before it is permitted."""
    _way: Way | None = None
    _through: Answer | None = None
    """What the answer's body goes through."""
    _head: tuple[bytes, list[tuple[bytes, bytes]]]
    """Reason phrase and fields of an answer that is read before it is passed on."""
    _trailers: Sequence[tuple[bytes, bytes]] = ()
    _permit: Permit
    _forwarder: Forwarder

    def __init__(
        self, connection: Connection, request: Request, keep_alive: bool, upgrade: bytes, expect: bool
    ) -> None:
        self._connection = connection
        self.request = request
        self.keep_alive = keep_alive
        self.upgrade = upgrade
        self._expect = expect
        self.chunked = request.length < 0
        self._parts: list[bytes] = []
        self._out: list[bytes] = []
        self.seen = monotonic()

    # -- the pipeline -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Set out. Called once, when the requests before this one on the connection are answered."""
        self.seen = monotonic()
        self._way = self._connection.listener.pipeline.run(self.request)
        self._advance(None)

    def _advance(self, answer: Any, error: BaseException | None = None) -> None:
        way = self._way
        if way is None:
            raise RuntimeError("an exchange that never set out")
        while True:
            try:
                effect = way.send(answer) if error is None else way.throw(error)
            except StopIteration:
                self._finish()
                return
            except Exception:
                log.exception("a call was lost on its way; its connection is closed")
                self.phase = DONE
                self._drop_upstream()
                self._connection.abort()
                return
            error = None
            if isinstance(effect, Send):
                self._plain, self._typed = effect.plain, effect.plain or effect.typed
                self._send(effect.permit)
                return
            if isinstance(effect, Relay):
                if effect.body is None:
                    self._open_answer(effect)
                    return
                answer = self._relay_whole(effect, effect.body)
                continue
            if isinstance(effect, Collect):
                self._collect(effect)
                return
            if isinstance(effect, Reply):
                answer = self._reply(effect)
            elif isinstance(effect, ReadBody):
                error = self._too_large(effect)
                size = max(self.request.length, self.received)
                if error is None and not self.complete and size <= effect.limit:
                    self._ask_for_body(effect)
                    return
                answer = self._whole_body(effect)
            else:
                self._waits = effect.call
                self._await = task = asyncio.ensure_future(effect.awaitable)
                task.add_done_callback(self._awaited)
                return

    def _awaited(self, task: asyncio.Future[Any]) -> None:
        self._await = self._waits = None
        if task.cancelled() or self.phase == DONE:
            return
        error = task.exception()
        if error is not None:
            self._advance(None, error)
        else:
            self._advance(task.result())

    def _finish(self) -> None:
        if self.phase != DONE:
            self.phase = DONE
            self._connection.exchange_done(self)

    def abandon(self) -> None:
        """The agent is gone: cancel what is under way and tell the pipeline."""
        if self.phase == DONE:
            return
        upstream = self.status if self.phase >= COLLECTING else 0
        self.phase = DONE
        if self._await is not None:
            self._await.cancel()
        self._drop_upstream()
        outcome = Outcome(
            499, upstream, "agent", "the agent closed its connection", self.received, self.sent, self._first_byte
        )
        if self._way is None:  # still waiting for its turn: it never set out
            return
        try:
            self._way.throw(ClientGone(outcome))
        except StopIteration:
            pass
        except Exception:
            log.exception("a call was lost while it was abandoned")

    def _drop_upstream(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abort()

    # -- the agent's request body -------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Body bytes from the agent."""
        self.received += len(data)
        self.seen = monotonic()
        if self._upstream is not None and self.phase >= SENT:
            self._upstream.transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data)
            return
        if self.phase >= RELAYING:  # answered already: the rest is read and dropped
            return
        self._parts.append(data)
        wanted = self._wanted
        if wanted is not None:
            if (error := self._too_large(wanted)) is not None:
                self._wanted = None
                self._advance(None, error)
            elif self.received > wanted.limit:
                self._wanted = None
                self._advance(None)
        elif self.received > _HOLD:
            self._connection.pause_reading()

    def feed_end(self, trailers: Sequence[tuple[bytes, bytes]]) -> None:
        """The agent's request is complete."""
        self.complete = True
        self._trailers = trailers
        if self._wanted is not None:
            wanted, self._wanted = self._wanted, None
            self._advance(self._whole_body(wanted))
        elif self._upstream is not None and self.phase >= SENT and not self.sent_whole:
            self._asked()
            if self.chunked:
                self._upstream.transport.write(self._last_chunk())

    def feed_broken(self, complaint: str, *, timed_out: bool = False) -> None:
        """The agent's request body is malformed, or stopped coming."""
        self.keep_alive = False
        kind = Refused if self.phase == WAITING else UpstreamError
        if timed_out:
            self.complete = True  # nothing more will come that the agent should be let finish
            self._fail(kind(Reason.REQUEST_TIMEOUT, 408, complaint))
        else:
            self._fail(kind(Reason.BAD_REQUEST, 400, complaint))

    def _last_chunk(self) -> bytes:
        return b"0\r\n%b\r\n" % lines(self._forwarder.trailers(self._trailers))

    def _too_large(self, wanted: ReadBody) -> Refused | None:
        size = max(self.request.length, self.received)
        if size <= wanted.limit or wanted.optional:
            return None
        self.closing = self.closing or not self.complete
        return Refused(
            Reason.BODY_TOO_LARGE,
            413,
            f"a rule of this tool reads the body, and the body is over {wanted.limit} bytes",
            "send less, or raise `body.limit` for this tool",
        )

    def _ask_for_body(self, wanted: ReadBody) -> None:
        """Wait for the body, and say so where the agent waits to be asked (RFC 9110, 10.1.1)."""
        self._wanted = wanted
        if self._expect:
            self._expect = False
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._connection.resume_reading()

    def _whole_body(self, wanted: ReadBody) -> bytes | None:
        return b"".join(self._parts) if self.complete and self.received <= wanted.limit else None

    def pause_upload(self) -> None:
        """The tool takes the body slower than the agent sends it."""
        self._connection.pause_reading()

    def resume_upload(self) -> None:
        self._connection.resume_reading()

    # -- the call to the tool -----------------------------------------------------------------------------------

    def _send(self, permit: Permit) -> None:
        self._permit = permit
        body = permit.call.body
        if body is not None:  # changed on its way; it was read ahead, so it is complete
            self._parts = [body] if body else []
            self.chunked = False
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
        upstream.attach(self)
        self.phase = SENT
        if self.request.method == "CONNECT":
            self.status = 200
            self._advance(Answered(200, self._since()))
            return
        permit = self._permit
        expect = self._expect and not self.complete
        if self.upgrade:
            self.upgrade = self._allowed_upgrade(permit.call.tool.upgrades)
        head = self._forwarder.head(
            permit, chunked=self.chunked, upgrade=self.upgrade, expect=expect, plain=self._plain
        )
        parts = self._parts
        if self.complete:
            self._asked()
        if not parts and (not self.chunked or not self.complete):
            upstream.transport.write(head)
        elif self.chunked:
            out = [head, *[b"%x\r\n%b\r\n" % (len(part), part) for part in parts]]
            if self.complete:
                out.append(self._last_chunk())
            upstream.transport.write(b"".join(out))
        elif len(parts) == 1 and len(parts[0]) < _JOIN_BELOW:
            upstream.transport.write(head + parts[0])
        else:
            upstream.transport.writelines([head, *parts])
        if self.complete:
            return
        self._parts = []
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

    # -- what the tool says -------------------------------------------------------------------------------------

    def interim(self, status: int, reason: bytes, fields: list[tuple[bytes, bytes]]) -> None:
        """A 1xx answer: passed on, except a 100 that we have given ourselves and anything an HTTP/1.0 agent gets."""
        if self.request.version == "1.0" or (status == 100 and not self._expect):
            return
        if status == 100:
            self._expect = False
        told = lines(tuple([field for field in fields if field[0].lower() not in DROPPED]))
        self._connection.write(b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason, told))

    def answered(self, upstream: UpstreamConnection) -> None:
        """The head of the tool's answer is complete."""
        self.status = status = upstream.status
        if status == 101 and not self.upgrade:
            raise UpstreamError(Reason.UPSTREAM_PROTOCOL, 502, "the tool switched protocols and was not asked to")
        self.head_fields = len(upstream.fields)
        self._parts = []
        self.bodiless = self.request.method == "HEAD"
        kind, coding = content_of(upstream.fields) if self._typed else ("", "")
        self._advance(Answered(status, self._since(), kind, coding))

    def _open_answer(self, relay: Relay) -> None:
        """Write the head of the tool's answer, with our fields added, and choose how its body is framed."""
        upstream = self._upstream
        if upstream is None:
            raise RuntimeError("an answer without a tool")
        if self.request.method == "CONNECT":
            self.phase = RELAYING
            self._begin_tunnel(b"HTTP/1.1 200 Connection established\r\n%b\r\n" % relay.lines, b"")
            return
        status, through = self.status, relay.through
        self._through = through
        new_body = through is not None and through.rewrites
        head = head_of(status, upstream.reason, upstream.fields, self._locate, new_body=new_body)
        parts, has_length, chunked = head.parts, head.has_length, head.chunked
        self.phase = RELAYING
        parts.append(relay.lines)
        if status == 101:
            parts.append(b"Connection: Upgrade\r\nUpgrade: %b\r\n\r\n" % self.upgrade)
            self._out = parts
            return
        body = not (self.bodiless or status in (204, 304))
        upstream.close_delimited = body and head.ends_with_connection
        # Over TLS an answer that ends with its connection may have been cut (asyncio hides whether the tool said
        # close_notify): the agent gets it in the same form and can judge for itself; chunks would vouch for it.
        bare = upstream.close_delimited and self._permit.call.tool.origin.scheme == "https"
        self._chunked_out = body and not has_length and not bare and self.request.version == "1.1"
        if self._chunked_out or (chunked and self.bodiless):
            parts.append(b"Transfer-Encoding: chunked\r\n")
        self._framed = has_length or self._chunked_out or not body
        self._close_or_keep(parts, framed=self._framed)
        parts.append(b"\r\n")
        self._out = parts

    def _locate(self, location: bytes) -> bytes:
        located = self._forwarder.location(self._permit.call, location)
        if self._plain and 300 <= self.status < 400 and self._forwarder.leads_away(located):
            raise UpstreamError(
                Reason.UPSTREAM_PROTOCOL, 502, "the tool redirects to another host, where no policy would see the call"
            )
        return located

    # -- an answer that is read before it is passed on ----------------------------------------------------------

    def _collect(self, collect: Collect) -> None:
        """Gather the answer's body; its head is kept for later."""
        upstream = self._upstream
        if upstream is None:
            raise RuntimeError("an answer without a tool")
        self.phase = COLLECTING
        self._head = (upstream.reason, upstream.fields[: self.head_fields])
        self._limit = collect.limit
        upstream.close_delimited = ends_with_connection(upstream.fields)

    def _gather(self, data: bytes) -> None:
        self._parts.append(data)
        self._out_size += len(data)
        if self._out_size > self._limit:
            raise UpstreamError(
                Reason.RESULT_UNREADABLE, 502, f"a rule reads the answer, and it is over {self._limit} bytes"
            )

    def _relay_whole(self, relay: Relay, body: bytes) -> Outcome:
        """Write the whole answer: the kept head and this body."""
        self.phase = RELAYING
        reason, fields = self._head
        same = len(body) == self._out_size and body == b"".join(self._parts)
        head = head_of(self.status, reason, fields, self._locate, new_body=not same)
        parts = head.parts
        parts.append(relay.lines)
        if not head.has_length:
            parts.append(b"Content-Length: %d\r\n" % len(body))
        self._close_or_keep(parts, framed=True)
        parts += (b"\r\n", body)
        self.sent = len(body)
        self._connection.write(b"".join(parts))
        return self._outcome()

    def _close_or_keep(self, parts: list[bytes], *, framed: bool) -> None:
        connection = self._connection
        if not self.keep_alive or not framed or connection.listener.draining or not self.complete:
            self.closing = True
        if self.closing:
            parts.append(b"Connection: close\r\n")
        elif self.request.version == "1.0":
            parts.append(b"Connection: keep-alive\r\n")

    def chunk(self, data: bytes) -> None:
        """Body bytes from the tool."""
        if self._through is not None:
            data = self._read(self._through, data)
        elif self.phase == COLLECTING:
            self._gather(data)
            return
        if data:
            self._put(data)

    def _put(self, data: bytes) -> None:
        """Body bytes for the agent."""
        size = len(data)
        self.sent += size
        self._out_size += size
        if self._chunked_out:
            self._out += (b"%x\r\n" % size, data, b"\r\n")
        else:
            self._out.append(data)

    def _read(self, answer: Answer, data: bytes | None) -> bytes:
        """What an answer's reader makes of a piece, or of the end (None). One that breaks must not break the answer,
        unless the agent may only have what it lets through."""
        try:
            return answer.end() if data is None else answer.feed(data)
        except CutShort:
            raise
        except Exception as error:
            log.exception("an answer could not be read")
            if not answer.rewrites:
                self._through = None
                return data or b""
            raise UpstreamError(
                Reason.RESULT_UNREADABLE, 502, f"the answer could not be read: {type(error).__name__}"
            ) from error

    def flush(self) -> None:
        """Write what has gathered while one piece of the tool's answer was parsed."""
        out = self._out
        if out:
            self._out = []
            if self._out_size < _JOIN_BELOW:
                self._connection.write(b"".join(out))
            else:
                self._connection.writelines(out)
            self._out_size = 0

    def ended(self, trailers: Fields) -> None:
        """The tool's answer is complete."""
        self._upstream = None
        if self.phase == COLLECTING:
            self._advance(b"".join(self._parts))
            return
        if self.phase != RELAYING:
            return
        if self._through is not None:
            try:
                rest = self._read(self._through, None)
            except UpstreamError as error:
                self._fail(error)
                return
            if rest:
                self._put(rest)
        if self._chunked_out:
            if trailers:
                self._out.append(b"0\r\n%b\r\n" % lines(trailers))
            else:
                self._out.append(b"0\r\n\r\n")
        self.flush()
        self._advance(self._outcome())

    def _outcome(self, fault: str = "", error: str = "") -> Outcome:
        return Outcome(self.status, self.status, fault, error, self.received, self.sent, self._first_byte)

    # -- when it goes wrong -------------------------------------------------------------------------------------

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

    def _fail(self, error: ToolgateError) -> None:
        if self.phase == DONE:
            return
        self._drop_upstream()
        if self.phase < RELAYING:
            if self.phase == CONNECTING and isinstance(error, UpstreamError):
                error.unsent = not self._retried
            if self._await is not None:
                self._await.cancel()
            self._wanted = None
            self._advance(None, error)
            return
        if isinstance(error, CutShort):
            self._cut_short(error)
            return
        # The head is out: the only honest signal left is an end that cannot be taken for a good one.
        self.closing = True
        self.keep_alive = False
        self._out = []
        fault = blame(error) if isinstance(error, UpstreamError) else "tool"
        outcome = self._outcome(fault, str(error))
        self._connection.break_off(hard=not self._framed or fault == "agent")
        self._advance(outcome)

    def _cut_short(self, error: CutShort) -> None:
        """End the body as if it were complete: its last bytes say that it is not."""
        self._put(error.last)
        if self._chunked_out:
            self._out.append(b"0\r\n\r\n")
        self.flush()
        self._advance(self._outcome("gateway", error.detail))

    def stop(self) -> None:
        """The gateway ends, and the time for what is under way is over."""
        kind = Refused if self.phase == WAITING else UpstreamError
        self._fail(kind(Reason.DRAINING, 503, "the gateway was stopped before the call had ended"))

    def cut(self, covers: Callable[[Call], bool], refused: Refused, *, running: bool) -> bool:
        """End the call, where it is one of these and waits to be permitted, or is under way and ``running`` are meant.
        Whether it was ended."""
        if self.phase == WAITING:
            if self._waits is None or not covers(self._waits):
                return False
            self._waits = None
            self._fail(refused)
            return True
        if not running or self.phase == DONE or not self._began or not covers(self._permit.call):
            return False
        if self._tunnel is not None:
            self.received, self.sent = self._tunnel.received, self._tunnel.sent
        self._fail(UpstreamError(refused.reason, refused.status, refused.detail))
        return True

    def calling(self) -> str:
        """The tool that is being called, or nothing yet."""
        return self._permit.call.tool.name if CONNECTING <= self.phase < DONE and self._began else ""

    def check(self, now: float, stalled: bool) -> None:
        """Look at the clock. ``stalled``: the agent does not take what we write."""
        if self.phase in (WAITING, CONNECTING, DONE):
            return
        timeouts = self._permit.call.tool.timeouts
        seen = self._tunnel.seen if self._tunnel is not None else self.seen
        if timeouts.total and now - self._began > timeouts.total:
            self._time_out(f"the call took longer than {timeouts.total:g} s", agent=stalled or self._unsent())
        elif self.phase == SENT and self.sent_whole and now - self._asked_at > timeouts.first_byte:
            self._time_out(f"no answer within {timeouts.first_byte:g} s", agent=False)
        elif now - max(seen, self._began) > timeouts.idle:
            self._time_out(f"nothing moved for {timeouts.idle:g} s", agent=stalled or self._unsent())

    def _unsent(self) -> bool:
        """Whether it is the agent's request that is still to come."""
        return self.phase == SENT and not self.complete

    def _time_out(self, detail: str, *, agent: bool) -> None:
        if self._tunnel is not None:
            self._tunnel.closed()
            return
        if agent:
            what = "sends its request too slowly" if self.phase == SENT else "stopped reading"
            self._fail(UpstreamError(Reason.REQUEST_TIMEOUT, 408, f"the agent {what}: {detail}"))
        else:
            self._fail(UpstreamError(Reason.UPSTREAM_TIMEOUT, 504, f"the tool was too slow: {detail}"))

    # -- answers of our own -------------------------------------------------------------------------------------

    def _reply(self, reply: Reply) -> Outcome:
        self._drop_upstream()  # an answer of the tool that is not passed on
        self.phase = RELAYING
        self.status = reply.status
        parts = [b"HTTP/1.1 %d %b\r\n" % (reply.status, title_of(reply.status).encode())]
        parts.append(lines(reply.fields))
        parts.append(b"Content-Length: %d\r\n" % len(reply.body))
        self._close_or_keep(parts, framed=True)
        parts.append(b"\r\n")
        if self.request.method != "HEAD":
            parts.append(reply.body)
            self.sent = len(reply.body)
        self._connection.write(b"".join(parts))
        return Outcome(reply.status, received=self.received, sent=self.sent)

    # -- tunnels ------------------------------------------------------------------------------------------------

    def switched(self, rest: bytes) -> None:
        """The tool's parser stopped at an upgrade; ``rest`` is what came behind the head."""
        if self.status == 101 and self.phase == RELAYING:
            head, self._out = b"".join(self._out), []
            self._begin_tunnel(head, rest)

    def _begin_tunnel(self, head: bytes, rest: bytes) -> None:
        upstream = self._upstream
        if upstream is None:
            raise RuntimeError("a tunnel without a tool")
        upstream.exchange = None
        self._connection.write(head)
        self._tunnel = upstream.tunnel = Tunnel(self, self._connection.transport, upstream.transport)
        upstream.transport.resume_reading()
        held = self._connection.tunnel_opened(self._tunnel)
        if rest:
            self._tunnel.from_upstream(rest)
        if held:
            self._tunnel.from_client(held)

    def tunnel_over(self, tunnel: Tunnel) -> None:
        """Both directions have ended."""
        self._upstream = None
        self.received, self.sent = tunnel.received, tunnel.sent
        self.closing = True
        if self.phase != DONE:
            self._advance(self._outcome())

    # -- backpressure -------------------------------------------------------------------------------------------

    def let_others(self) -> None:
        """An answer that is read costs time by its events, not its bytes: other connections have their turn before more
        of it is read."""
        if self._through is None or self._upstream is None or self._upstream.transport.is_closing():
            return
        self._upstream.transport.pause_reading()
        asyncio.get_running_loop().call_soon(self._read_on)

    def _read_on(self) -> None:
        if self._upstream is not None and not self._slow and not self._upstream.transport.is_closing():
            self._upstream.transport.resume_reading()

    def pause_answer(self) -> None:
        """The agent reads slower than the tool sends."""
        self._slow = True
        if self._tunnel is not None:
            self._tunnel.pause_upstream()
        elif self._upstream is not None and not self._upstream.transport.is_closing():
            self._upstream.transport.pause_reading()

    def resume_answer(self) -> None:
        self.seen = monotonic()
        self._slow = False
        if self._tunnel is not None:
            self._tunnel.resume_upstream()
        elif self._upstream is not None and not self._upstream.transport.is_closing():
            self._upstream.transport.resume_reading()


__all__ = ["Exchange"]
