"""W3C Trace Context and Baggage, as far as a gateway has to read and write them.

Sources: W3C Trace Context Level 2 (``traceparent``: 3.2; versions that are not known: 3.2.4), W3C Baggage (limits:
3.3.2).
"""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import Struct

SAMPLED, RANDOM = 1, 2
"""Trace flags of version 00; all others are sent as zero."""

MOST_MEMBERS = 64
LONGEST_BAGGAGE = 8192
"""Bytes of the whole list."""

_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_LENGTH = 55
"""Bytes of a value of version 00."""
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


class TraceContext(Struct, frozen=True):
    """A trace and a span of it, in lower-case hexadecimal."""

    trace: str
    span: str
    flags: int = SAMPLED

    def text(self) -> bytes:
        """The value of a ``traceparent`` field, in version 00."""
        return f"00-{self.trace}-{self.span}-{self.flags & (SAMPLED | RANDOM):02x}".encode()


def trace_context(value: bytes | None) -> TraceContext | None:
    """What a ``traceparent`` field says, or None where it is not valid: then a new trace begins.

    A version above 00 is read as far as 00 goes; whatever follows must be set off by a dash.
    """
    if value is None:
        return None
    return _usual(value) if len(value) == _LENGTH else _read(value)


def _read(value: bytes) -> TraceContext | None:
    match = _TRACEPARENT.fullmatch(value)
    if match is None:
        return None
    version, trace, span = match[1], match[2].decode(), match[3].decode()
    if version == b"ff" or (version == b"00" and match[5]) or trace == _NO_TRACE or span == _NO_SPAN:
        return None
    flags = int(match[4], 16)
    return TraceContext(trace, span, flags if version == b"00" else flags & SAMPLED)


_usual = lru_cache(1024)(_read)
"""The same, for values that are read more than once: as a call comes, as it goes on, as it is recorded."""


def member(baggage: bytes | None, name: bytes) -> bytes | None:
    """The value of the first member of this name, without its properties; None for none."""
    if baggage is None or name not in baggage:
        return None
    for each in baggage.split(b","):
        key, equals, value = each.partition(b"=")
        if equals and key.strip(b" \t") == name:
            return value.partition(b";")[0].strip(b" \t")
    return None


def with_member(baggage: bytes | None, name: bytes, value: bytes) -> bytes:
    """The list with this member in front, in the place of any of its name. Others follow as they are and in their
    order, as many as the limits let through."""
    if not baggage:
        return name + b"=" + value
    members = [name + b"=" + value]
    length = len(members[0])
    for each in baggage.split(b","):
        kept = each.strip(b" \t")
        if not kept or kept.partition(b"=")[0].strip(b" \t") == name:
            continue
        if len(members) >= MOST_MEMBERS or length + 1 + len(kept) > LONGEST_BAGGAGE:
            break
        members.append(kept)
        length += 1 + len(kept)
    return b",".join(members)
