"""From the record of a call to its spans: one of the gateway (SERVER), below it one of the call to the tool (CLIENT).

Only what is in the record can be exported, as it stands there: cut, masked, redacted.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from msgspec import Struct

from gateway.model.trace_context import SAMPLED, trace_context
from gateway.observe import conventions as c
from gateway.observe.otel import events
from gateway.observe.otel.protobuf import CLIENT, REMOTE_PARENT, SERVER, Value, span

Record = Mapping[str, Any]

_LONGEST_NAME = 128
"""Characters of a span's name: agents choose the tools that they name."""
_NO_PARENT = b""


class Peer(Struct, frozen=True):
    """What a record does not say of the tool that it names."""

    protocol: str = "http"
    address: str = ""
    port: int = 0
    operations: frozenset[str] = frozenset()
    """``METHOD /template``, as the tool's configuration has them."""


_UNKNOWN = Peer()


class Times(Struct, frozen=True):
    """Nanoseconds since the epoch."""

    began: int
    decided: int
    ended: int


def failed(record: Record) -> str:
    """``error.type`` of a call, or nothing where it is one that went well."""
    if record["decision"] != "allow":
        return str(record["reason"] or "cancelled")
    if record["withheld"] is not None:
        return str(record["withheld"]["reason"])
    return _failed_upstream(record)


def spans_of(record: Record, peers: Mapping[str, Peer], offset: float) -> bytes:
    """The spans of a call as fields of ``ScopeSpans``. ``offset``: seconds from the record's clock to the epoch."""
    peer = peers.get(record["tool"] or "", _UNKNOWN)
    trace, outer, inner, parent, flags = _ids(record)
    times = _times(record, offset)
    shared = _shared(record, peer)
    error = failed(record)
    own = {**shared, **_decided(record), **_asked(record)}
    if error:
        own[c.ERROR_TYPE] = error
    encoded = span(
        (trace, outer, parent),
        _name(record, peer),
        SERVER,
        (times.began, times.ended),
        own,
        events.of(record, times.decided),
        error=(record["detail"] or record["error"] or "") if error else None,
        flags=flags | REMOTE_PARENT,
    )
    if record["decision"] != "allow":
        return encoded
    return encoded + _upstream(record, peer, shared, (trace, inner, outer), times, flags)


def _upstream(
    record: Record,
    peer: Peer,
    shared: Mapping[str, Value],
    ids: tuple[bytes, bytes, bytes],
    times: Times,
    flags: int,
) -> bytes:
    """The span of the call to the tool."""
    values: dict[str, Value] = {c.HTTP_METHOD: record["method"], **shared}
    if peer.address:
        values |= {c.SERVER_ADDRESS: peer.address, c.SERVER_PORT: peer.port}
    if record["upstream_status"]:
        values[c.HTTP_STATUS] = record["upstream_status"]
    error = _failed_upstream(record)
    if error:
        values[c.ERROR_TYPE] = error
    first_byte = record["timings"]["upstream_first_byte_ms"]
    name = record["method"]
    if "mcp.method" in record["facts"]:
        name = _name(record, peer)
    elif model := record["facts"].get("llm.model"):
        values |= _inference(record, peer)
        name = f"{values[c.OPERATION]} {model}"
        if first_byte and record["facts"].get("llm.stream"):
            values[c.FIRST_CHUNK] = first_byte / 1e3
    elif record["operation"] in peer.operations:
        name = record["operation"]
        values[c.URL_TEMPLATE] = name.partition(" ")[2]
    if first_byte:
        values[c.FIRST_BYTE_MS] = first_byte
    between = (min(times.decided, times.ended), times.ended)
    return span(ids, name[:_LONGEST_NAME], CLIENT, between, values, error="" if error else None, flags=flags | 0x100)


def _name(record: Record, peer: Peer) -> str:
    facts, tool = record["facts"], record["tool"]
    if method := facts.get("mcp.method"):
        name = facts.get("mcp.name")
        return (f"{method} {name}" if name else str(method))[:_LONGEST_NAME]
    if model := facts.get("llm.model"):
        return f"{_model_operation(record, peer)} {model}"[:_LONGEST_NAME]
    return f"{c.EXECUTE_TOOL} {tool}" if tool else str(record["method"])[:_LONGEST_NAME]


def _shared(record: Record, peer: Peer) -> dict[str, Value]:
    """What both spans say."""
    facts = record["facts"]
    values: dict[str, Value] = {}
    if method := facts.get("mcp.method"):
        values[c.MCP_METHOD] = method
        if method == "tools/call":
            values[c.OPERATION] = c.EXECUTE_TOOL
            values[c.TOOL_NAME] = facts["mcp.name"]
        elif facts["mcp.name"]:
            values[c.PROMPT_NAME] = facts["mcp.name"]
        for fact, name in (("mcp.session", c.MCP_SESSION), ("mcp.version", c.MCP_VERSION), ("mcp.uri", c.MCP_URI)):
            if facts.get(fact):
                values[name] = facts[fact]
    elif facts.get("llm.model"):
        values[c.REQUEST_MODEL] = facts["llm.model"]
        values[c.PROVIDER] = c.PROVIDERS.get(peer.protocol, peer.protocol)
    if record["agent"]:
        values[c.AGENT] = record["agent"]
    if record["run"]:
        values[c.CONVERSATION] = record["run"]
    return values


def _asked(record: Record) -> dict[str, Value]:
    """What came over HTTP, and what went back."""
    values: dict[str, Value] = {
        c.HTTP_METHOD: record["method"],
        c.URL_PATH: record["path"],
        c.HTTP_STATUS: record["status"],
        c.HTTP_REQUEST_SIZE: record["bytes_in"],
        c.HTTP_RESPONSE_SIZE: record["bytes_out"],
    }
    if record["host"]:
        values[c.SERVER_ADDRESS] = record["host"].rpartition(":")[0] or record["host"]
    return values


_PLAIN = {
    "call": c.CALL,
    "tool": c.TOOL,
    "operation": c.TOOL_OPERATION,
    "decision": c.DECISION,
    "reason": c.REASON,
    "rule": c.RULE,
    "detail": c.DETAIL,
    "grant": c.GRANT,
    "run": c.RUN,
    "lineage": c.LINEAGE,
    "fault": c.FAULT,
    "error": c.FAULT_DETAIL,
    "cost_usd": c.COST,
    "labels": c.LABELS,
    "amendments": c.AMENDMENTS,
    "policy_version": c.POLICY_VERSION,
}
"""Attributes that are keys of the record, where these say something."""


def _decided(record: Record) -> dict[str, Value]:
    """What the gateway knows and made of the call."""
    values: dict[str, Value] = {name: value for key, name in _PLAIN.items() if (value := record[key])}
    if record["tool"] and c.TOOL_NAME not in values and not record["facts"]:
        values |= {c.OPERATION: c.EXECUTE_TOOL, c.TOOL_NAME: record["tool"]}
    timings = record["timings"]
    values[c.QUEUE_MS], values[c.DECIDE_MS] = timings["queue_ms"], timings["decide_ms"]
    if record["why"]:
        values |= {c.WHY + key: value for key, value in record["why"].items() if value}
    if step := record.get("step"):
        values[c.STEP] = step
    if proposal := record.get("proposed_by"):
        values[c.PROPOSED_BY] = proposal["call"]
        if proposal["id"]:
            values[c.TOOL_CALL] = proposal["id"]
    if record["depth"]:
        values[c.DEPTH] = record["depth"]
    for key, names in (("root", (c.ROOT_AGENT, c.ROOT_RUN)), ("led_by", (c.LED_AGENT, c.LED_RUN))):
        if above := record[key]:
            values |= {name: above[of] for name, of in zip(names, ("agent", "run"), strict=True) if above[of]}
    if withheld := record["withheld"]:
        values[c.WITHHELD_REASON], values[c.WITHHELD_RULE] = withheld["reason"], withheld["rule"] or ""
    if record["proposed"]:
        values[c.PROPOSED] = [one["name"] for one in record["proposed"]]
        if refused := [one["name"] for one in record["proposed"] if one["refused"]]:
            values[c.PROPOSED_REFUSED] = refused
    return values


def _inference(record: Record, peer: Peer) -> dict[str, Value]:
    """What the conventions say of a call to a model, on its CLIENT span only: who adds tokens up counts them once."""
    facts, usage = record["facts"], record["usage"]
    values: dict[str, Value] = {c.OPERATION: _model_operation(record, peer)}
    if facts.get("llm.stream"):
        values[c.REQUEST_STREAM] = True
    if facts.get("llm.max_tokens"):
        values[c.REQUEST_MAX_TOKENS] = facts["llm.max_tokens"]
    if usage is not None:
        values |= {name: usage[key] for key, name in c.USAGE.items() if usage[key] or key in ("input", "output")}
        if usage["model"]:
            values[c.RESPONSE_MODEL] = usage["model"]
    return values


def _model_operation(record: Record, peer: Peer) -> str:
    path = record["path"].rstrip("/")
    if path.endswith("embeddings") or "mbedContent" in path:
        return c.EMBEDDINGS
    if peer.protocol == "gemini":
        return c.GENERATE
    if path.endswith("/completions") and not path.endswith("/chat/completions"):
        return c.COMPLETION
    return c.CHAT


def _failed_upstream(record: Record) -> str:
    status = record["upstream_status"] or 0
    if status >= 400:
        return str(status)
    if record["is_error"]:
        return c.TOOL_ERROR
    return f"{record['fault']}_fault" if record["fault"] else ""


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


def _times(record: Record, offset: float) -> Times:
    began = record["clock"] + offset
    timings = record["timings"]
    decided = began + (timings.get("read_ms", 0.0) + timings["queue_ms"] + timings["decide_ms"]) / 1e3
    return Times(int(began * 1e9), int(decided * 1e9), int((began + timings["total_ms"] / 1e3) * 1e9))
