"""Of a call's header fields: those that a verdict is bound to, and those of them that a person is shown."""

from __future__ import annotations

from collections.abc import Collection

from gateway.model import Call
from gateway.model.hops import FORWARDED, OURS, connection_options

_VOLATILE = FORWARDED | OURS | frozenset({
    b"accept-encoding", b"baggage", b"cache-control", b"connection", b"content-length", b"date",
    b"expect", b"host", b"idempotency-key", b"keep-alive", b"last-event-id", b"max-forwards", b"mcp-method",
    b"mcp-name", b"mcp-protocol-version", b"mcp-session-id", b"pragma", b"priority", b"proxy-connection",
    b"request-id", b"sec-websocket-key", b"te", b"trailer", b"transfer-encoding", b"traceparent", b"tracestate",
    b"user-agent", b"via", b"x-amzn-trace-id", b"x-correlation-id", b"x-parent-run-id", b"x-request-id",
    b"x-request-start",
})  # fmt: skip
"""Fields that speak of the exchange and may differ each time that the same call is made. Not those by which a tool may
do another thing: what is asked for on conditions (``If-None-Match: *``), in another version (``Accept``), as somebody
else (``From``, ``Origin``), or by another protocol (``Upgrade``)."""

_UNTOLD = frozenset({
    b"accept", b"accept-language", b"content-type", b"sec-websocket-version", b"x-agent-id", b"x-run-id",
})  # fmt: skip
"""Bound, and of no interest to people: who asks in which run, and the content type, are shown elsewhere."""

_SECRETS = (b"auth", b"cookie", b"credential", b"key", b"passw", b"secret", b"session", b"signature", b"token")
UNSHOWN = "[not shown]"


def bound_fields(call: Call, ignored: Collection[bytes] = ()) -> list[tuple[bytes, bytes]]:
    """The fields, lower-cased, as the tool gets them, so that one which ends here since ``Connection`` names it is not
    among them; ``ignored`` are more that differ each time."""
    named = call.request.lookup.get(b"connection")
    gone = frozenset[bytes]() if named is None else connection_options(named) - {b"upgrade"}
    return [
        (name, value)
        for field, value in call.request.fields
        if (name := field.lower()) not in _VOLATILE
        and name not in ignored
        and name not in gone
        and name != call.agent.credential
        and not name.startswith(b"x-stainless-")  # OpenAI, Anthropic
    ]


def shown_fields(call: Call) -> dict[str, str]:
    """What a person must know of: any of these may change what the tool does. Credentials are named, and not shown."""
    shown: dict[str, str] = {}
    for name, value in bound_fields(call, _UNTOLD | call.tool.strip):
        text = UNSHOWN if any(part in name for part in _SECRETS) else value.decode("utf-8", "replace")
        key = name.decode("latin-1")
        shown[key] = f"{shown[key]}, {text}" if key in shown else text
    return shown
