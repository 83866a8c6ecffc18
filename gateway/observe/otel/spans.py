"""From the record of a call to its spans: one of the gateway (SERVER), below it one of the call to the tool (CLIENT).

Only what is in the record can be exported, as it stands there: cut, masked, redacted.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any

from gateway.model.trace_context import SAMPLED, trace_context
from gateway.observe import conventions as c
from gateway.observe.otel import events
from gateway.observe.otel.kinds import Kind, Kinds, Peer, Record
from gateway.observe.otel.protobuf import CLIENT, REMOTE_PARENT, SERVER, Value, attributes, number, span

_PARENT_KNOWN = 0x100
_NO_PARENT = b""
_UNKNOWN = Peer()
_CACHED = 4096


def spans_of(record: Record, peers: Mapping[str, Peer], offset: float, kinds: Kinds) -> bytes:
    """The spans of a call as fields of ``ScopeSpans``. ``offset``: seconds from the record's clock to the epoch."""
    kind = kinds.of(record, peers.get(record["tool"] or "", _UNKNOWN))
    trace, outer, inner, parent, flags = _ids(record)
    began, decided, ended = _times(record, offset)
    run = _of_run(record["run"] or "")
    encoded = span(
        (trace, outer, parent),
        kind.name,
        SERVER,
        (began, ended),
        kind.values + run + _own(record),
        events.of(record, decided),
        error=(record["detail"] or record["error"] or "") if kind.error else None,
        flags=flags | REMOTE_PARENT,
    )
    if record["decision"] != "allow":
        return encoded
    values = kind.call_values + run + _of_answer(record)
    return encoded + _call((trace, inner, outer), kind, (min(decided, ended), ended), values, flags)


def _call(ids: tuple[bytes, bytes, bytes], kind: Kind, times: tuple[int, int], values: bytes, flags: int) -> bytes:
    error = "" if kind.call_error else None
    return span(ids, kind.call_name, CLIENT, times, values, error=error, flags=flags | _PARENT_KNOWN)


@lru_cache(_CACHED)
def _of_run(run: str) -> bytes:
    return attributes(9, {c.CONVERSATION: run, c.RUN: run} if run else {})


def _own(record: Record) -> bytes:
    """What the span of the gateway says of this very call."""
    timings = record["timings"]
    values: dict[str, Value] = {
        c.URL_PATH: record["path"],
        c.HTTP_REQUEST_SIZE: record["bytes_in"],
        c.HTTP_RESPONSE_SIZE: record["bytes_out"],
    }
    if record["operation"]:
        values[c.TOOL_OPERATION] = record["operation"]
    for key, name in _SELDOM.items():
        if value := record[key]:
            values[name] = value
    if record["memory"]:
        values |= _remembered(record["memory"])
    if record["depth"] or record["led_by"]:
        values |= _above(record)
    if record["why"]:
        values |= {c.WHY + key: value for key, value in record["why"].items() if value}
    if record["withheld"] and record["withheld"]["rule"]:
        values[c.WITHHELD_RULE] = record["withheld"]["rule"]
    if record["proposed"]:
        values |= _proposed(record["proposed"])
    if timings["asked_ms"]:
        values[c.ASKED_MS] = timings["asked_ms"]
    if proposal := record.get("proposed_by"):
        values |= {c.PROPOSED_BY: proposal["call"]} | ({c.TOOL_CALL: proposal["id"]} if proposal["id"] else {})
    return b"".join(
        (
            _named(record["call"]),
            number(9, c.QUEUE_MS, timings["queue_ms"]),
            number(9, c.DECIDE_MS, timings["decide_ms"]),
            attributes(9, values),
        )
    )


_SELDOM = {
    "detail": c.DETAIL,
    "error": c.FAULT_DETAIL,
    "cost_usd": c.COST,
    "labels": c.LABELS,
    "amendments": c.AMENDMENTS,
    "drift": c.DRIFT,
}
"""Attributes that are keys of the record, where these say something."""


def _named(call: str) -> bytes:
    """The call's id: no two are alike, so nothing is kept."""
    value = call.encode()
    return b"%b%b" % (_before_id(len(value)), value)


@lru_cache(256)
def _before_id(length: int) -> bytes:
    return attributes(9, {c.CALL: "x" * length})[:-length]


def _above(record: Record) -> dict[str, Value]:
    """The runs above."""
    values: dict[str, Value] = {c.DEPTH: record["depth"]}
    for key, names in (("root", (c.ROOT_AGENT, c.ROOT_RUN)), ("led_by", (c.LED_AGENT, c.LED_RUN))):
        if above := record[key]:
            values |= {name: above[of] for name, of in zip(names, ("agent", "run"), strict=True) if above[of]}
    return values


def _remembered(touched: list[dict[str, Any]]) -> dict[str, Value]:
    """Keys of memories, with how they were found and in which version, in the same order."""
    keys = [f"{one['memory']}/{one['key']}" for one in touched]
    found = [f"{one['does']} {one['found'] or one['came_of']}" for one in touched]
    return {c.MEMORY_KEYS: keys, c.MEMORY_FOUND: found, c.MEMORY_VERSIONS: [one["version"] or "" for one in touched]}


def _proposed(proposed: list[dict[str, Any]]) -> dict[str, Value]:
    values: dict[str, Value] = {c.PROPOSED: [one["name"] for one in proposed]}
    if refused := [one["name"] for one in proposed if one["refused"]]:
        values[c.PROPOSED_REFUSED] = refused
    return values


def _of_answer(record: Record) -> bytes:
    """What the span of the call to the tool says of this very answer."""
    first_byte, usage = record["timings"]["upstream_first_byte_ms"], record["usage"]
    timed = number(9, c.FIRST_BYTE_MS, first_byte) if first_byte else b""
    if first_byte and record["facts"].get("llm.stream"):
        timed += number(9, c.FIRST_CHUNK, first_byte / 1e3)
    if usage is None:
        return timed
    # On this span only: who adds tokens up counts them once.
    values: dict[str, Value] = {
        name: usage[key] for key, name in c.USAGE.items() if usage[key] or key in ("input", "output")
    }
    if usage["model"]:
        values[c.RESPONSE_MODEL] = usage["model"]
    return timed + attributes(9, values)


def _ids(record: Record) -> tuple[bytes, bytes, bytes, bytes, int]:
    """Trace, span of the gateway, span of the call to the tool, parent, flags.

    The tool was told ``span_id`` as its parent, so that is the innermost span: the CLIENT one, where there is one. What
    nobody was told is derived from the call's id, so that the same record gives the same spans.
    """
    derived = sha256(record["call"].encode()).digest()
    came = trace_context(record["traceparent"].encode("latin-1", "replace")) if record["traceparent"] else None
    trace = bytes.fromhex(record["trace_id"]) if record["trace_id"] else derived[:16]
    inner = bytes.fromhex(record["span_id"]) if record["span_id"] else derived[16:24]
    outer = derived[24:32] if record["decision"] == "allow" else inner
    parent = bytes.fromhex(came.span) if came is not None else _NO_PARENT
    return trace, outer, inner, parent, SAMPLED if came is None else came.flags & 0xFF


def _times(record: Record, offset: float) -> tuple[int, int, int]:
    """Arrival, decision and end, in nanoseconds since the epoch."""
    began, timings = record["clock"] + offset, record["timings"]
    decided = (
        began + (timings.get("read_ms", 0.0) + timings["queue_ms"] + timings["asked_ms"] + timings["decide_ms"]) / 1e3
    )
    return int(began * 1e9), int(decided * 1e9), int((began + timings["total_ms"] / 1e3) * 1e9)
