"""A call that is held for a person: its agent's connection is kept alive by a stream of events, where it takes one.

The head of that stream goes out before anybody knows what becomes of the call, which then is told at its end.
"""

from __future__ import annotations

from abc import abstractmethod

from gateway.effects import Collect, Relay, Reply
from gateway.errors import UpstreamError
from gateway.model import Outcome
from gateway.understand.reader import Pulse
from gateway.wire.answer import content_of, ends_with_connection, lines
from gateway.wire.caller import Caller
from gateway.wire.download import Download
from gateway.wire.driver import RELAYING
from gateway.wire.upstream import UpstreamConnection


class Held(Caller):
    """What becomes of an answer for which such a stream is open."""

    download: Download
    _head: tuple[bytes, list[tuple[bytes, bytes]]]
    """Reason phrase and fields of an answer that is read before it is passed on."""
    _relay: Relay | None = None
    """How the answer that is gathered will end the stream."""

    def _beat(self, pulse: Pulse, now: float, *, stalled: bool) -> None:
        """Tell the agent that its call still waits; the first time, open the stream for that."""
        self._beat_at = now + pulse.every
        if self.request.version != "1.1" or not self.upload.complete:
            self._pulse = None
            return
        if stalled:
            return
        if not self.streaming:
            self.streaming = True
            head = [b"HTTP/1.1 200 OK\r\n", lines(pulse.fields), b"Transfer-Encoding: chunked\r\n"]
            self.download.open([*head, self._last_lines(framed=True)])
        self.download.add(pulse.beat(asked=self._await is not None))

    def _go_on(self, relay: Relay, upstream: UpstreamConnection) -> None:
        """Pass on an answer for which the stream is open: as it comes where it is one itself, else as its end."""
        kind, coding = content_of(upstream.fields)
        if self._opened().passes(self.status, kind, coding.lower()):
            self.phase = RELAYING
            self.download.read_by(relay.through)
            self.download.add(self._opened().told(relay.lines))
            upstream.close_delimited = ends_with_connection(upstream.fields)
            return
        self._relay = relay
        self._collect(Collect(self._permit.call.tool.answer_limit))

    def _wrap(self, relay: Relay) -> None:
        """The tool's answer is here, and becomes the end of the stream."""
        self._relay = None
        try:
            body = self.download.gathered_through(relay.through)
        except UpstreamError as error:
            self._fail(error)
            return
        self.phase = RELAYING
        self._advance(self._end_stream(relay, body))

    def _end_stream(self, relay: Relay, body: bytes) -> Outcome:
        kind, coding = content_of(self._head[1])
        pulse = self._opened()
        told = body if pulse.passes(self.status, kind, coding.lower()) else pulse.whole(self.status, body)
        self.download.cut_short(pulse.told(relay.lines) + told)
        return self._outcome()

    def _reply_in_stream(self, reply: Reply) -> Outcome:
        self.download.cut_short(self._opened().whole(reply.status, reply.body))
        return Outcome(200, received=self.upload.received, sent=self.download.sent)

    def _opened(self) -> Pulse:
        if self._pulse is None:
            raise RuntimeError("a stream that nobody opened")
        return self._pulse

    @abstractmethod
    def _last_lines(self, *, framed: bool) -> bytes:
        """How the head of an answer ends."""

    @abstractmethod
    def _outcome(self, fault: str = "", error: str = "") -> Outcome:
        """What came of the call so far."""


__all__ = ["Held"]
