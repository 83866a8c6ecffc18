"""Trace context in the ``_meta`` of an MCP message (SEP-414): ``traceparent``, ``tracestate`` and ``baggage``, as in
HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from msgspec import MsgspecError, Raw
from msgspec.json import Decoder

from gateway.model import Fields
from gateway.model.trace_context import LONGEST_BAGGAGE, trace_context, with_member

_NAMES = ("traceparent", "baggage")


def carried(meta: Mapping[str, Any]) -> Fields:
    """What of it is there, as header fields; nothing of values that no field could have."""
    found = [(name, meta[name]) for name in _NAMES if name in meta]
    return tuple([(name.encode(), value.encode()) for name, value in found if _is_a_value(value)])


def planted(body: bytes, onward: Fields, strip: frozenset[bytes] = frozenset(), *, adds: bool = True) -> bytes | None:
    """The message with the trace context of this call in its ``params._meta``; None where it has no ``params``, or no
    ``_meta`` and it may not get one (``adds``).

    ``onward`` are the fields that the tool gets, see ``ports.Lineage``; ``strip`` those that it does not. All other
    members stay byte for byte, in their order. The agent's own ``baggage`` stays; its ``tracestate`` only where the
    trace goes on, since it speaks of that one (W3C Trace Context 3.3.1).
    """
    fields = {name: value for name, value in onward if value and name not in strip}
    try:
        message = _OBJECT.decode(body)
        params = _OBJECT.decode(message["params"])
        meta = _OBJECT.decode(params["_meta"]) if "_meta" in params or not adds else {}
    except (KeyError, MsgspecError):
        return None
    for name in strip & _OF_TRACES:
        meta.pop(name.decode(), None)
    if (parent := fields.get(b"traceparent")) is not None:
        came, goes_on = trace_context(_value(meta, "traceparent")), trace_context(parent)
        if came is None or goes_on is None or came.trace != goes_on.trace:
            meta.pop("tracestate", None)
        meta["traceparent"] = Raw(orjson.dumps(parent.decode("latin-1")))
    if (baggage := fields.get(b"baggage")) is not None:
        # Ours stands in front of the head's own; the message may have others.
        name, _, value = baggage.partition(b",")[0].partition(b"=")
        own = _value(meta, "baggage")
        both = baggage if own is None else with_member(own, name, value)
        meta["baggage"] = Raw(orjson.dumps(both.decode("latin-1")))
    if not meta and "_meta" not in params:
        return body
    return _written({**message, "params": Raw(_written({**params, "_meta": Raw(_written(meta))}))})


_OBJECT = Decoder(dict[str, Raw])
_OF_TRACES = frozenset({b"traceparent", b"tracestate", b"baggage"})


def _value(meta: Mapping[str, Raw], name: str) -> bytes | None:
    if name not in meta:
        return None
    value = orjson.loads(memoryview(meta[name]))
    return value.encode("latin-1", "replace") if _is_a_value(value) else None


def _written(members: Mapping[str, Raw]) -> bytes:
    return b"{%b}" % b",".join([orjson.dumps(name) + b":" + bytes(value) for name, value in members.items()])


def _is_a_value(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable() and len(value) <= LONGEST_BAGGAGE
