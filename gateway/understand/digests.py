"""What came of a call, in short: a digest of its result, and what the tool complained of where it failed.

Of results, what names the exchange and not its subject does not count: ids of requests at the top of an object. Of
complaints, numbers do not count: lines, durations and ids differ where the mistake is the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec

from gateway.model import NOTHING_FOUND, Answered, Findings
from gateway.policy.fingerprints import SIZE, canonical, digest
from gateway.understand.members import load

MOST_JSON = 64 << 10
"""Bytes up to which JSON is compared by value; more is compared as it came."""
MOST_HASHED = 1 << 20
"""Bytes of a longer answer that are compared, beside its length."""
LONGEST = 500
"""Characters of a complaint."""
_MOST_COMPLAINED = 8 << 10

_EXCHANGE = frozenset({"_meta", "request_id", "requestId", "trace_id", "traceId", "correlation_id", "correlationId"})
_NUMBERS = re.compile(r"[0-9a-fA-F]*[0-9][0-9a-fA-F-]*")
_SAID = ("message", "detail", "error_description", "error", "errors", "title", "reason")
"""Members in which APIs say what is wrong (RFC 9457 and custom), the plainest first."""


def of_result(value: Any) -> str:
    """Digest of a result that was read; empty where it is nested so deep that nobody can say."""
    if isinstance(value, dict) and not _EXCHANGE.isdisjoint(value):
        value = {name: inner for name, inner in value.items() if name not in _EXCHANGE}
    try:
        return digest(canonical(value))
    except RecursionError:
        return ""


def of_complaint(text: str) -> str:
    """Digest of what a tool complained of; the same for the same mistake."""
    return digest(_NUMBERS.sub("#", text).encode("utf-8", "surrogatepass"))


def complaint_in(value: Any) -> str:
    """The beginning of what a tool says is wrong, out of the JSON in which it says it."""
    for _ in range(4):
        if isinstance(value, list) and value:
            value = value[0]
        elif isinstance(value, Mapping):
            value = next((value[name] for name in _SAID if value.get(name)), "")
    return value[:LONGEST].strip() if isinstance(value, str) else ""


def of_tool_result(result: Mapping[str, Any]) -> str:
    """The beginning of what an MCP result with ``isError``, or ``{"error": ...}`` in its place, says."""
    content = result.get("content")
    if not isinstance(content, list):
        return complaint_in(result)
    texts = [entry.get("text") for entry in content if isinstance(entry, Mapping)]
    return "\n".join([text for text in texts if isinstance(text, str)])[:LONGEST].strip()


@lru_cache(maxsize=256)
def _readable(content_type: str, encoding: str) -> tuple[bool, bool]:
    """Whether the body is JSON, and whether it is text at all."""
    kind = content_type.partition(";")[0].strip().lower()
    plain = encoding.strip().lower() in ("", "identity")
    json = kind == "application/json" or kind.endswith("+json")
    return plain and json, plain and (json or kind.startswith("text/"))


class Digester:
    """Takes in the body of an answer as it passes: ``feed`` each piece, then ask ``found``."""

    __slots__ = ("_failed", "_hash", "_json", "_most", "_pieces", "_size", "_text")

    def __init__(self, answered: Answered) -> None:
        self._failed = answered.status >= 400
        self._json, self._text = _readable(answered.content_type, answered.content_encoding)
        self._most = _MOST_COMPLAINED if self._failed else MOST_JSON
        self._pieces: list[bytes] = []
        self._size = 0
        self._hash: Any = None

    def feed(self, data: bytes) -> None:
        """A piece of the body."""
        self._size += len(data)
        if self._hash is not None:
            if self._size <= MOST_HASHED:
                self._hash.update(data)
            return
        self._pieces.append(data)
        if not self._failed and (self._size > self._most or not self._json):
            self._begin()
        elif self._failed and self._size > self._most and len(self._pieces) > 1:
            self._pieces.pop()

    def _begin(self) -> None:
        self._hash = blake2b(b"".join(self._pieces), digest_size=SIZE)
        self._pieces.clear()

    def found(self) -> tuple[str, str]:
        """Digest and complaint of the whole answer."""
        if self._failed:
            complaint = self._complaint(b"".join(self._pieces)[:_MOST_COMPLAINED])
            return of_complaint(complaint), complaint
        if self._hash is not None:
            return digest(self._hash.digest(), b"%d" % self._size), ""
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        value = load(body) if body else None
        return (digest(body) if value is None else of_result(value)), ""

    def _complaint(self, body: bytes) -> str:
        if not self._text:
            return ""
        if self._json and (value := load(body)) is not None:
            return complaint_in(value)
        return body.decode("utf-8", "replace")[:LONGEST].strip()


class Digested:
    """An answer that is only compared: its bytes pass as they come. Implements ``reader.Answer``."""

    __slots__ = ("_digester", "_failed", "_found")

    rewrites = whole = False

    def __init__(self, answered: Answered) -> None:
        self._failed, self._digester = answered.status >= 400, Digester(answered)
        self._found = NOTHING_FOUND

    def feed(self, data: bytes) -> bytes:
        """The bytes as they came."""
        self._digester.feed(data)
        return data

    def end(self) -> bytes:
        """Nothing more."""
        told, complaint = self._digester.found()
        self._found = Findings(is_error=self._failed, digest=told, complaint=complaint)
        return b""

    def found(self) -> Findings:
        """Nothing before the end."""
        return self._found

    def refusal(self) -> None:
        """None: it is passed on."""


def compared(found: Findings, digester: Digester, *, kept: bool) -> Findings:
    """The findings with digest and complaint; not the latter where rules keep something of the answer (``kept``)."""
    told, complaint = digester.found()
    return msgspec.structs.replace(found, digest=told, complaint="" if kept else complaint)
