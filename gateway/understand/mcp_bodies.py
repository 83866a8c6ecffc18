"""The body of a POST to an MCP server: one value of JSON that can be read in one way only, or plain HTTP's."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from gateway.errors import Refused
from gateway.model import Reason, Request
from gateway.understand import strict_json
from gateway.understand.jsonrpc import resembles

JSON, _FORM = "application/json", "application/x-www-form-urlencoded"


def message_in(request: Request, body: bytes) -> Any:
    """The JSON of a body, or None where it is no JSON-RPC and so plain HTTP.

    Raises:
        Refused: 400 where it can be read in two ways, 415 where its type or coding keeps it from being read.
    """
    kind = _kind(request.lookup.get(b"content-type", b""))
    if b"content-encoding" in request.lookup and request.header(b"content-encoding").strip().lower() != "identity":
        raise _unsupported("the body is compressed", "send it uncompressed")
    form = kind == _FORM and body.lstrip()[:1] not in (b"{", b"[") and b"\0" not in body and body.isascii()
    if not body or form:  # with NUL it could be JSON in UTF-16
        return None
    if kind != JSON or request.repeats(b"content-type"):
        given = request.header(b"content-type")[:80]
        raise _unsupported(f"a JSON-RPC message has the type {JSON}, not {given!r}", f"send Content-Type: {JSON}")
    try:
        value = strict_json.parse(body)
    except ValueError as error:
        detail = f"the JSON body cannot be read in one way only: {error}"
        raise Refused(Reason.UNREADABLE_BODY, 400, detail, "send one JSON-RPC 2.0 message in plain JSON") from None
    return value if resembles(value) else None


@lru_cache(maxsize=256)
def _kind(field: bytes) -> str:
    """The media type of a Content-Type field; empty where its text is not in UTF-8."""
    kind, _, parameters = field.decode("latin-1").lower().partition(";")
    name, _, charset = parameters.partition("=")
    if name.strip() == "charset" and charset.strip().strip('"') not in ("utf-8", "utf8"):
        return ""
    return kind.strip()


def _unsupported(detail: str, advice: str) -> Refused:
    return Refused(Reason.UNREADABLE_BODY, 415, detail, advice)


__all__ = ["JSON", "message_in"]
