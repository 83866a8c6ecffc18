"""A tool's answer that is kept while a person looks at it: what of it is kept, what people see, and the answer that the
same call gets later in the tool's place."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
from msgspec import MsgspecError, Raw, structs

from gateway.model import Answered, Call, Fields, Kept
from gateway.understand import sse, strict_json
from gateway.understand.jsonrpc import messages
from gateway.understand.petitions import binding_of, payload_of
from gateway.understand.reader import Phrased

MOST_KEPT = 256 * 1024
"""Bytes of an answer that is kept, and that people can look through."""

_OF_BODY = (b"content-type", b"content-encoding", b"content-language", b"content-disposition")
_VALIDATORS = (b"etag", b"last-modified")
"""They are of the bytes as they came."""
_OBJECT = msgspec.json.Decoder(dict[str, Raw])


def result_binding(call: Call, sent: bytes, version: str, ignored: frozenset[bytes] = frozenset()) -> str:
    """As ``binding_of``, of what came of the call: making it has changed what it finds in a memory."""
    return binding_of(structs.replace(call, glances=()), sent, version, ignored) + "-result"


def kept_of(answered: Answered, body: bytes, *, changed: bool) -> Kept:
    """The answer as the agent is to get it; ``changed``: other bytes than those that came."""
    names = _OF_BODY if changed else _OF_BODY + _VALIDATORS
    fields = tuple([(name, value) for name, value in answered.fields if name.lower() in names])
    return Kept(answered.status, fields, body)


def payload_with(call: Call, sent: bytes, kept: Kept) -> bytes:
    """JSON of what a person looks at: the call that was made, and its result, as ``value`` where all of it is JSON that
    is read in one way only, else the ``body`` as text."""
    kind = _field(kept, b"content-type")
    shown: dict[str, Any] = {"status": kept.status, "media_type": kind, "size": len(kept.body)}
    value = _value(kept)
    if isinstance(value, dict | list):
        shown["value"] = value
    else:
        shown["body"] = kept.body.decode("utf-8", "replace")
    return orjson.dumps({**payload_of(call, sent), "result": shown}, default=str)


def packed(kept: Kept) -> bytes:
    """For the cabinet."""
    return msgspec.msgpack.encode(kept)


def unpacked(data: bytes) -> Kept:
    """From the cabinet. Raises MsgspecError for what was not packed by ``packed``."""
    return msgspec.msgpack.decode(data, type=Kept)


def phrase_kept(kept: Kept, call: Call, ident: str, sent: bytes) -> Phrased:
    """The kept answer, to the same call made again (``sent`` is its body): as it came; over MCP with the id of the
    request that is answered now."""
    fields: Fields = ((b"X-Toolgate-Call", ident.encode()),)
    if call.facts.get("mcp.method") and (message := _message(kept)) is not None:
        said = {**message, "id": Raw(orjson.dumps(messages(strict_json.parse(sent))[0].id))}
        body = b"{%b}" % b",".join([orjson.dumps(name) + b":" + bytes(part) for name, part in said.items()])
        return Phrased(200, ((b"Content-Type", b"application/json"), *fields), body)
    return Phrased(kept.status, (*kept.fields, *fields), kept.body)


def _value(kept: Kept) -> Any:
    """The JSON that is the whole answer, one event of a stream too; None where there is more, or none."""
    pieces = _pieces(kept)
    try:
        value = strict_json.parse(pieces[0]) if len(pieces) == 1 else None
        orjson.dumps(value)
    except (ValueError, TypeError):
        return None
    return value


def _message(kept: Kept) -> dict[str, Raw] | None:
    """The JSON-RPC response in the answer, members as they stand."""
    for piece in reversed(_pieces(kept)):
        try:
            message = _OBJECT.decode(piece)
        except MsgspecError:
            continue
        if "result" in message or "error" in message:
            return message
    return None


def _pieces(kept: Kept) -> list[bytes]:
    """The data of its events; of what is no stream, the body."""
    if not _is_events(kept):
        return [kept.body]
    parser = sse.EventParser(MOST_KEPT)
    return [event.data for event in (*parser.feed(kept.body), *parser.end()) if event.data]


def _is_events(kept: Kept) -> bool:
    return _field(kept, b"content-type").lower().startswith("text/event-stream")


def _field(kept: Kept, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in kept.fields if key.lower() == name), "")
