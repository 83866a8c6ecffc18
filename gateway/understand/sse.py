"""Server-sent events (WHATWG HTML, 9.2.6), read incrementally and without losing a byte.

Every byte that is fed comes back in exactly one event's ``raw``, so that a stream can be passed on unchanged.
"""

from __future__ import annotations

import re

from msgspec import Struct

_END = re.compile(rb"\r\n\r\n|\n\n|\r\r|\r\n\n|\n\r\n|\r\n\r(?!\n)|\r\r\n|\n\r(?!\n)")
"""The empty line that ends an event, in all the ways that three kinds of line end allow."""


class Event(Struct, frozen=True):
    """One event. ``data`` is its data lines joined by line feeds; empty where it has none (comments, retry)."""

    raw: bytes
    name: str = ""
    data: bytes = b""


class EventParser:
    """Cuts a byte stream into events. ``limit``: bytes that one event may have; see ``overflow``."""

    def __init__(self, limit: int = 8 << 20) -> None:
        self._rest = b""
        self._limit = limit
        self._seen = 0
        self.overflow = False
        """An event was longer than the limit: what came since is given as events without data."""

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        rest = self._rest + data if self._rest else data
        events = []
        at = 0
        start = max(0, self._seen - 3)
        while (found := _END.search(rest, start)) is not None:
            end = found.end()
            if end == len(rest) and rest.endswith(b"\r"):
                break  # a line feed may follow that belongs to this line end
            events.append(_event(rest[at:end]))
            at = start = end
        self._rest = rest[at:] if at else rest
        self._seen = len(self._rest)
        if self._seen > self._limit:
            self.overflow = True
            events.append(Event(self.end_raw()))
        return events

    def end_raw(self) -> bytes:
        """The bytes that came after the last whole event: an event that was cut, to be passed on but not read."""
        rest, self._rest, self._seen = self._rest, b"", 0
        return rest


def event(data: bytes, name: str = "") -> bytes:
    """One event as bytes; ``data`` may have several lines."""
    head = b"event: %b\n" % name.encode() if name else b""
    return head + b"".join([b"data: %b\n" % line for line in data.split(b"\n")]) + b"\n"


def _event(raw: bytes) -> Event:
    name = ""
    data: list[bytes] = []
    for line in raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
    return Event(raw, name, b"\n".join(data))
