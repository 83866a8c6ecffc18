"""What a request to the memory says: where, under which condition, with which value."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson
from aiohttp import web
from msgspec import Struct

from gateway.memory.seen import Expect, Seen
from gateway.memory.wrong import Wrong
from gateway.model.shelf import Kind
from gateway.policy.units import duration
from gateway.understand import strict_json

MERGE_PATCH, JSON_PATCH = "application/merge-patch+json", "application/json-patch+json"
USUAL, MOST = 100, 1_000
"""Entries of a list, where it is not said how many, and at most."""
_TTL = "Memory-Ttl"
_TAG = re.compile(r'\s*(W/)?"([^"]*)"\s*(?:,|$)')
_TEXTS = ("text/plain", "text/markdown")


class Target(Struct, frozen=True):
    """What a path leads to. ``key`` is empty for the namespace; ``verb`` is what follows a colon."""

    namespace: str
    key: str = ""
    verb: str = ""


def target_of(request: web.Request) -> Target:
    """What the path leads to: ``/NAMESPACE``, ``/NAMESPACE:VERB``, ``/NAMESPACE/KEY``, where a key may have slashes.

    Raises:
        Wrong: it is no text.
    """
    namespace, _, key = request.rel_url.raw_path[1:].partition("/")
    namespace, _, verb = _decoded(namespace).partition(":")
    return Target(namespace, _decoded(key), verb)


def _decoded(text: str) -> str:
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise Wrong(400, "unusable", "the path is no UTF-8", "percent-encode the key as UTF-8") from None


def expected(request: web.Request) -> Expect:
    """What the writer says it has seen (RFC 9110, 13.1).

    Raises:
        Wrong: that cannot be understood.
    """
    if_match, if_none_match = request.headers.getall("If-Match", []), request.headers.getall("If-None-Match", [])
    if if_match and if_none_match:
        raise Wrong(400, "unusable", "If-Match and If-None-Match are both given", "keep one of them")
    if if_none_match:
        if [one.strip() for one in if_none_match] != ["*"]:
            raise Wrong(
                400,
                "unusable",
                "a write is made If-None-Match: * only",
                'to replace a version, send If-Match: "VERSION"',
            )
        return Seen.ABSENT
    if not if_match:
        return Seen.BLIND
    if [one.strip() for one in if_match] == ["*"]:
        return Seen.ANY
    return tuple([tag for tag, weak in tags(", ".join(if_match)) if not weak])


def tags(field: str) -> list[tuple[str, bool]]:
    """The entity tags of a field, and whether they are weak.

    Raises:
        Wrong: it is no list of them.
    """
    found, at = [], 0
    while at < len(field):
        one = _TAG.match(field, at)
        if one is None:
            raise Wrong(400, "unusable", f"{field[:80]!r} is no entity tag", 'write it in quotes: If-Match: "VERSION"')
        found.append((one[2], one[1] is not None))
        at = one.end()
    return found


def not_modified(request: web.Request, version: str) -> bool:
    """Whether a reader has this version already."""
    field = request.headers.get("If-None-Match")
    return field is not None and (field.strip() == "*" or version in [tag for tag, _ in tags(field)])


def ttl_of(request: web.Request) -> float | None:
    """Seconds that the value is to stand; None where nothing is said of that."""
    text = request.query.get("ttl") or request.headers.get(_TTL)
    return None if text is None else duration(text)


def limit_of(request: web.Request) -> int:
    """How many entries are wanted."""
    text = request.query.get("limit", str(USUAL))
    if not text.isdecimal() or not 0 < int(text[:9]) <= MOST:
        raise Wrong(400, "unusable", f"limit must be from 1 to {MOST}")
    return int(text)


async def value_in(request: web.Request, largest: int) -> tuple[bytes, Kind]:
    """The value that a body is.

    Raises:
        Wrong: 415, neither JSON nor text; 400, no value of its kind; 413, more than ``largest`` bytes.
    """
    kind = request.content_type
    if kind not in ("application/json", *_TEXTS) or not _plain(request):
        advice = "send Content-Type: application/json or text/plain, in UTF-8, and no Content-Encoding"
        raise Wrong(415, "unsupported", f"a value is JSON or text, not {kind[:80]}", advice)
    data = await body_of(request, largest)
    if kind == "application/json":
        json_in(data)
        return data, "json"
    try:
        data.decode()
    except UnicodeDecodeError:
        raise Wrong(400, "unusable", "the text is no UTF-8", "send it as UTF-8") from None
    return data, "text"


async def json_body(request: web.Request, largest: int, kinds: tuple[str, ...] = ("application/json",)) -> Any:
    """The JSON of a body of one of these types. Raises Wrong."""
    if request.content_type not in kinds or not _plain(request):
        raise Wrong(415, "unsupported", f"this body is not {kinds[0]}", f"send Content-Type: {' or '.join(kinds)}")
    return json_in(await body_of(request, largest))


def json_in(data: bytes) -> Any:
    """The value, where every parser reads the same one. Raises Wrong."""
    try:
        return strict_json.parse(data)
    except ValueError as error:
        detail = f"the JSON cannot be read in one way only: {error}"
        raise Wrong(400, "unusable", detail, "send plain JSON, or the text as text/plain") from None


def json_bytes(value: Any, largest: int) -> bytes:
    """A value as it is kept. Raises Wrong where it is larger, or nobody could send it so."""
    data = orjson.dumps(value)
    if len(data) > largest:
        raise too_large(largest)
    json_in(data)
    return data


def too_large(largest: int) -> Wrong:
    """More than may be sent."""
    return Wrong(413, "too_large", f"more than {largest} bytes", "split it over several keys, or say less")


def _plain(request: web.Request) -> bool:
    charset = (request.charset or "utf-8").lower()
    return charset in ("utf-8", "utf8", "us-ascii") and "Content-Encoding" not in request.headers


async def body_of(request: web.Request, largest: int) -> bytes:
    """All of the body. Raises Wrong where it is larger."""
    parts, size = [], 0
    async for part in request.content.iter_any():
        size += len(part)
        if size > largest:
            raise too_large(largest)
        parts.append(part)
    return b"".join(parts)
