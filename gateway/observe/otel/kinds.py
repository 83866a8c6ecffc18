"""What spans of alike calls have in common: names, and the attributes that are the same for all of them.

Most of a span is, so it is encoded once and kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gateway.observe import conventions as c
from gateway.observe.otel.protobuf import Value, attributes

Record = Mapping[str, Any]

KEPT = 1024
"""Kinds that are kept. Agents choose methods and hosts, so there must be a bound."""
_LONGEST_NAME = 128
"""Characters of a span's name: agents choose the tools that they name."""


class Peer(Struct, frozen=True):
    """What a record does not say of the tool that it names."""

    protocol: str = "http"
    address: str = ""
    port: int = 0
    operations: frozenset[str] = frozenset()
    """``METHOD /template``, as the tool's configuration has them."""


class Kind(Struct, frozen=True):
    """The spans of a call without what is its own: of the gateway, and of the call to the tool."""

    name: str
    values: bytes
    error: str
    """``error.type``; empty where the call went well."""
    call_name: str
    call_values: bytes
    call_error: str


class Kinds:
    """The kinds of calls that have been seen. Used by one thread."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Kind] = {}

    def of(self, record: Record, peer: Peer) -> Kind:
        """The kind of a call."""
        facts = record["facts"]
        operation = _model_operation(record, peer) if "llm.model" in facts else ""
        key = (
            peer,
            *(*facts.values(), operation, record["operation"] in peer.operations and record["operation"]),
            *(record["tool"], record["method"], record["host"], record["agent"], record["policy_version"]),
            *(record["decision"], record["reason"], record["rule"], record["grant"], record["lineage"]),
            *(record.get("step"), record["status"], record["upstream_status"], record["is_error"], record["fault"]),
            record["withheld"] and record["withheld"]["reason"],
        )
        kind = self._known.get(key)
        if kind is None:
            if len(self._known) >= KEPT:
                self._known.clear()
            kind = self._known[key] = _kind(record, peer, operation)
        return kind


def failed(record: Record) -> str:
    """``error.type`` of a call, or nothing where it is one that went well."""
    if record["decision"] != "allow":
        return str(record["reason"] or "cancelled")
    if record["withheld"] is not None:
        return str(record["withheld"]["reason"])
    return _failed_call(record)


def _failed_call(record: Record) -> str:
    """The same of the call to the tool."""
    status = record["upstream_status"] or 0
    if status >= 400:
        return str(status)
    if record["is_error"]:
        return c.TOOL_ERROR
    return f"{record['fault']}_fault" if record["fault"] else ""


def _kind(record: Record, peer: Peer, operation: str) -> Kind:
    shared = _shared(record, peer)
    error, call_error = failed(record), _failed_call(record)
    own = {**shared, **_decided(record), **_asked(record)}
    if error:
        own[c.ERROR_TYPE] = error
    name = _name(record, operation)
    call_name, called = _called(record, peer, operation, name)
    if call_error:
        called[c.ERROR_TYPE] = call_error
    return Kind(name, attributes(9, own), error, call_name, attributes(9, {**shared, **called}), call_error)


def _name(record: Record, operation: str) -> str:
    facts, tool = record["facts"], record["tool"]
    if method := facts.get("mcp.method"):
        name = facts.get("mcp.name")
        return (f"{method} {name}" if name else str(method))[:_LONGEST_NAME]
    if model := facts.get("llm.model"):
        return f"{operation} {model}"[:_LONGEST_NAME]
    return f"{c.EXECUTE_TOOL} {tool}" if tool else str(record["method"])[:_LONGEST_NAME]


def _called(record: Record, peer: Peer, operation: str, name: str) -> tuple[str, dict[str, Value]]:
    """Name and attributes of the span of the call to the tool."""
    facts = record["facts"]
    values: dict[str, Value] = {c.HTTP_METHOD: record["method"]}
    if peer.address:
        values |= {c.SERVER_ADDRESS: peer.address, c.SERVER_PORT: peer.port}
    if record["upstream_status"]:
        values[c.HTTP_STATUS] = record["upstream_status"]
    if "mcp.method" in facts:
        return name, values
    if facts.get("llm.model"):
        # On this span only: who adds up the calls to models counts them once.
        values[c.OPERATION] = operation
        if facts.get("llm.stream"):
            values[c.REQUEST_STREAM] = True
        if facts.get("llm.max_tokens"):
            values[c.REQUEST_MAX_TOKENS] = facts["llm.max_tokens"]
        return name, values
    if record["operation"] in peer.operations:
        values[c.URL_TEMPLATE] = record["operation"].partition(" ")[2]
        return record["operation"][:_LONGEST_NAME], values
    return record["method"][:_LONGEST_NAME], values


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
    return values


def _asked(record: Record) -> dict[str, Value]:
    """What came over HTTP, and what went back."""
    values: dict[str, Value] = {c.HTTP_METHOD: record["method"], c.HTTP_STATUS: record["status"]}
    if record["host"]:
        values[c.SERVER_ADDRESS] = record["host"].rpartition(":")[0] or record["host"]
    return values


_PLAIN = {
    "tool": c.TOOL,
    "decision": c.DECISION,
    "reason": c.REASON,
    "rule": c.RULE,
    "grant": c.GRANT,
    "lineage": c.LINEAGE,
    "fault": c.FAULT,
    "policy_version": c.POLICY_VERSION,
    "step": c.STEP,
}
"""Attributes that are keys of the record, where these say something."""


def _decided(record: Record) -> dict[str, Value]:
    values: dict[str, Value] = {name: value for key, name in _PLAIN.items() if (value := record.get(key))}
    if record["tool"] and not record["facts"]:
        values |= {c.OPERATION: c.EXECUTE_TOOL, c.TOOL_NAME: record["tool"]}
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
