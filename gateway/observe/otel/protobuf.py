"""Spans in the bytes of OTLP: the few messages of Protocol Buffers that it takes, written directly.

Two spans of the SDK cost as much CPU as the call that they are about; two of these a seventh of that.
Sources: opentelemetry-proto 1.x (``trace/v1/trace.proto``, ``common/v1/common.proto``); the wire format of protobuf 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from struct import pack

SERVER, CLIENT = 2, 3
"""``Span.SpanKind``."""
REMOTE_PARENT = 0x300
"""``SpanFlags``: it is known whether the parent is remote, and it is."""

Value = str | bool | int | float | list[str]
Attributes = Mapping[str, Value]

_CACHED = 4096
"""Encoded attributes that are kept: agents choose values, so there must be a bound."""
_LONGEST = 256
"""Characters of what is kept."""
_EIGHT_BYTES, _LENGTH_GIVEN, _FOUR_BYTES = 1, 2, 5
"""Wire types."""


def varint(number: int) -> bytes:
    """A whole number from 0 up to 2^64 - 1."""
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_SMALLER = 4096
_SMALL = tuple([varint(number) for number in range(_SMALLER)])


def field(number: int, data: bytes) -> bytes:
    """A field that is text, bytes or a message (``number`` is 15 at most)."""
    size = len(data)
    return b"%c%b%b" % (number << 3 | _LENGTH_GIVEN, _SMALL[size] if size < _SMALLER else varint(size), data)


def attributes(within: int, values: Attributes) -> bytes:
    """Repeated ``KeyValue``, in the field ``within``."""
    return b"".join([_attribute(within, key, value) for key, value in values.items()])


def number(within: int, key: str, value: float) -> bytes:
    """A ``KeyValue`` whose value is a number with a fraction, in the field ``within``."""
    return _before_number(within, key) + pack("<d", value)


def event(at: int, name: str, values: bytes) -> bytes:
    """A ``Span.Event``, as a field of its span. ``at``: nanoseconds since the epoch. ``values`` are in field 3."""
    return field(11, pack("<BQ", 1 << 3 | _EIGHT_BYTES, at) + _event_name(name) + values)


def span(
    ids: tuple[bytes, bytes, bytes],
    name: str,
    kind: int,
    times: tuple[int, int],
    values: bytes,
    events: Iterable[bytes] = (),
    *,
    error: str | None = None,
    flags: int = 0,
) -> bytes:
    """A ``Span``, as a field of ``ScopeSpans``.

    ``ids``: trace (16 bytes), span (8), and parent (8, or empty). ``times``: start and end in nanoseconds since the
    epoch. ``values`` are in field 9. ``error``: what the status says (may be empty), None where it is not set.
    """
    trace, own, parent = ids
    status = b"" if error is None else field(15, (field(2, error.encode()) if error else b"") + b"\x18\x02")
    return field(
        2,
        b"".join(
            (
                b"\x0a\x10%b\x12\x08%b" % (trace, own),
                b"\x22\x08%b" % parent if parent else b"",
                field(5, name.encode()),
                pack("<BBBQBQ", 6 << 3, kind, 7 << 3 | _EIGHT_BYTES, times[0], 8 << 3 | _EIGHT_BYTES, times[1]),
                values,
                *events,
                status,
                pack("<BBI", *varint(16 << 3 | _FOUR_BYTES), flags) if flags else b"",
            )
        ),
    )


def request(resource: bytes, scope: bytes, spans: Iterable[bytes]) -> bytes:
    """An ``ExportTraceServiceRequest`` with one resource and one scope."""
    return field(1, field(1, resource) + field(2, field(1, scope) + b"".join(spans)))


def scope(name: str, version: str) -> bytes:
    """An ``InstrumentationScope``."""
    return field(1, name.encode()) + field(2, version.encode())


def rejected(response: bytes) -> tuple[int, str]:
    """Spans that an ``ExportTraceServiceResponse`` says were not taken, and why; what cannot be read says nothing."""
    try:
        partial = dict(_fields(response)).get(1)
        told = dict(_fields(partial)) if isinstance(partial, bytes) else {}
    except (IndexError, ValueError):
        return 0, ""
    number, text = told.get(1), told.get(2)
    why = text.decode("utf-8", "replace") if isinstance(text, bytes) else ""
    return number if isinstance(number, int) else 0, why


def _fields(data: bytes) -> Iterable[tuple[int, bytes | int]]:
    at = 0
    while at < len(data):
        key, at = _number(data, at)
        if key & 7 == _LENGTH_GIVEN:
            size, at = _number(data, at)
            yield key >> 3, data[at : at + size]
            at += size
        elif key & 7 == 0:
            value, at = _number(data, at)
            yield key >> 3, value
        else:
            raise ValueError("a field that OTLP's answers do not have")


def _number(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while data[at] & 0x80:
        number |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return number | data[at] << shift, at + 1


def _attribute(within: int, key: str, value: Value) -> bytes:
    if type(value) is str and len(value) <= _LONGEST:
        return _short(within, key, value)
    return field(within, _key(key) + field(2, _value(value)))


@lru_cache(_CACHED)
def _short(within: int, key: str, value: str) -> bytes:
    return field(within, _key(key) + field(2, field(1, _utf8(value))))


@lru_cache(_CACHED)
def _before_number(within: int, key: str) -> bytes:
    """All of the ``KeyValue`` but the eight bytes of its value."""
    whole = _key(key) + field(2, _value(0.0))
    return field(within, whole)[:-8]


@lru_cache(_CACHED)
def _event_name(name: str) -> bytes:
    return field(2, name.encode())


@lru_cache(_CACHED)
def _key(key: str) -> bytes:
    return field(1, key.encode())


def _value(value: Value) -> bytes:
    """An ``AnyValue``."""
    if isinstance(value, str):
        return field(1, _utf8(value))
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        return b"\x18" + varint(value & 0xFFFF_FFFF_FFFF_FFFF)
    if isinstance(value, float):
        return pack("<Bd", 4 << 3 | _EIGHT_BYTES, value)
    return field(5, b"".join([field(1, _value(each)) for each in value]))


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")
