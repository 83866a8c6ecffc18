"""The answer to one GET of the gateway's own, as a connection to a tool reports it."""

from __future__ import annotations

import asyncio

from gateway.errors import UpstreamError
from gateway.model import Answered, Fields, Reason
from gateway.wire.answer import content_of, ends_with_connection
from gateway.wire.upstream import UpstreamConnection

MOST = 1 << 20
"""Bytes of an answer."""


class ErrandExchange:
    """Stands where an agent's ``Exchange`` stands otherwise (``upstream.Carried``). ``answer`` raises UpstreamError."""

    bodiless = False
    sent_whole = True

    def __init__(self) -> None:
        self.answer: asyncio.Future[tuple[Answered, bytes]] = asyncio.get_running_loop().create_future()
        self.seen = 0.0
        self.head_fields = 0
        self._answered: Answered | None = None
        self._parts: list[bytes] = []
        self._size = 0

    def answered(self, upstream: UpstreamConnection) -> None:
        """The head is complete."""
        if upstream.status == 101:
            raise UpstreamError(Reason.UPSTREAM_PROTOCOL, 502, "the tool switched protocols and was not asked to")
        self.head_fields = len(upstream.fields)
        if upstream.status not in (204, 304):
            upstream.close_delimited = ends_with_connection(upstream.fields)
        kind, coding = content_of(upstream.fields)
        self._answered = Answered(upstream.status, 0.0, kind, coding, fields=tuple(upstream.fields))

    def chunk(self, data: bytes) -> None:
        """A piece of the body."""
        self._size += len(data)
        if self._size > MOST:
            raise UpstreamError(Reason.UPSTREAM_PROTOCOL, 502, f"the answer is longer than {MOST} bytes")
        self._parts.append(data)

    def ended(self, trailers: Fields) -> None:  # noqa: ARG002 - nothing in them counts
        """The answer is complete."""
        if self._answered is not None and not self.answer.done():
            self.answer.set_result((self._answered, b"".join(self._parts)))

    def upstream_failed(self, error: BaseException) -> None:
        """There is no answer."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def upstream_lost(self, upstream: UpstreamConnection, exc: Exception | None) -> None:  # noqa: ARG002
        """The connection has ended before the answer."""
        self.upstream_failed(UpstreamError(Reason.UPSTREAM_UNREACHABLE, 502, "the tool closed the connection"))

    def body_may_be_ignored(self) -> bool:
        """There was none."""
        return False

    def interim(self, status: int, reason: bytes, fields: list[tuple[bytes, bytes]]) -> None:
        """A 1xx answer says nothing."""

    def switched(self, rest: bytes) -> None:
        """Never: it is refused."""

    def flush(self) -> None:
        """Nobody waits for pieces."""

    def let_others(self) -> None:
        """It is short."""

    def pause_upload(self) -> None:
        """There is none."""

    def resume_upload(self) -> None:
        """There is none."""
