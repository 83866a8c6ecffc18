"""The decision of a call, the rules that spoke and the guards that counted, as events of its span."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.observe import conventions as c
from gateway.observe.otel.protobuf import Value, event

MOST_EVENTS = 64
"""Of each sort: a policy may have as many rules as it likes."""


_SORTS = (("rules", c.EVENT_RULE, c.EVENT_RULE_KEYS), ("guards", c.EVENT_GUARD, c.EVENT_GUARD_KEYS))


def of(record: Mapping[str, Any], decided: int) -> list[bytes]:
    """Fields of a span; ``decided`` in nanoseconds since the epoch."""
    found = [event(decided, c.EVENT_DECISION, _decision(record))] if record["decision"] else []
    for key, name, names in _SORTS:
        found += [event(decided, name, _named(told, names)) for told in record[key][:MOST_EVENTS]]
    return found


def _decision(record: Mapping[str, Any]) -> dict[str, Value]:
    keys = {"decision": c.DECISION, "reason": c.REASON, "rule": c.RULE, "grant": c.GRANT}
    return {name: record[key] for key, name in keys.items() if record[key]}


def _named(told: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Value]:
    return {name: _value(told[key]) for key, name in names.items() if told.get(key) not in (None, "", {})}


def _value(value: Any) -> Value:
    """As an attribute; what has members, as JSON."""
    return orjson.dumps(value).decode() if isinstance(value, dict) else value
