"""Trace context in the ``_meta`` of an MCP message (SEP-414): ``traceparent`` and ``baggage``, as in HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.model import Fields
from gateway.model.trace_context import LONGEST_BAGGAGE

_NAMES = ("traceparent", "baggage")


def carried(meta: Mapping[str, Any]) -> Fields:
    """What of it is there, as header fields; nothing of values that no field could have."""
    found = [(name, meta[name]) for name in _NAMES if name in meta]
    return tuple([(name.encode(), value.encode()) for name, value in found if _is_a_value(value)])


def _is_a_value(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable() and len(value) <= LONGEST_BAGGAGE
