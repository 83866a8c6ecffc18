"""What a model is told beside a tool's result: a text in it more, and the same for programs in its ``_meta``. All else
stays byte for byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson
from msgspec import MsgspecError, Raw
from msgspec.json import Decoder

META_KEY = "toolgate/notes"


def noted(body: bytes, content_type: str, notes: Sequence[str]) -> bytes:
    """The answer with these notes in its results; as it is where it has none, or says that it has failed in JSON-RPC's
    way. Of a stream, events whose data stand in one line."""
    if not content_type.lower().startswith("text/event-stream"):
        return _noted(body, notes)
    lines = body.splitlines(keepends=True)
    return b"".join([_event(line, notes) for line in lines])


def _event(line: bytes, notes: Sequence[str]) -> bytes:
    if not line.startswith(b"data:"):
        return line
    data = line[5:].rstrip(b"\r\n")
    end = line[5 + len(data) :]
    return b"data: %b%b" % (_noted(data.strip(), notes), end)


def _noted(body: bytes, notes: Sequence[str]) -> bytes:
    try:
        message = _OBJECT.decode(body)
        result = _OBJECT.decode(message["result"])
        content = _LIST.decode(result["content"])
        meta = _OBJECT.decode(result["_meta"]) if "_meta" in result else {}
    except (KeyError, MsgspecError):
        return body
    texts = [Raw(orjson.dumps({"type": "text", "text": f"Note of the gateway: {note}."})) for note in notes]
    told = {**meta, META_KEY: Raw(orjson.dumps(list(notes)))}
    result |= {"content": Raw(b"[%b]" % b",".join(map(bytes, [*content, *texts]))), "_meta": Raw(_written(told))}
    return _written({**message, "result": Raw(_written(result))})


_OBJECT = Decoder(dict[str, Raw])
_LIST = Decoder(list[Raw])


def _written(members: Mapping[str, Raw]) -> bytes:
    return b"{%b}" % b",".join([orjson.dumps(name) + b":" + bytes(value) for name, value in members.items()])
