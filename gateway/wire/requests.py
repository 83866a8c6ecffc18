"""Makes requests of the bytes of an agent's connection.

llhttp parses; what it lets pass and RFC 9112 does not is refused in ``strict``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import monotonic
from typing import TYPE_CHECKING

import httptools

from gateway.model import Request
from gateway.wire import strict
from gateway.wire.exchange import Exchange
from gateway.wire.turn import Turn

if TYPE_CHECKING:
    from gateway.wire.server import Connection

_COMMON = (b"POST /", b"GET /", b"PUT /", b"DELETE /", b"PATCH /")
"""How most requests begin: nothing to look at more closely."""

_SINGLE = frozenset({b"host", b"transfer-encoding", b"content-length"})

_BLANK = (b" ", b"\t")

_FRAMING = 16
"""Bytes that framing one chunk may take: its size in hex and two line ends."""


class Malformed(Exception):  # noqa: N818 - a verdict on bytes, raised to stop llhttp
    """A request that is refused before it becomes one. Carries what is wrong with it."""


class RequestParser:
    """Reads one connection's requests: appends each to ``new`` when its head is complete, and feeds it its body."""

    __slots__ = (
        "_chunks",
        "_connection",
        "_fields",
        "_listener",
        "_lookup",
        "_method",
        "_most_headers",
        "_overhead",
        "_parser",
        "_repeated",
        "_resuming",
        "_size",
        "_url",
        "begun",
        "body_of",
        "head_at",
        "new",
        "prefix",
        "upgrading",
    )

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._listener = connection.listener
        self._most_headers = connection.listener.limits.max_headers
        self._parser = httptools.HttpRequestParser(self)
        self.new: list[Turn] = []
        """Read, and not yet in line."""
        self.body_of: Exchange | None = None
        """Whose body is being read."""
        self.begun = False
        """Somewhere inside a request."""
        self.upgrading = False
        """llhttp stopped at a request for an upgrade: what comes now is HTTP only if the tool declines."""
        self.prefix = b""
        """What may be the beginning of a method."""
        self.head_at = monotonic()
        """When the head under way began."""
        self._resuming = False
        self._chunks = self._overhead = 0
        """Of a chunked body: chunks in this read, and bytes so far that were neither content nor chunk sizes."""
        self._size = 0
        """Bytes read since the head under way began; 0 while it is in the read that ended the request before it."""
        self._method: bytes | None = None
        self._new_head()

    def close(self) -> None:
        """The connection has ended."""
        del self._parser, self._connection  # they hold us, we hold them

    def give_up(self) -> None:
        """Nothing more will be made of what was begun."""
        self.begun, self.body_of, self.prefix = False, None, b""

    def go_on(self) -> None:
        """The tool has declined an upgrade: HTTP goes on."""
        self.upgrading = False
        self._parser = httptools.HttpRequestParser(self)

    def _new_head(self) -> None:
        self._url = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._lookup: dict[bytes, bytes] = {}
        self._repeated = False

    def feed(self, data: bytes) -> bytes:
        """Read on. Returns what came behind a request for an upgrade."""
        if not self.begun:
            self._size = 0
            if self.prefix or not data.startswith(_COMMON):
                data = self._at_start(data)
                if not data:
                    return b""
        self._size += len(data)
        body_of = self.body_of
        received = body_of.upload.received if body_of is not None else 0
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return self._stopped_at_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._malformed(error)
        else:
            if self._size or self._chunks:
                self._check_sizes(body_of, len(data) + received)
        return b""

    def _at_start(self, data: bytes) -> bytes:
        """At the start of a message: note the time, and give llhttp a method it knows where the agent's is our own."""
        if self.prefix:
            data, self.prefix = self.prefix + data, b""
        else:
            self.head_at = monotonic()
        if strict.is_part_of_a_method(data):
            self.prefix = data
            return b""
        if strict.starts_oddly(data):
            self._malformed(Malformed("the request line has more than one space after the method"))
            return b""
        self._method = strict.own_method(data)
        if self._method is not None:
            data = b"POST" + data[len(self._method) :]
        return data

    def _check_sizes(self, going_on: Exchange | None, read: int) -> None:
        """Bound what is read and not passed on: a head that does not end, chunk extensions.

        ``going_on`` is the exchange whose body began in an earlier read; ``read`` its body bytes then, and what is
        read now.
        """
        limits = self._listener.limits
        if self.begun and self.body_of is None and self._size > limits.max_head:
            self._malformed(Malformed("the request head is too large"))
            return
        new = [turn for turn in self.new if isinstance(turn, Exchange)]
        fed = new if going_on is None or going_on in new else [going_on, *new]
        chunked = [exchange for exchange in fed if exchange.upload.chunked]
        if not chunked:
            return
        if going_on is None:
            self._overhead = 0
        heads = sum([_head_size(exchange.request.target, exchange.request.fields) for exchange in new])
        self._overhead += read - heads - sum([exchange.upload.received for exchange in fed]) - _FRAMING * self._chunks
        self._overhead = max(0, self._overhead)
        self._chunks = 0
        if self._overhead > limits.max_head:
            self._malformed(Malformed("the chunked body is mostly chunk extensions"), chunked[0])

    def _malformed(self, error: Exception, of: Exchange | None = None) -> None:
        """Bytes that are no request. ``of`` is the exchange whose body they belong to, where its request seemed
        complete."""
        cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else error
        if not isinstance(cause, Malformed | httptools.HttpParserError):
            raise error
        if "Data after `Connection: close`" in str(cause):
            return  # the answer to the request before it ends the connection
        self.begun = False
        self._chunks = 0
        body_of, self.body_of = of or self.body_of, None
        self._connection.reject(str(cause), body_of)

    def _stopped_at_upgrade(self, rest: bytes) -> bytes:
        """llhttp takes any Upgrade for the end of HTTP. It is that only once the tool has agreed."""
        exchange = self.body_of
        if exchange is None:
            self.upgrading = True
            return rest
        # An upgrade with a body is a request like any other.
        self._parser = httptools.HttpRequestParser(self)
        self._resuming = True
        length = exchange.request.length
        framing = b"Content-Length: %d" % length if length > 0 else b"Transfer-Encoding: chunked"
        self._parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")
        self._new_head()
        return self.feed(rest) if rest else b""

    # -- llhttp -------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self.begun = True
        self.head_at = monotonic()

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
        limits = self._listener.limits
        if (self._size > limits.max_head or not self._size) and _head_size(self._url, self._fields) > limits.max_head:
            raise Malformed("the request head is too large")
        host = lookup.get(b"host")
        codings = lookup.get(b"transfer-encoding")
        if host not in self._listener.hosts or version != "1.1" or codings is not None or self._repeated:
            wrong = strict.complaint(version, method, host, codings, repeated=self._repeated)
            if wrong:
                raise Malformed(wrong)
            self._listener.remember_host(host)
        if b"#" in self._url:
            raise Malformed("the request target has a fragment")
        length = -1 if codings is not None else int(lookup.get(b"content-length", 0))
        if length and method == "CONNECT":
            raise Malformed("a body with CONNECT")
        connection = self._connection
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
            connection.peer,
            connection.loopback,
            connection.certificate,
            connection.secure,
            connection.original,
        )
        expect = b"expect" in lookup and version == "1.1" and lookup[b"expect"].lower() == b"100-continue"
        keep_alive = parser.should_keep_alive() and not connection.retired
        exchange = Exchange(connection, request, keep_alive, upgrade, expect)
        self._new_head()
        self.body_of = exchange
        self.new.append(exchange)

    def on_chunk_header(self) -> None:
        self._chunks += 1

    def on_body(self, data: bytes) -> None:
        if self.body_of is not None:
            self.body_of.feed(data)

    def on_message_complete(self) -> None:
        exchange = self.body_of
        if exchange is None:
            return
        if exchange.request.length and not self._resuming and self._parser.should_upgrade():
            return  # llhttp stops here, but there is a body: see _stopped_at_upgrade
        trailers: Sequence[tuple[bytes, bytes]] = ()
        if self._fields:
            trailers = self._fields
            wrong = strict.trailer_complaint(
                trailers, self._listener.limits.max_headers, self._listener.limits.max_head
            )
            if wrong:
                raise Malformed(wrong)
            self._new_head()
        self.begun = self._resuming = False
        self.body_of = None
        self._size = 0
        self._connection.idle_since = monotonic()
        exchange.feed_end(trailers)


def _head_size(target: str | bytes, fields: Iterable[tuple[bytes, bytes]]) -> int:
    return len(target) + sum([len(name) + len(value) + 4 for name, value in fields])


__all__ = ["RequestParser"]
