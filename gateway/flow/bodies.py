"""The texts and the records of what came: JSON, events of JSON, HTML, or plain text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import orjson

from gateway.flow.forms import address, addresses_in, mailbox, normal, number

BETWEEN = "\n\x1e\n"
"""Stands between two texts, so that nothing is found across them."""
MOST_ITEMS = 50_000
"""Values of one body; more are as if they were not there."""
_BOXES = frozenset(
    [
        "from",
        "sender",
        "to",
        "cc",
        "bcc",
        "reply-to",
        "reply_to",
        "replyto",
        "organizer",
        "attendees",
        "recipient",
        "recipients",
    ]
)
"""Names of fields whose texts are mailboxes, and no free texts in which anybody may write one."""
LONGEST_FIELD = 200
"""Characters of a whole field: what is longer is free text, in which anything may stand."""
MOST_FIELDS = 100
"""Fields of one record."""
_TAGS = re.compile(r"<[^<>]*>")
_BINARY = ("image/", "audio/", "video/", "font/", "application/octet-stream", "application/zip", "application/pdf")
_BLOB = re.compile(r"[A-Za-z0-9+/_-]{4096,}={0,2}")
"""A picture in JSON, or the like: nobody reads a value in it."""

Record = tuple[str, ...]
"""The whole fields of one JSON object in normal form: texts and numbers, and those of lists in it; and each address
within a text of it, behind WITHIN."""
WITHIN = "\x02"
MOST_WITHIN = 20
"""Addresses within one field."""


def records_in(bodies: Sequence[bytes]) -> list[Record]:
    """The records of JSON bodies."""
    return [record for body in bodies for record in records_of(_json(body))]


def read(data: bytes, content_type: str) -> tuple[str, list[bytes]]:
    """The texts of a body, one after the other, and what of it is JSON: of most bodies nobody asks for the records."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith(_BINARY):
        return "", []
    if kind == "text/event-stream":
        return _together([line[5:].strip() for line in data.split(b"\n") if line.startswith(b"data:")])
    if data.lstrip()[:1] in (b"{", b"[", b'"'):
        value = _json(data)
        if value is None:  # lines of JSON, or cut off
            return _together(data.split(b"\n")) if b"\n" in data else (data.decode("utf-8", "replace"), [])
        return BETWEEN.join(texts_of(value)), [data]
    text = data.decode("utf-8", "replace")
    if kind in ("text/html", "application/xhtml+xml", "text/xml", "application/xml"):
        text = text + BETWEEN + _TAGS.sub(" ", text)
    return text, []


def _together(bodies: list[bytes]) -> tuple[str, list[bytes]]:
    texts: list[str] = []
    bodies_of_json: list[bytes] = []
    for body in bodies:
        value = _json(body) if body[:1] in (b"{", b"[", b'"') else None
        if value is None:
            texts.append(body.decode("utf-8", "replace"))
        else:
            texts += texts_of(value)
            bodies_of_json.append(body)
    return BETWEEN.join(texts), bodies_of_json


def texts_of(value: Any) -> Iterator[str]:
    """Every text, number and name of a member in a JSON value, as text, in its order."""
    left = [value]
    for _ in range(MOST_ITEMS):
        if not left:
            return
        item = left.pop()
        if isinstance(item, str):
            if _BLOB.fullmatch(item):
                continue
            inner = _json(item) if item[:1] in "{[" and len(item) > 2 else None
            if inner is None:
                yield item
            else:
                left.append(inner)
        elif isinstance(item, bool) or item is None:
            continue
        elif isinstance(item, int | float):
            yield str(item)
        elif isinstance(item, dict):
            left += [each for name, inner in reversed(item.items()) for each in (inner, name)]
        elif isinstance(item, list | tuple):
            left += reversed(item)


def records_of(value: Any) -> Iterator[Record]:
    """Every JSON object in a value, as its fields. What stands inside a text is no field of its own."""
    left = [value]
    for _ in range(MOST_ITEMS):
        if not left:
            return
        item = left.pop()
        if isinstance(item, dict):
            yield tuple(_fields(item))
            left += item.values()
        elif isinstance(item, list | tuple):
            left += item
        elif isinstance(item, str) and item[:1] in "{[" and len(item) > 2:
            left.append(_json(item))


def _fields(record: dict[str, Any]) -> Iterator[str]:
    count = 0
    for name, inner in record.items():
        for item in inner if isinstance(inner, list | tuple) else (inner,):
            if count >= MOST_FIELDS:
                return
            if isinstance(item, str):
                within = [WITHIN + led for each in islice(addresses_in(item), MOST_WITHIN) if (led := address(each))]
                count += len(within)
                yield from within
                if 0 < len(item) <= LONGEST_FIELD:
                    count += 1
                    yield normal(item).strip()
                    if name.lower() in _BOXES and (box := mailbox(item)):
                        count += 1
                        yield box
            elif isinstance(item, int | float) and not isinstance(item, bool):
                count += 1
                yield number(item)


def _json(text: str | bytes) -> Any:
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, RecursionError):
        return None
