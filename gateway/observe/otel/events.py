"""The decision of a call, the rules that spoke and the guards that had something to say, as events of its span."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from gateway.observe import conventions as c
from gateway.observe.otel.protobuf import Value, attributes, event

_CACHED = 1024
_QUIET = (None, "closed")
"""States of guards that have nothing to say: what they counted is in the record."""
MOST_EVENTS = 64
"""Of each sort: a policy may have as many rules as it likes."""


def of(record: Mapping[str, Any], decided: int) -> list[bytes]:
    """Fields of a span; ``decided`` in nanoseconds since the epoch."""
    found: list[bytes] = []
    if record["decision"]:
        said = _decision(record["decision"], record["reason"], record["rule"], record["grant"])
        found.append(event(decided, c.EVENT_DECISION, said))
    if approval := record["approval"]:
        if record["timings"]["asked_ms"]:
            began = decided - int((record["timings"]["asked_ms"] + record["timings"]["decide_ms"]) * 1e6)
            found.append(event(began, c.EVENT_ASKED, b""))
        found.append(event(decided, c.EVENT_RULED, _named(approval, c.EVENT_RULED_KEYS)))
    found += [event(decided, c.EVENT_RULE, _named(one, c.EVENT_RULE_KEYS)) for one in record["rules"][:MOST_EVENTS]]
    if guards := [one for one in record["guards"] if not one["granted"] or one["state"] not in _QUIET]:
        found += [event(decided, c.EVENT_GUARD, _named(one, c.EVENT_GUARD_KEYS)) for one in guards[:MOST_EVENTS]]
    return found


@lru_cache(_CACHED)
def _decision(decision: str, reason: str | None, rule: str | None, grant: str | None) -> bytes:
    told = {c.DECISION: decision, c.REASON: reason, c.RULE: rule, c.GRANT: grant}
    return attributes(3, {name: value for name, value in told.items() if value})


def _named(told: Mapping[str, Any], names: Mapping[str, str]) -> bytes:
    given = ((name, told.get(key)) for key, name in names.items())
    return attributes(3, {name: _value(value) for name, value in given if value not in (None, "", {})})


def _value(value: Any) -> Value:
    """As an attribute; what has members, as JSON."""
    return orjson.dumps(value).decode() if isinstance(value, dict) else value
