"""The answers of MCP servers, as JSON or as a stream of events: three ways through.

``Tap`` looks on while the bytes pass. ``Whole`` reads a JSON answer before the agent gets it, ``Events`` each event of
a stream that is a response; all other events pass at once.
"""

from __future__ import annotations

import re
from typing import Any

import jiter
import msgspec
from msgspec import Struct

from gateway.model import NOTHING_FOUND, Findings, Refusal
from gateway.policy.redaction import told
from gateway.understand import sse
from gateway.understand.comparison import Comparison
from gateway.understand.mcp_screen import Screen, unreadable
from gateway.understand.members import load

_BOM = b"\xef\xbb\xbf"


class _Result(Struct):
    isError: Any = False  # noqa: N815 - the protocol's name


class _Response(Struct):
    result: _Result | None = None
    error: Any = None


_RESPONSE = msgspec.json.Decoder(_Response)
_RESPONSES = msgspec.json.Decoder(list[_Response])


class Tap:
    """Learns whether the tool says that it failed. ``keep``: the result is kept for the findings too. ``compares``: so
    are its digest and what it complains of."""

    rewrites = whole = False

    def __init__(self, *, events: bool, keep: bool, limit: int, compares: bool = False) -> None:
        self._parser = sse.EventParser(limit) if events else None
        self._keep, self._left = keep, limit
        self._comparison = Comparison() if compares else None
        self._pieces: list[bytes] = []
        self._found = NOTHING_FOUND

    def feed(self, data: bytes) -> bytes:
        if self._parser is not None:
            for event in self._parser.feed(data):
                if event.data:
                    self._read(event.data)
        elif self._left >= 0:
            self._left -= len(data)
            self._pieces.append(data)
            if self._left < 0:
                self._pieces.clear()
        return data

    def end(self) -> bytes:
        if self._parser is not None:
            for event in self._parser.end():
                self._read(event.data)
        if self._pieces:
            self._read(b"".join(self._pieces))
            self._pieces.clear()
        return b""

    def found(self) -> Findings:
        unread = self._left < 0 or (self._parser is not None and self._parser.overflow)
        if not unread:
            return self._found
        return msgspec.structs.replace(self._found, notes=("the answer was too long to be read",), digest="")

    def refusal(self) -> Refusal | None:
        return None

    def _read(self, data: bytes) -> None:
        """Take in one message, or an array of them. What cannot be read is the agent's to find out."""
        try:
            read = _RESPONSES.decode(data) if data.lstrip()[:1] == b"[" else [_RESPONSE.decode(data)]
        except (msgspec.DecodeError, RecursionError):
            return
        read = [said for said in read if said.error is not None or said.result is not None]
        if not read:
            return
        failed = any(said.error is not None or (said.result and said.result.isError is True) for said in read)
        result = self._found.result
        if self._keep:
            result = _result(data) or result
        found = Findings(is_error=failed or self._found.is_error, result=result, answered=True)
        self._found = found if self._comparison is None else self._comparison.of_messages(load(data), found)


def _result(data: bytes) -> dict[str, Any] | None:
    """The result of a response, or its error as ``{"error": ...}``; of an array, of the last one."""
    try:
        value = jiter.from_json(data)
    except ValueError:
        return None
    message = value[-1] if isinstance(value, list) and value else value
    if not isinstance(message, dict):
        return None
    result = message.get("result")
    return result if isinstance(result, dict) else {"error": message.get("error")}


class Whole:
    """A JSON answer, read before the agent gets it. ``unread``: why it cannot be, so that it is refused."""

    rewrites = whole = True

    def __init__(self, screen: Screen, unread: str = "") -> None:
        self._screen = screen
        self._pieces: list[bytes] = []
        self._refusal = unreadable(unread) if unread else None

    def feed(self, data: bytes) -> bytes:
        if self._refusal is None:
            self._pieces.append(data)
        return b""

    def end(self) -> bytes:
        if self._refusal is not None:
            return b""
        data = b"".join(self._pieces)
        if not data:
            return b""
        passed = self._screen.pass_on(data)
        if self._screen.refusal is not None and data.lstrip()[:1] != b"[":
            self._refusal = self._screen.refusal
            return b""
        return passed

    def found(self) -> Findings:
        return _found(self._screen, self._refusal or self._screen.refusal)

    def refusal(self) -> Refusal | None:
        return self._refusal


class Events:
    """A stream of events, whose responses are read before the agent gets them."""

    rewrites, whole = True, False

    def __init__(self, screen: Screen, limit: int) -> None:
        self._screen, self._parser, self._limit = screen, sse.EventParser(limit), limit
        self._over = False

    def feed(self, data: bytes) -> bytes:
        if self._over:
            return b""
        events = self._parser.feed(data)
        if not self._parser.overflow:
            return b"".join([self._pass_on(event) for event in events])
        # What is longer than may be read could be a result: the stream ends here for the agent.
        self._over = True
        refused = self._screen.unread(f"an event has more than {self._limit} bytes")
        return b"".join([self._pass_on(event) for event in events[:-1]]) + sse.event(refused, "message")

    def end(self) -> bytes:
        if self._over:
            return b""
        return b"".join([self._pass_on(event) for event in self._parser.end()])

    def found(self) -> Findings:
        return _found(self._screen, self._screen.refusal)

    def refusal(self) -> Refusal | None:
        return None

    def _pass_on(self, event: sse.Event) -> bytes:
        if sse.ODD_LINE_ENDS.search(event.raw):
            event = _without_odd_lines(event)
        if not event.data:
            return event.raw
        passed = self._screen.pass_on(event.data)
        return event.raw if passed is event.data else _rewritten(event, passed)


def _without_odd_lines(event: sse.Event) -> sse.Event:
    """The event without lines, other than data, in which some clients (httpx) see the begin of data."""
    lines = re.split(rb"(?<=\n)|(?<=\r)(?!\n)", event.raw)
    kept = [line for line in lines if line.startswith(b"data") or not sse.ODD_LINE_ENDS.search(line)]
    return sse.Event(b"".join(kept), event.name, event.data) if event.data else sse.Event(b"")


def _rewritten(event: sse.Event, data: bytes) -> bytes:
    """The event with other data; its id, name and comments stay."""
    lines = event.raw.removeprefix(_BOM).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    kept = [line for line in lines if line and line != b"data" and not line.startswith(b"data:")]
    return b"\n".join([*kept, *[b"data: " + line for line in data.split(b"\n")], b"", b""])


def _found(screen: Screen, refusal: Refusal | None) -> Findings:
    found = Findings(
        is_error=screen.is_error,
        result=screen.result,
        refusal=refusal,
        answered=screen.answered,
        notes=told(screen.redacted),
    )
    return found if screen.comparison is None else screen.comparison.told(found)
