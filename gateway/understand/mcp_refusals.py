"""Refusals in MCP's words.

By default a refused tool call is a tool result with ``isError: true``: the only form that all SDKs hand to the model.
An HTTP error status ends the whole session of SDK 1.x, a JSON-RPC error raises in the agent's program, 202 lets it
wait. So everything that could be read is answered with 200, but for what the protocol wants answered with 400. A
refused notification too: clients ignore the body of that answer, and 202 would be a lie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jiter
import orjson

from gateway.model import Reason, Refusal, Request
from gateway.understand import http
from gateway.understand.changes import changes_of, changes_text
from gateway.understand.jsonrpc import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    PARSE_ERROR,
    Id,
    Malformed,
    Message,
    messages,
    resembles,
)
from gateway.understand.mcp_elicitation import URL_ELICITATION_REQUIRED, elicitations, required
from gateway.understand.mcp_headers import version_of
from gateway.understand.people import approval_of, is_answer, structure_of
from gateway.understand.reader import Phrased

HEADER_MISMATCH = -32020
STATELESS = "2026-07-28"
"""The first revision without sessions, whose results have a ``resultType``."""
META_KEY = "toolgate/refusal"
"""The key of a refused result's ``_meta`` under which programs find the reason."""
ANSWER_KEY = "toolgate/answer"
"""The key of a result's ``_meta`` that tells programs that a person gave it."""

_PLAIN = frozenset({Reason.UNAUTHENTICATED, Reason.FOREIGN_ORIGIN})
_PLAIN_STATUSES = frozenset({401, 404, 413, 415})
_MALFORMED = frozenset({Reason.UNREADABLE_BODY, Reason.BAD_REQUEST})
_OPENINGS = {
    Reason.APPROVAL_PENDING: "Not done yet",
    Reason.RESULT_PENDING: "Done, without a result yet",
    Reason.APPROVAL_DENIED: "Denied",
}
"""A call that waits has not failed: models that read so try something else, or give up."""
_BROKEN = frozenset({Reason.UPSTREAM_UNREACHABLE, Reason.UPSTREAM_TIMEOUT, Reason.UPSTREAM_PROTOCOL})


Misfit = Callable[[str, Any], str]
"""What is wrong with a structured result of the tool with this name; empty for nothing."""


def phrase(
    refusal: Refusal, ident: str, request: Request, body: bytes | None, *, results: bool, misfit: Misfit | None = None
) -> Phrased:
    """The answer to a refused request. ``results``: a refused tool call is a result, not a JSON-RPC error. ``misfit``
    is asked of what a person answers in the tool's place.

    What was never read as JSON-RPC (no body, another type, a missing credential) is refused in plain HTTP.
    """
    if not body or request.method != "POST" or refusal.reason in _PLAIN or refusal.status in _PLAIN_STATUSES:
        return _plain(refusal, ident)
    try:
        value = jiter.from_json(body, allow_inf_nan=False, catch_duplicate_keys=True)
        if not resembles(value):
            return _plain(refusal, ident)
        read = messages(value)
        if not all(_repeatable(message.id) for message in read):
            raise Malformed("an id is an integer beyond 64 bits")
    except ValueError as error:
        code = INVALID_REQUEST if isinstance(error, Malformed) else PARSE_ERROR
        return _answer(400, refusal, ident, [_error(refusal, ident, None, code)], batch=False)
    if is_answer(refusal) and not isinstance(value, list):
        stateless = version_of(request, read[0]) >= STATELESS
        result = _by_person(refusal, ident, str(read[0].params.get("name", "")), misfit, stateless=stateless)
        told = [{"jsonrpc": "2.0", "id": read[0].id, "result": result}]
        return _answer(200, refusal, ident, told, batch=False)
    url = refusal.ruling.url if refusal.ruling is not None else ""
    if url and not isinstance(value, list):
        return _opening(refusal, ident, request, read[0], url)
    return _answered(refusal, ident, request, read, results=results, batch=isinstance(value, list))


def _opening(refusal: Refusal, ident: str, request: Request, message: Message, url: str) -> Phrased:
    """The client is to open this page; the call waits meanwhile."""
    if version_of(request, message) >= STATELESS:
        result = {**required(refusal, url), "_meta": {META_KEY: _data(refusal, ident)}}
        told = {"jsonrpc": "2.0", "id": message.id, "result": result}
    else:
        approval = refusal.ruling.approval if refusal.ruling is not None else ""
        data = {**_data(refusal, ident), **elicitations(refusal, url, approval)}
        error = {"code": URL_ELICITATION_REQUIRED, "message": text(refusal), "data": data}
        told = {"jsonrpc": "2.0", "id": message.id, "error": error}
    return _answer(200, refusal, ident, [told], batch=False)


def _by_person(refusal: Refusal, ident: str, name: str, misfit: Misfit | None, *, stateless: bool) -> dict[str, Any]:
    """What a person answers in the tool's place, as its result. Clients take no result without structure, nor with
    another one, of a tool that has an outputSchema, but for one that tells of an error."""
    value = structure_of(refusal.detail)
    structured = value if isinstance(value, dict) else None
    wrong = misfit(name, structured) if misfit is not None else ""
    said = f"A person answered in the place of the tool: {refusal.detail}" if wrong else refusal.detail
    result: dict[str, Any] = {
        "content": [{"type": "text", "text": said}],
        "isError": bool(wrong),
        "_meta": {ANSWER_KEY: {"by": "person", "call_id": ident}},
    }
    if structured is not None and not wrong:
        result["structuredContent"] = structured
    if stateless:
        result["resultType"] = "complete"
    return result


def _repeatable(id_: Id) -> bool:
    """Whether an answer can have this id: a JSON encoder, the gateway's or the client's, may not know larger ones."""
    return not isinstance(id_, int) or -(2**63) <= id_ < 2**64


def said(refusal: Refusal, ident: str, id_: Id, *, result: bool, stateless: bool) -> dict[str, Any]:
    """One JSON-RPC message that refuses the request with this id: a tool result, or an error."""
    if not result:
        return _error(refusal, ident, id_, 1000 + refusal.status)
    told: dict[str, Any] = {
        "content": [{"type": "text", "text": text(refusal)}],
        "isError": True,
        "_meta": {META_KEY: _data(refusal, ident)},
    }
    if stateless:
        told["resultType"] = "complete"
    return {"jsonrpc": "2.0", "id": id_, "result": told}


def text(refusal: Refusal) -> str:
    """A refusal as the model reads it: what happened, and what to do now."""
    opening = "The tool failed" if refusal.reason in _BROKEN else _OPENINGS.get(refusal.reason, "Refused")
    if refusal.advice:
        what = refusal.advice[:1].upper() + refusal.advice[1:]
    elif refusal.retry_after:
        what = f"Try again in {http.retry_after(refusal.retry_after)} s"
    elif refusal.retryable:
        what = "Try again later"
    else:
        what = "Do not repeat the call unchanged"
    return f"{opening}: {_sentence(refusal.detail)} {_sentence(what)}{changes_text(refusal)}"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _answered(
    refusal: Refusal, ident: str, request: Request, read: Sequence[Message], *, results: bool, batch: bool
) -> Phrased:
    requests = [message for message in read if message.is_request]
    stateless = version_of(request, None if batch else read[0]) >= STATELESS
    if refusal.reason is Reason.HEADER_MISMATCH:
        id_ = None if batch or not requests else requests[0].id
        return _answer(400, refusal, ident, [_error(refusal, ident, id_, HEADER_MISMATCH)], batch=False)
    if batch and refusal.reason in _MALFORMED:
        return _answer(400, refusal, ident, [_error(refusal, ident, None, INVALID_REQUEST)], batch=False)
    if not requests:
        # The body of this answer is for people: no client waits for one.
        return _answer(200, refusal, ident, [_error(refusal, ident, None, 1000 + refusal.status)], batch=False)
    told = []
    status = 200
    for message in requests:
        if results and message.method == "tools/call":
            told.append(said(refusal, ident, message.id, result=True, stateless=stateless))
        elif refusal.reason in _MALFORMED:
            told.append(_error(refusal, ident, message.id, INVALID_PARAMS))
            status = 400 if stateless else 200
        else:
            told.append(said(refusal, ident, message.id, result=False, stateless=stateless))
    return _answer(status, refusal, ident, told, batch=batch)


def _error(refusal: Refusal, ident: str, id_: Id, code: int) -> dict[str, Any]:
    error = {"code": code, "message": text(refusal), "data": _data(refusal, ident)}
    return {"jsonrpc": "2.0", "id": id_, "error": error}


def _data(refusal: Refusal, ident: str) -> dict[str, Any]:
    return {
        "reason": refusal.reason.value,
        "rule": refusal.rule,
        "call_id": ident,
        "retryable": refusal.retryable,
        "retry_after": round(refusal.retry_after, 3) if refusal.retry_after else None,
        "advice": refusal.advice,
        **approval_of(refusal),
        **changes_of(refusal),
    }


def _answer(status: int, refusal: Refusal, ident: str, told: list[dict[str, Any]], *, batch: bool) -> Phrased:
    fields, _ = http.phrase(refusal, ident)
    fields = ((b"Content-Type", b"application/json"), *fields[1:])
    return Phrased(status, fields, orjson.dumps(told if batch else told[0]))


def _plain(refusal: Refusal, ident: str) -> Phrased:
    fields, body = http.phrase(refusal, ident)
    return Phrased(refusal.status, fields, body)
