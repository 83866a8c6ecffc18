"""The body of an agent's request on its way to the tool: kept while nobody takes it, framed as it came."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.effects import ReadBody
from gateway.errors import Refused
from gateway.execute.forward import Forwarder
from gateway.model import Reason
from gateway.wire.answer import lines
from gateway.wire.outbox import Outgoing

_JOIN_BELOW = 16 * 1024
"""Bytes of a body up to which copying it behind its head is cheaper than a write of its own."""


class Upload:
    """What came of a request's body so far. ``length`` is its Content-Length, or -1 where it comes in chunks;
    ``expect``: the agent waits to be asked for it (RFC 9110, 10.1.1)."""

    # Class attributes stand for the usual case: an upload is made for each call.
    received = 0
    """Bytes."""
    complete = False
    """The agent's request has been read to its end."""
    trailers: Sequence[tuple[bytes, bytes]] = ()

    def __init__(self, length: int, expect: bool) -> None:
        self.length = length
        self.chunked = length < 0
        self.expect = expect
        self.parts: list[bytes] = []
        """What nobody has taken yet."""

    def is_over(self, limit: int) -> bool:
        """Whether it has, or says that it will have, more than so many bytes."""
        return self.length > limit or self.received > limit

    def is_to_come(self, limit: int) -> bool:
        """Whether there is more to wait for before a body of at most so many bytes can be read."""
        return not self.complete and not self.is_over(limit)

    def too_large(self, wanted: ReadBody) -> Refused | None:
        """Why the call is refused, where the body must be read and cannot."""
        if wanted.optional or not self.is_over(wanted.limit):
            return None
        return Refused(
            Reason.BODY_TOO_LARGE,
            413,
            f"a rule of this tool reads the body, and the body is over {wanted.limit} bytes",
            "send less, or raise `body.limit` for this tool",
        )

    def whole(self, wanted: ReadBody) -> bytes | None:
        """The body; None where it is larger than is read."""
        return b"".join(self.parts) if self.complete and self.received <= wanted.limit else None

    def replace(self, body: bytes) -> None:
        """Other bytes go to the tool. The body that came was read ahead, so it is complete."""
        self.parts = [body] if body else []
        self.chunked = False

    def begin(self, transport: Outgoing, head: bytes, forwarder: Forwarder) -> None:
        """Write the head, and of the body what there is: to its end if it is complete."""
        parts = self.parts
        if self.chunked and (parts or self.complete):
            out = [head, *[_chunk(part) for part in parts]]
            if self.complete:
                out.append(self._last_chunk(forwarder))
            transport.write(b"".join(out))
        elif not parts:
            transport.write(head)
        elif len(parts) == 1 and len(parts[0]) < _JOIN_BELOW:
            transport.write(head + parts[0])
        else:
            transport.writelines([head, *parts])

    def pass_on(self, transport: Outgoing, data: bytes) -> None:
        """Write a piece that comes while the tool is reading."""
        transport.write(_chunk(data) if self.chunked else data)

    def end(self, transport: Outgoing, forwarder: Forwarder) -> None:
        """Write the end of a body whose pieces were passed on."""
        if self.chunked:
            transport.write(self._last_chunk(forwarder))

    def _last_chunk(self, forwarder: Forwarder) -> bytes:
        return b"0\r\n%b\r\n" % lines(forwarder.trailers(self.trailers))


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


__all__ = ["Upload"]
