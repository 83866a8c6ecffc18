"""Server-sent events (WHATWG HTML, 9.2.6), read incrementally and without losing a byte.

Every byte that is fed comes back in exactly one event's ``raw``, so that a stream can be passed on unchanged.
"""

from __future__ import annotations

import re

from msgspec import Struct

_END = re.compile(rb"\n\n|\r\n\r\n|\r\r|\r\n\n|\n\r\n|\r\n\r(?!\n)|\n\r(?!\n)")
"""The empty line that ends an event, in all the ways that three kinds of line end allow."""
_LONGEST_END = 4
_EMPTY = b"\n\r:"
_NOTHING = re.compile(rb"(?:(?::[^\r\n]*)?\r?\n)+")
"""Lines between events that say nothing: empty ones and comments."""
_MOST_NOTHING = 256
"""Bytes of such lines from which they are taken as one event without data: a flood of them must not cost as much as
events do."""
ODD_LINE_ENDS = re.compile(rb"[\x0b\x0c\x1c-\x1e]|\xc2\x85|\xe2\x80[\xa8\xa9]")
"""Characters that end no line, but do for clients that cut lines by Python's ``str.splitlines`` (httpx)."""
_BOM = b"\xef\xbb\xbf"


class Event(Struct, frozen=True):
    """One event. ``data`` is its data lines joined by line feeds; empty where it has none (comments, retry)."""

    raw: bytes
    name: str = ""
    data: bytes = b""


class EventParser:
    """Cuts a byte stream into events. ``limit``: bytes that one event may have; see ``overflow``."""

    def __init__(self, limit: int = 8 << 20) -> None:
        self._rest = bytearray()
        self._limit = limit
        self._looked = 0
        self._first = True
        self._tail = False
        self.overflow = False
        """An event was longer than the limit: it came in pieces, as events without data."""

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        rest = self._rest
        rest += data
        events = []
        at, start = 0, self._looked
        while True:
            if start == at < len(rest) and rest[at] in _EMPTY:
                run = _NOTHING.match(rest, at)
                if run is not None and run.end() - at > _MOST_NOTHING:
                    events.append(Event(bytes(rest[at : run.end()])))
                    at = start = run.end()
            if (found := _END.search(rest, start)) is None:
                break
            end = found.end()
            if end == len(rest) and rest[-1] == 13:
                break  # a line feed may follow that belongs to this line end
            events.append(self._event(bytes(rest[at:end])))
            at = start = end
        if at:
            del rest[:at]
        self._looked = max(0, len(rest) - _LONGEST_END + 1)
        if len(rest) > self._limit:
            self.overflow = self._tail = True
            events.append(Event(self._take()))
        return events

    def end(self) -> list[Event]:
        """What came after the last whole event, once the stream has ended: one event at most.

        By the standard an event without its empty line is dropped; some clients read it all the same, so it is read.
        """
        return [self._event(self._take())] if self._rest else []

    def _take(self) -> bytes:
        taken = bytes(self._rest)
        self._rest.clear()
        self._looked = 0
        return taken

    def _event(self, raw: bytes) -> Event:
        if self._tail:
            self._tail = False
            return Event(raw)
        text = raw.removeprefix(_BOM) if self._first else raw
        self._first = False
        name = ""
        data: list[bytes] = []
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        for line in text.split(b"\n"):
            field, _, value = line.partition(b":")
            if field == b"data":
                data.append(value.removeprefix(b" "))
            elif field == b"event":
                name = value.removeprefix(b" ").decode("utf-8", "replace")
        return Event(raw, name, data[0] if len(data) == 1 else b"\n".join(data))


def event(data: bytes, name: str = "") -> bytes:
    """One event as bytes; ``data`` may have several lines, ended by line feeds."""
    head = b"event: %b\n" % name.encode() if name else b""
    return head + b"".join([b"data: %b\n" % line for line in data.split(b"\n")]) + b"\n"
