"""The tools' side of the wire: one connection to a tool, on llhttp.

A connection carries one exchange at a time. It reports to the exchange what the tool says and knows nothing of agents.
"""

from __future__ import annotations

import asyncio
import select
from time import monotonic
from typing import TYPE_CHECKING, Protocol, cast

import httptools

from gateway.errors import UpstreamError
from gateway.model import Fields, Reason
from gateway.wire.outbox import Outgoing
from gateway.wire.strict import NOT_IN_TRAILERS

if TYPE_CHECKING:
    from gateway.wire.pool import Pool
    from gateway.wire.tunnel import Tunnel

HIGH_WATER = 256 * 1024
"""Bytes waiting to be sent at which the other side is paused."""

_LONG_READ = 64 * 1024
"""Bytes that come at once from a tool that sends faster than is read: there is more, which libuv would read at once."""

_PEEK_AFTER = 0.05
"""Seconds idle after which a pooled connection is looked at before it is used: the tool may have closed it."""


class Carried(Protocol):
    """What a connection carries, and reports to: an agent's call, or a request of the gateway's own."""

    seen: float
    head_fields: int
    bodiless: bool
    sent_whole: bool

    def answered(self, upstream: UpstreamConnection) -> None: ...
    def interim(self, status: int, reason: bytes, fields: list[tuple[bytes, bytes]]) -> None: ...
    def chunk(self, data: bytes) -> None: ...
    def flush(self) -> None: ...
    def let_others(self) -> None: ...
    def ended(self, trailers: Fields) -> None: ...
    def switched(self, rest: bytes) -> None: ...
    def upstream_failed(self, error: BaseException) -> None: ...
    def upstream_lost(self, upstream: UpstreamConnection, exc: Exception | None) -> None: ...
    def body_may_be_ignored(self) -> bool: ...
    def pause_upload(self) -> None: ...
    def resume_upload(self) -> None: ...


class UpstreamConnection(asyncio.Protocol):
    """One connection to a tool."""

    __slots__ = (
        "_clean",
        "_finished",
        "_raw",
        "close_delimited",
        "exchange",
        "fields",
        "got",
        "head_done",
        "idle_since",
        "interim",
        "keep",
        "lost",
        "parser",
        "pool",
        "reason",
        "reused",
        "size",
        "status",
        "transport",
        "tunnel",
    )

    def __init__(self, pool: Pool, *, raw: bool = False) -> None:
        self.pool = pool
        self._raw = raw
        self.transport: Outgoing = None  # type: ignore[assignment]  # set in connection_made
        self.exchange: Carried | None = None
        self.tunnel: Tunnel | None = None
        self.parser = httptools.HttpResponseParser(self)
        self.reused = self.got = self.lost = self._finished = self._clean = False
        self.idle_since = 0.0
        self._reset()

    def _reset(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self.reason = b""
        self.status = self.size = 0
        self.head_done = self.interim = self.keep = self.close_delimited = False

    def attach(self, exchange: Carried) -> None:
        """Carry this exchange now."""
        self.exchange = exchange
        self.got = False

    def usable(self, now: float) -> bool:
        """Whether an idle connection may carry a request: still open, nothing to read (data or the tool's FIN)."""
        if self.lost or self.transport.is_closing():
            return False
        if now - self.idle_since < _PEEK_AFTER:
            return True
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN | select.POLLRDHUP)
        return not poll.poll(0)

    def abort(self) -> None:
        """Drop the connection and forget the exchange: the call is over, whatever the tool still says."""
        self.exchange = None
        self.transport.abort()

    # -- asyncio ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        raw = cast("asyncio.Transport", transport)
        self.transport = Outgoing(raw, self.pool.outbox)
        self.pool.open += 1
        raw.set_write_buffer_limits(HIGH_WATER)
        if self._raw:  # the tool may speak first: nothing is read until the tunnel stands
            raw.pause_reading()

    def data_received(self, data: bytes) -> None:
        if self.tunnel is not None:
            self.tunnel.from_upstream(data)
            return
        exchange = self.exchange
        if exchange is None:  # unsolicited: nothing that this connection says can be trusted any more
            self.transport.abort()
            return
        self.got = True
        exchange.seen = monotonic()
        if not self.head_done:
            self.size += len(data)
            if self.size > self.pool.max_head + len(data):
                self.abort()
                exchange.upstream_failed(
                    UpstreamError(Reason.UPSTREAM_PROTOCOL, 502, "the head of the tool's answer is too large")
                )
                return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self.exchange is exchange:
                exchange.switched(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if self.exchange is exchange:
                self.abort()
                exchange.upstream_failed(_protocol_error(error))
            else:  # the exchange had ended; there was more
                self.transport.abort()
        else:
            if self._finished:
                self._settle()
            else:
                exchange.flush()
                if len(data) >= _LONG_READ:
                    exchange.let_others()

    def _settle(self) -> None:
        """The exchange has ended and all that was read is parsed: only now is it known that nothing came behind."""
        self._finished = False
        if self._clean and not self.status and not self.reason and not self.fields:
            self.pool.release(self)
        else:
            self.transport.close()

    def eof_received(self) -> bool:
        if self.tunnel is not None:
            return self.tunnel.upstream_eof()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.pool.open -= 1
        del self.parser  # it holds us, we hold it
        if self.tunnel is not None:
            self.tunnel.closed()
            return
        exchange, self.exchange = self.exchange, None
        if exchange is None:
            return
        if self.head_done and self.close_delimited and exc is None:
            exchange.ended(())
        else:
            exchange.upstream_lost(self, exc)

    def pause_writing(self) -> None:
        if self.tunnel is not None:
            self.tunnel.pause_client()
        elif self.exchange is not None:
            self.exchange.pause_upload()

    def resume_writing(self) -> None:
        if self.tunnel is not None:
            self.tunnel.resume_client()
        elif self.exchange is not None:
            self.exchange.resume_upload()

    # -- llhttp -------------------------------------------------------------------------------------------------

    def on_status(self, reason: bytes) -> None:
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        self.status = status = self.parser.get_status_code()
        if self.parser.get_http_version() not in ("1.1", "1.0"):
            raise UpstreamError(Reason.UPSTREAM_PROTOCOL, 502, "the tool does not speak HTTP/1.1")
        exchange = self.exchange
        if exchange is None:
            return
        if status < 200 and status != 101:
            self.interim = True
            if status < 100:
                raise UpstreamError(Reason.UPSTREAM_PROTOCOL, 502, f"the tool answered with status {status}")
            return
        self.keep = self.parser.should_keep_alive()
        self.head_done = True
        exchange.answered(self)
        if self.exchange is exchange and exchange.bodiless:
            # llhttp does not know that this answers a HEAD and would wait for a body: it gets a successor.
            keep = self.keep
            self.parser = httptools.HttpResponseParser(self)
            self._finish(keep and not self.close_delimited)

    def on_body(self, data: bytes) -> None:
        if self.exchange is not None:
            self.exchange.chunk(data)
        else:
            self.transport.abort()

    def on_message_complete(self) -> None:
        if self.exchange is None or self.status == 101:
            return
        if self.interim:
            self.exchange.interim(self.status, self.reason, self.fields)
            self._reset()
            return
        self._finish(self.keep)

    def _finish(self, keep: bool) -> None:
        exchange, self.exchange = self.exchange, None
        if exchange is None:
            return
        trailers = tuple(
            [field for field in self.fields[exchange.head_fields :] if field[0].lower() not in NOT_IN_TRAILERS]
        )
        self._reset()
        self._finished = True
        self._clean = keep and exchange.sent_whole and not exchange.body_may_be_ignored()
        exchange.ended(trailers)


def _protocol_error(error: Exception) -> UpstreamError:
    cause = error.__context__
    if isinstance(cause, UpstreamError):
        return cause
    if cause is not None and not isinstance(cause, httptools.HttpParserError):
        raise cause
    return UpstreamError(Reason.UPSTREAM_PROTOCOL, 502, f"the tool's answer is not HTTP/1.1: {error}")


__all__ = ["HIGH_WATER", "UpstreamConnection"]
