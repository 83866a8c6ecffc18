"""One call on the wire: moves its bytes between an agent's connection and at most one connection to a tool.

``driver.py`` drives the pipeline and has the phases; ``caller.py`` makes the call, with the body in ``upload.py``. Here
is what becomes of the answer, with its body in ``download.py``, and every way of going wrong.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from msgspec import structs

from gateway.effects import Collect, Relay, Reply
from gateway.errors import CutShort, Refused, ToolgateError, UpstreamError
from gateway.model import Answered, Call, Fields, Outcome, Reason, Request
from gateway.replies import blame
from gateway.understand.http import title_of
from gateway.wire.answer import DROPPED, content_of, ends_with_connection, head_of, labels_of, lines, session_of
from gateway.wire.door import door_of
from gateway.wire.download import Download
from gateway.wire.driver import COLLECTING, CONNECTING, DONE, RELAYING, SENT, WAITING
from gateway.wire.echo import echo_of
from gateway.wire.held import Held
from gateway.wire.tunnel import Tunnel
from gateway.wire.upload import Upload
from gateway.wire.upstream import UpstreamConnection

if TYPE_CHECKING:
    from gateway.wire.server import Connection

log = logging.getLogger("toolgate.egress")


class Exchange(Held):
    """A request, its way through the pipeline, and the bytes of its answer."""

    # As in Driver, class attributes stand for the usual case.
    bodiless = False
    """The answer has no body, whatever its head says: it answers a HEAD."""
    head_fields = 0
    """How many fields the head of the answer has; what comes behind them are trailers."""
    _slow = False
    """The agent has not taken what was written to it."""
    _tunnel: Tunnel | None = None

    def __init__(
        self, connection: Connection, request: Request, keep_alive: bool, upgrade: bytes, expect: bool
    ) -> None:
        super().__init__(connection, request, Upload(request.length, expect))
        self.keep_alive = keep_alive
        self.upgrade = upgrade
        self.download = Download(connection.transport)

    @property
    def complete(self) -> bool:
        """The agent's request has been read to its end."""
        return self.upload.complete

    # -- what the tool says -------------------------------------------------------------------------------------

    def _attach(self, upstream: UpstreamConnection) -> None:
        call = self._permit.call
        if call.tool.masks_echo and self.request.method != "CONNECT":
            self.download.echo = echo_of(call.tool, self._lent)
        upstream.attach(self)

    def interim(self, status: int, reason: bytes, fields: list[tuple[bytes, bytes]]) -> None:
        """A 1xx answer: passed on, except a 100 that we have given ourselves and anything an HTTP/1.0 agent gets."""
        if self.streaming or self.request.version == "1.0" or (status == 100 and not self.upload.expect):
            return
        if status == 100:
            self.upload.expect = False
        told = lines(tuple([field for field in fields if field[0].lower() not in DROPPED]))
        self._connection.write(self.download.shown(b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason, told)))

    def answered(self, upstream: UpstreamConnection) -> None:
        """The head of the tool's answer is complete."""
        self.status = status = upstream.status
        if status == 101 and not self.upgrade:
            raise UpstreamError(Reason.UPSTREAM_PROTOCOL, 502, "the tool switched protocols and was not asked to")
        self.head_fields = len(upstream.fields)
        self.upload.parts = []
        self.bodiless = self.request.method == "HEAD"
        kind, coding = content_of(upstream.fields) if self._typed else ("", "")
        session = session_of(upstream.fields) if self._typed and self._permit.call.implied else ""
        labels = labels_of(upstream.fields) if self._permit.call.tool.builtin else ()
        fields = tuple(upstream.fields) if self._typed else ()
        self._advance(Answered(status, self._since(), kind, coding, session, labels, fields))

    def _open_answer(self, relay: Relay) -> None:
        """Write the head of the tool's answer, with our fields added, and choose how its body is framed."""
        upstream = self._connected_tool()
        if self.streaming:
            self._go_on(relay, upstream)
            return
        if self.request.method == "CONNECT":
            self.phase = RELAYING
            self._begin_tunnel(b"HTTP/1.1 200 Connection established\r\n%b\r\n" % relay.lines, b"")
            return
        status, through, download = self.status, relay.through, self.download
        download.read_by(through)
        new_body = through is not None and through.rewrites
        head = head_of(status, upstream.reason, upstream.fields, self._locate, new_body=new_body)
        parts = head.parts
        self.phase = RELAYING
        parts.append(relay.lines)
        if status == 101:
            parts.append(b"Connection: Upgrade\r\nUpgrade: %b\r\n\r\n" % self.upgrade)
            download.begin(parts)
            return
        body = not (self.bodiless or status in (204, 304))
        upstream.close_delimited = body and head.ends_with_connection
        # Over TLS an answer that ends with its connection may have been cut (asyncio hides whether the tool said
        # close_notify): the agent gets it in the same form and can judge for itself; chunks would vouch for it.
        bare = upstream.close_delimited and self._permit.call.tool.origin.scheme == "https"
        chunks = not bare and self.request.version == "1.1"
        download.frame(head, body=body, bodiless=self.bodiless, chunks=chunks)
        parts.append(self._last_lines(framed=download.framed))
        download.begin(parts)

    def _locate(self, location: bytes) -> bytes:
        located = self._forwarder.location(self._permit.call, location)
        if self._plain and 300 <= self.status < 400 and self._forwarder.leads_away(located):
            raise UpstreamError(
                Reason.UPSTREAM_PROTOCOL, 502, "the tool redirects to another host, where no policy would see the call"
            )
        return located

    def _last_lines(self, *, framed: bool) -> bytes:
        """How the head of an answer ends: with whether its connection does. ``framed``: its body tells its own end."""
        ends = self._connection.listener.draining or self._connection.retired
        if not self.keep_alive or not framed or ends or not self.upload.complete:
            self.closing = True
        if self.closing:
            return b"Connection: close\r\n\r\n"
        return b"Connection: keep-alive\r\n\r\n" if self.request.version == "1.0" else b"\r\n"

    def _collect(self, collect: Collect) -> None:
        """Gather the answer's body; its head is kept for later."""
        upstream = self._connected_tool()
        self.phase = COLLECTING
        self._head = (upstream.reason, upstream.fields[: self.head_fields])
        self.download.collect(collect.limit)
        upstream.close_delimited = ends_with_connection(upstream.fields)

    def _relay_whole(self, relay: Relay, body: bytes) -> Outcome:
        """Write the whole answer: the kept head and this body."""
        self.phase = RELAYING
        if self.streaming:
            return self._end_stream(relay, body)
        reason, fields = self._head
        head = head_of(self.status, reason, fields, self._locate, new_body=not self.download.is_as_it_came(body))
        parts = head.parts
        parts.append(relay.lines)
        if not head.has_length:
            parts.append(b"Content-Length: %d\r\n" % len(body))
        parts.append(self._last_lines(framed=True))
        self.download.write_whole(parts, body)
        return self._outcome()

    def _reply(self, reply: Reply) -> Outcome:
        """Write an answer of our own."""
        self._drop_upstream()  # an answer of the tool that is not passed on
        self.phase = RELAYING
        if self.streaming:
            return self._reply_in_stream(reply)
        self.status = reply.status
        parts = [b"HTTP/1.1 %d %b\r\n" % (reply.status, title_of(reply.status).encode())]
        parts.append(lines(reply.fields))
        parts.append(b"Content-Length: %d\r\n" % len(reply.body))
        parts.append(self._last_lines(framed=True))
        self.download.write_whole(parts, reply.body if self.request.method != "HEAD" else b"")
        return Outcome(reply.status, received=self.upload.received, sent=self.download.sent)

    def chunk(self, data: bytes) -> None:
        """Body bytes from the tool."""
        if self.phase == COLLECTING:
            self.download.gather(data)
        else:
            self.download.pass_on(data)

    def flush(self) -> None:
        """One piece of the tool's answer was parsed: what has gathered leaves."""
        self.download.flush()

    def ended(self, trailers: Fields) -> None:
        """The tool's answer is complete."""
        self._upstream = None
        if self.phase == COLLECTING and self._relay is not None:
            self._wrap(self._relay)
        elif self.phase == COLLECTING:
            self._advance(self.download.gathered())
        elif self.phase == RELAYING:
            try:
                self.download.end(trailers)
            except UpstreamError as error:
                self._fail(error)
            else:
                self._advance(self._outcome())

    def _outcome(self, fault: str = "", error: str = "") -> Outcome:
        status = 200 if self.streaming else self.status
        return Outcome(status, self.status, fault, error, self.upload.received, self.download.sent, self._first_byte)

    # -- when it goes wrong -------------------------------------------------------------------------------------

    def _finish(self) -> None:
        if self.phase != DONE:
            self.phase = DONE
            self._connection.exchange_done(self)

    def abandon(self) -> None:
        """The agent is gone: cancel what is under way and tell the pipeline."""
        if self.phase == DONE:
            return
        upstream = self.status if self.phase >= COLLECTING else 0
        gone = "the agent closed its connection"
        self._forget(Outcome(499, upstream, "agent", gone, self.upload.received, self.download.sent, self._first_byte))

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
            self.download.cut_short(error.last)
            self._advance(self._outcome("gateway", error.detail))
            return
        # The head is out: the only honest signal left is an end that cannot be taken for a good one.
        self.closing = True
        self.keep_alive = False
        self.download.drop()
        fault = blame(error) if isinstance(error, UpstreamError) else "tool"
        outcome = self._outcome(fault, str(error))
        self._connection.break_off(hard=not self.download.framed or fault == "agent")
        self._advance(outcome)

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
            self._count(self._tunnel)
        self._fail(UpstreamError(refused.reason, refused.status, refused.detail))
        return True

    def calling(self) -> str:
        """The tool that is being called, or nothing yet."""
        return self._permit.call.tool.name if CONNECTING <= self.phase < DONE and self._began else ""

    def check(self, now: float, stalled: bool) -> None:
        """Look at the clock. ``stalled``: the agent does not take what we write."""
        if self._pulse is not None and self.phase < RELAYING and now >= self._beat_at:
            self._beat(self._pulse, now, stalled=stalled)
        if self.phase in (WAITING, CONNECTING, DONE) or self._waits is not None:
            return  # a result that a person looks at takes as long as that
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
        return self.phase == SENT and not self.upload.complete

    def _time_out(self, detail: str, *, agent: bool) -> None:
        if self._tunnel is not None:
            self._tunnel.closed()
            return
        if agent:
            what = "sends its request too slowly" if self.phase == SENT else "stopped reading"
            self._fail(UpstreamError(Reason.REQUEST_TIMEOUT, 408, f"the agent {what}: {detail}"))
        else:
            self._fail(UpstreamError(Reason.UPSTREAM_TIMEOUT, 504, f"the tool was too slow: {detail}"))

    # -- tunnels ------------------------------------------------------------------------------------------------

    def switched(self, rest: bytes) -> None:
        """The tool's parser stopped at an upgrade; ``rest`` is what came behind the head."""
        if self.status == 101 and self.phase == RELAYING:
            self._begin_tunnel(self.download.taken(), rest)

    def _begin_tunnel(self, head: bytes, rest: bytes) -> None:
        upstream = self._connected_tool()
        upstream.exchange = None
        self._connection.write(head)
        door = door_of(self._permit.call.tool) if self.request.method == "CONNECT" else None
        self._tunnel = upstream.tunnel = Tunnel(
            self, self._connection.transport, upstream.transport, door, self.download.shown
        )
        if door is None:
            upstream.transport.resume_reading()
        held = self._connection.tunnel_opened(self._tunnel)
        if rest:
            self._tunnel.from_upstream(rest)
        if held:
            self._tunnel.from_client(held)

    def tunnel_over(self, tunnel: Tunnel) -> None:
        """Both directions have ended."""
        self._upstream = None
        self._count(tunnel)
        self.closing = True
        if self.phase == DONE:
            return
        outcome = self._outcome()
        if tunnel.refused:
            tool = self._permit.call.tool
            log.error("nothing was sent through a tunnel to %s: %s (egress)", tool.name, tunnel.refused)
            outcome = self._outcome("gateway", tunnel.refused)
            outcome = structs.replace(outcome, reason=Reason.EGRESS_DENIED, unsent=True)
        self._advance(outcome)

    def _count(self, tunnel: Tunnel) -> None:
        self.upload.received, self.download.sent = tunnel.received, tunnel.sent

    # -- backpressure -------------------------------------------------------------------------------------------

    def let_others(self) -> None:
        """An answer that is read costs time by its events, not its bytes: other connections have their turn before more
        of it is read."""
        if self.download.through is None or self._upstream is None or self._upstream.transport.is_closing():
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
