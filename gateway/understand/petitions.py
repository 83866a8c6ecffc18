"""From a call that rules hold to what is laid before a person, and to the digest that a verdict is bound to.

A verdict is for one call as it stands: who makes it, in which run, everything of it that the tool would get, and the
policies under which it was asked. Header fields count too, since a tool may act on them; but for those that speak of
the exchange and differ each time (``bound_fields.py``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson

from gateway.model import UNREAD, Call, Glance, Held, Petition, Question, Terms
from gateway.policy.fingerprints import canonical, digest
from gateway.understand import strict_json
from gateway.understand.bound_fields import bound_fields, shown_fields

MOST_READ = 2048
"""Characters of JSON of what a rule read that are kept with an approval; the payload has all of it."""
MOST_SHOWN = 256 * 1024
"""Bytes of a body that is shown as text."""
_EXCHANGE = ("id", "jsonrpc")
_OF_EXCHANGE = re.compile(
    r"(?:^|[./])(?:progressToken|traceparent|tracestate|baggage"
    r"|(?:request|tool_?use|tool_?call|call|message|conversation|trace|span|correlation)_?id)\Z",
    re.IGNORECASE,
)
"""Names in ``_meta`` that differ each time: of the protocol, and such as ``claudecode/toolUseId``."""
_JSON = re.compile(r"(?:application/(?:[^;,\s]+\+)?json\s*(?:;[^,]*)?)?", re.IGNORECASE)


class Unbound(ValueError):  # noqa: N818 - a finding
    """The call cannot be bound: something of it was not read. The text says what."""


def petition_of(
    call: Call,
    questions: Sequence[Question],
    body: bytes | None,
    version: str,
    terms: Terms,
    ignored: Collection[bytes] = (),
    *,
    editable: bool = False,
    answerable: bool = False,
) -> Petition:
    """What is laid before the desk. ``body`` is the whole body; ``version`` that of configuration and policies;
    ``ignored`` are lower-cased names of more fields that differ each time.

    Raises:
        Unbound: there is a body, and it was too large to be read.
    """
    check_bound(call, body)
    sent = call.body if call.body is not None else body or b""
    return Petition(
        binding_of(call, sent, version, ignored),
        call.agent.id,
        call.agent.roles,
        call.run.id,
        call.tree,
        call.tool.name,
        call.operation,
        version,
        tuple([Held(question.rule, question.text, read_of(question)) for question in questions]),
        terms,
        call.id,
        orjson.dumps(payload_of(call, sent), default=str),
        editable,
        answerable,
    )


def check_bound(call: Call, body: bytes | None) -> None:
    """Raises Unbound where there is a body (``body`` is what was read of it), and it was too large to be read."""
    if body is None and call.request.length and call.body is None:
        raise Unbound("its body is too large to be read, and so to be shown to a person")


def binding_of(call: Call, sent: bytes, version: str, ignored: Collection[bytes] = ()) -> str:
    """Digest of all that a verdict on this call is bound to. ``sent`` is the body."""
    who = [call.agent.id, *call.agent.roles, "", *call.tree, call.run.id, version]
    what = [call.tool.name, call.tool.origin.authority, call.operation, call.request.method, call.target]
    if call.tool.preserve_host:
        what.append(call.host)
    elif call.tool.forwarded != "off":  # tools make links of it; the port is that of the replica
        what.append(call.host.rpartition(":")[0] or call.host)
    what += [f"{'/'.join(one.touch.place)} {_stands(one)}" for one in call.glances if one.touch.writes and one.stale]
    named = "\0".join([*who, "", *what]).encode("utf-8", "surrogatepass")
    fields = [b"%b:%b" % field for field in sorted(bound_fields(call, ignored))]
    return digest(named, b"\0".join([b"", *fields, b""]), _settled(sent, call))


def _stands(glance: Glance) -> str:
    """What a stale write would overwrite: who allows that allows it for what stood there."""
    return "" if glance.standing is None else glance.standing.newest.id


def _settled(sent: bytes, call: Call) -> bytes:
    """JSON in one form, without what names the exchange (ids of JSON-RPC, of ``_meta``); else the bytes as they are.
    What can be read in two ways counts by its bytes, and so does what looks like JSON in a body that says it is
    something else (a form, YAML): a tool may read it in the other."""
    if sent.lstrip()[:1] not in (b"{", b"[") or not _JSON.fullmatch(call.request.header(b"content-type").strip()):
        return sent
    try:
        value = strict_json.parse(sent)
    except ValueError:
        return sent
    if call.tool.protocol == "mcp":
        value = [_message(each) for each in value] if isinstance(value, list) else _message(value)
    return canonical(value)


def _message(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    kept = {name: inner for name, inner in value.items() if name not in _EXCHANGE}
    if "id" in value:
        kept["id"] = True  # a request, whatever its number: to a notification nobody answers
    params = kept.get("params")
    if isinstance(params, dict):
        kept["params"] = {name: inner for name, inner in params.items() if name != "_meta"}
        if isinstance(meta := params.get("_meta"), dict) and (bound := bound_meta(meta)):
            kept["params"]["_meta"] = bound
    return kept


def bound_meta(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What of a message's ``_meta`` a server may act upon: all but what the protocol, this gateway, and names of single
    exchanges stand for."""
    return {
        name: value
        for name, value in meta.items()
        if not name.startswith(("io.modelcontextprotocol/", "toolgate/")) and not _OF_EXCHANGE.search(name)
    }


def payload_of(call: Call, sent: bytes) -> dict[str, Any]:
    """What a person looks at: ``args`` are null where nobody read any, and then ``body`` is the text that is sent;
    ``fields`` are the header fields, and members of ``_meta``, by which the tool may do another thing."""
    request = call.request
    shown: dict[str, Any] = {
        "method": request.method,
        "target": call.target,
        "operation": call.operation,
        "protocol": call.tool.protocol,
        "args": None if call.args is UNREAD else dict(call.args),
        "why": {name.partition(".")[2]: value for name, value in call.facts.items() if name.startswith("why.")},
        "facts": {name: value for name, value in call.facts.items() if name.startswith(("mcp.", "llm.model"))},
    }
    if fields := {**shown_fields(call), **_shown_meta(call, sent)}:
        shown["fields"] = fields
    if call.parts:
        shown["parts"] = [{"operation": part.operation, "args": dict(part.args)} for part in call.parts]
    # Of a tool with ``head-only`` the arguments may be those of the query alone.
    if sent and (call.args is UNREAD or call.tool.head_only):
        kind = request.header(b"content-type").partition(";")[0].strip().lower()
        shown["media_type"] = kind
        shown["size"] = len(sent)
        shown["body"] = sent[:MOST_SHOWN].decode("utf-8", "replace")
    return shown


def _shown_meta(call: Call, sent: bytes) -> dict[str, str]:
    """What of ``_meta`` a server may act upon, by names that no header field has."""
    if call.tool.protocol != "mcp":
        return {}
    try:
        value = strict_json.parse(sent)
    except ValueError:
        return {}
    found: dict[str, str] = {}
    for message in value if isinstance(value, list) else [value]:
        params = message.get("params") if isinstance(message, dict) else None
        meta = params.get("_meta") if isinstance(params, dict) else None
        for name, inner in bound_meta(meta).items() if isinstance(meta, dict) else ():
            text = orjson.dumps(inner, default=str).decode()
            key = f"_meta {name}"
            found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def read_of(question: Question) -> tuple[tuple[str, Any], ...]:
    """The values that the rule read, by their paths as they are written; ``...`` for those for which there is no room.
    No path is ever left out: they are the rule's own, and what was endorsed is held against all of them."""
    kept: list[tuple[str, Any]] = []
    room = MOST_READ
    for (name, names), value in question.read:
        text = ".".join((name, *names))
        shown = _plain(value)
        size = len(text) + len(orjson.dumps(shown, default=str))
        if size > room:
            shown, size = "...", 0
        room -= size
        kept.append((text, shown))
    return tuple(kept)


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value
