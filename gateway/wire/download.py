"""A tool's answer on its way to the agent: read or gathered where a rule wants that, framed for the agent, written."""

from __future__ import annotations

import logging

from gateway.errors import CutShort, UpstreamError
from gateway.model import Fields, Reason
from gateway.understand.reader import Answer
from gateway.wire.answer import Head, lines
from gateway.wire.echo import EchoStream
from gateway.wire.outbox import Outgoing

log = logging.getLogger("gateway.wire")

_JOIN_BELOW = 16 * 1024
"""Bytes up to which copying pieces together is cheaper than handing them over one by one."""


class Download:
    """What an agent gets of an answer. ``agent`` leads there."""

    # Class attributes stand for the usual case: a download is made for each call.
    sent = 0
    """Bytes of the body, before framing."""
    through: Answer | None = None
    """What the body goes through."""
    echo: EchoStream | None = None
    """What the tool says goes through this last."""
    _ahead: EchoStream | None = None
    """And through this first, where it is read: whoever reads it can tell no credential, nor half of one."""
    framed = True
    """The agent can tell a body that was broken off from a complete one."""
    chunked = False
    """The agent gets the body in chunks."""
    _size = _limit = 0
    _kept: list[bytes]
    """What was gathered."""

    def __init__(self, agent: Outgoing) -> None:
        self._agent = agent
        self._out: list[bytes] = []

    # -- passed on as it comes ----------------------------------------------------------------------------------

    def frame(self, head: Head, *, body: bool, bodiless: bool, chunks: bool) -> None:
        """Choose how the body is framed and say so in ``head``. ``body``: there is one; ``bodiless``: there would be,
        had it been asked for (HEAD); ``chunks``: the agent may have it in chunks, where the tool told no length."""
        self.chunked = body and chunks and not head.has_length
        if self.chunked or (head.chunked and bodiless):
            head.parts.append(b"Transfer-Encoding: chunked\r\n")
        self.framed = head.has_length or self.chunked or not body

    def open(self, head: list[bytes]) -> None:
        """Begin with a body in chunks, before anything of it is known."""
        self.chunked = True
        self._out = head

    def add(self, data: bytes) -> None:
        """Write a piece of our own."""
        self._put(data)
        self.flush()

    def begin(self, head: list[bytes]) -> None:
        """The head waits, to leave with the first of the body."""
        self._out = head if self.echo is None else [self.echo.whole(b"".join(head))]

    def taken(self) -> bytes:
        """What waits, for another to write."""
        out, self._out = self._out, []
        return b"".join(out)

    def read_by(self, answer: Answer | None) -> None:
        """What the body goes through from now on."""
        self.through = answer
        self._ahead = self.echo.again() if self.echo is not None and answer is not None else None

    def pass_on(self, data: bytes) -> None:
        """A piece of the body, as the tool sent it."""
        if self._ahead is not None:
            data = self._ahead.feed(data)
        if self.through is not None and data:
            data = self._read(self.through, data)
        if self.echo is not None:
            data = self.echo.feed(data)
        if data:
            self._put(data)

    def flush(self) -> None:
        """Write what has gathered while one piece of the tool's answer was parsed."""
        out = self._out
        if out:
            self._out = []
            if self._size < _JOIN_BELOW:
                self._agent.write(b"".join(out))
            else:
                self._agent.writelines(out)
            self._size = 0

    def end(self, trailers: Fields) -> None:
        """The tool's answer is complete.

        Raises:
            UpstreamError: its end could not be read, and the agent may only have what was.
        """
        rest = self._ahead.end() if self._ahead is not None else b""
        if self.through is not None and rest:
            rest = self._read(self.through, rest)
        if self.through is not None:
            rest += self._read(self.through, None)
        if self.echo is not None:
            rest = self.echo.feed(rest) + self.echo.end()
        if rest:
            self._put(rest)
        if self.chunked:
            self._out.append(b"0\r\n%b\r\n" % self.shown(lines(trailers)) if trailers else b"0\r\n\r\n")
        self.flush()

    def shown(self, data: bytes) -> bytes:
        """What the agent may see of something that came whole."""
        return data if self.echo is None else self.echo.whole(data)

    def cut_short(self, last: bytes) -> None:
        """End the body as if it were complete: its last bytes say that it is not."""
        self._put(last if self.echo is None else self.echo.feed(last) + self.echo.end())
        if self.chunked:
            self._out.append(b"0\r\n\r\n")
        self.flush()

    def drop(self) -> None:
        """Forget what waits."""
        self._out = []

    def _put(self, data: bytes) -> None:
        size = len(data)
        self.sent += size
        self._size += size
        if self.chunked:
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
                self.through = None
                return data or b""
            raise UpstreamError(
                Reason.RESULT_UNREADABLE, 502, f"the answer could not be read: {type(error).__name__}"
            ) from error

    # -- whole --------------------------------------------------------------------------------------------------

    def collect(self, limit: int) -> None:
        """Gather the body, at most so many bytes."""
        self._limit = limit
        self._kept = []

    def gather(self, data: bytes) -> None:
        """A piece of a body that is read before any of it is passed on.

        Raises:
            UpstreamError: 502, it is more than may be gathered.
        """
        self._kept.append(data)
        self._size += len(data)
        if self._size > self._limit:
            raise UpstreamError(
                Reason.RESULT_UNREADABLE, 502, f"a rule reads the answer, and it is over {self._limit} bytes"
            )

    def gathered(self) -> bytes:
        """The whole body, as the tool sent it but for credentials."""
        return self.shown(b"".join(self._kept))

    def gathered_through(self, answer: Answer | None) -> bytes:
        """What the answer's reader makes of the whole body."""
        body = self.gathered()
        return body if answer is None else self._read(answer, body) + self._read(answer, None)

    def is_as_it_came(self, body: bytes) -> bool:
        """Whether this is the body that was gathered."""
        return len(body) == self._size and body == self.gathered()

    def write_whole(self, head: list[bytes], body: bytes) -> None:
        """Write head and body at once."""
        self.sent = len(body)
        self._agent.write(self.shown(b"".join([*head, body])))


__all__ = ["Download"]
