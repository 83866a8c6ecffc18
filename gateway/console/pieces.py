"""Small things that several pages need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.console.errors import Mistaken

_ABSENT: Mapping[str, Any] = {
    **dict.fromkeys(("ts", "call"), ""),
    **dict.fromkeys(
        ("run", "trace_id", "span_id", "parent_span_id", "root", "led_by", "lineage", "agent", "tool", "drift")
    ),
    **dict.fromkeys(("operation", "method", "path", "decision", "reason", "rule", "detail", "grant", "why", "result")),
    **dict.fromkeys(("status", "upstream_status", "fault", "error", "is_error", "withheld", "usage", "cost_usd")),
    **dict.fromkeys(
        ("proposed_by", "approval", "policy_version", "host", "flaw", "args", "query", "headers", "parts", "reached")
    ),
    **dict.fromkeys(("roles", "amendments", "labels", "rules", "guards", "proposed", "notes", "masked"), ()),
    **dict.fromkeys(("quarantines", "memory", "shifts"), ()),
    **dict.fromkeys(("bytes_in", "bytes_out"), 0),
    "facts": {},
}
_TIMINGS = {"queue_ms": 0.0, "asked_ms": 0.0, "decide_ms": 0.0, "total_ms": 0.0}


def whole(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with all keys that pages read: one of an older gateway has fewer."""
    return {**_ABSENT, **record, "timings": _TIMINGS | (record.get("timings") or {})}


def number_of(text: str | None, default: int, most: int) -> int:
    """A number of a query, from 1 to ``most``.

    Raises:
        Mistaken: it is none.
    """
    if not text:
        return default
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text[:9]) <= most:
        raise Mistaken(f"a number from 1 to {most} is meant, not {text[:40]!r}")
    return int(text)
