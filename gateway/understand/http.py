"""Plain HTTP: the operation is method and route, the arguments are the body, the form or the query.

Where a rule reads the arguments, they are read strictly: whatever could be read in two ways is refused, since then
the rule and the tool could see different calls.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson

from gateway.errors import Refused
from gateway.model import UNREAD, Agent, Answered, Call, Changed, Fields, Reason, Refusal, Request, Route, Run, Tool
from gateway.model.hops import spellings
from gateway.policy.redaction import redact
from gateway.understand import strict_json
from gateway.understand.changes import changes_of, changes_text
from gateway.understand.digests import Digested
from gateway.understand.edits import edited_http
from gateway.understand.http_answers import JsonAnswer
from gateway.understand.masking import impossible, masked_call, with_values
from gateway.understand.members import dump
from gateway.understand.people import answer_of, approval_of, is_answer
from gateway.understand.reader import Answer, Judge, Phrased
from gateway.understand.templates import Templates, ambiguous, dot_segments

_FORM = "application/x-www-form-urlencoded"
_BODY_FIELDS = (b"content-type", b"content-encoding")
_MEDIA_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+/[!#$%&'*+.^_`|~0-9a-z-]+")

MOST_PARAMETERS = 1000
MOST_NAMED, LONGEST_NAMED = 1024, 512
"""Paths whose operation is remembered, and how long they may be: agents choose them."""
_CHARSET = re.compile(r"charset\s*=\s*\"?([^\s;\"]*)")
_OVERRIDES = frozenset(
    spelt for name in (b"x-http-method-override", b"x-http-method", b"x-method-override") for spelt in spellings(name)
)
"""Fields by which some servers (Rails, Spring, Google) take a request for one with another method."""
_UNANSWERED = frozenset({"CONNECT", "HEAD"})
"""Methods whose answers have no text."""
NO_PARAMS: Mapping[str, str] = {}


class HttpReader:
    """Reads requests for one tool.

    ``reads_args``: some rule of this tool reads ``args``. ``looks_at_path``: some rule or grant tells paths apart.
    ``reads_results``: some rule or price may read an answer.
    """

    def __init__(self, tool: Tool, *, reads_args: bool, looks_at_path: bool, reads_results: bool = False) -> None:
        self.tool = tool
        self.reads_args = reads_args
        self.reads_results = reads_results
        self._templates = Templates(tool.operations) if tool.operations else None
        mode = tool.ambiguous_paths
        self._strict_path = mode == "refuse" or (mode == "auto" and looks_at_path)
        self._named: dict[tuple[str, str], tuple[str, Mapping[str, str], str]] = {}

    def wants_body(self, request: Request) -> bool:
        """Whether the request's body must be read ahead of the decision."""
        return self.reads_args and request.length != 0

    def read(self, ident: str, request: Request, route: Route, agent: Agent, run: Run, body: bytes | None) -> Call:
        """The call that a request is.

        ``body`` is the whole body where it was read ahead, else None.

        Raises:
            Refused: 400 for a path or arguments that can be read in two ways, 415 for a body no rule can read.
        """
        if self._strict_path and not _OVERRIDES.isdisjoint(request.lookup):
            _check_override(request)
        operation, params, plain = self._operation(request.method, route.path)
        args = self._args(request, route.query, body) if self.reads_args else UNREAD
        return Call(
            ident, agent, run, self.tool, operation, args, params, request, route.target, plain, route.query, route.host
        )

    def redact(self, call: Call, fields: Sequence[Changed], body: bytes | None) -> Call:
        """The call with these fields masked in its query and its body.

        Raises:
            Refused: the body was not read, or no rule could read it (``body.on_unreadable``).
        """
        try:
            query = None
            if call.query:
                query = with_values(call.query, redact(self._pairs(call.query, "query"), fields)[0])
            sent = self._redacted(call.request, body, fields) if call.request.length != 0 else None
        except Refused as refused:
            raise impossible(refused.detail, refused.advice) from None
        return masked_call(call, fields, body=sent, query=query)

    def _redacted(self, request: Request, body: bytes | None, fields: Sequence[Changed]) -> bytes | None:
        """Another body for the tool, or None where nothing in it is masked."""
        if body is None:
            raise _unreadable(413, "the body was not read, since it is too large")
        values, led = redact(self._body(request, body), fields) if body else ({}, ())
        if not led:
            return None
        if _media_type(request.header(b"content-type")) == _FORM:
            return with_values(body.decode("ascii"), values).encode("ascii")
        return dump(values)

    def edit(self, call: Call, args: Mapping[str, Any], body: bytes | None) -> Call:
        """The call with these arguments in the place of its own. ``body`` is the whole body that came.

        Raises:
            Refused: they cannot be sent in this request. Values in the path are none.
        """
        form = body is not None and _media_type(call.request.header(b"content-type")) == _FORM
        return edited_http(call, args, body, partial(self._args, call.request), form=form)

    def answers(self, call: Call) -> bool:
        """Whether a person's own answer can take the place of the tool's."""
        return call.request.method not in _UNANSWERED and b"upgrade" not in call.request.lookup

    def phrase(self, refusal: Refusal, ident: str, request: Request, body: bytes | None) -> Phrased:  # noqa: ARG002
        """The refusal as problem+json; the answer that a person gave in the tool's place as it is."""
        if is_answer(refusal):
            return answer_of(refusal, ident)
        fields, content = phrase(refusal, ident)
        return Phrased(refusal.status, fields, content)

    def plain(self, call: Call) -> bool:  # noqa: ARG002 - all answers of a tool or none
        """Whether the tool must be asked for an uncompressed answer."""
        return self.reads_results

    def answer(self, call: Call, answered: Answered, judge: Judge) -> Answer | None:  # noqa: ARG002
        """The answer as a JSON object, where a rule or a price reads it; looked at in passing where it is compared."""
        if judge.wants_result:
            return JsonAnswer(answered, judge, self.tool.answer_limit)
        return Digested(answered) if judge.compares else None

    def _operation(self, method: str, path: str) -> tuple[str, Mapping[str, str], str]:
        """The operation's name, the values of its template's parameters, and the path percent-decoded."""
        named = self._named.get((method, path))
        if named is None:
            named = self._name(method, path)
            if len(path) <= LONGEST_NAMED:
                if len(self._named) >= MOST_NAMED:
                    self._named.clear()
                self._named[method, path] = named
        return named

    def _name(self, method: str, path: str) -> tuple[str, Mapping[str, str], str]:
        if self._strict_path and (what := ambiguous(path)):
            raise Refused(
                Reason.AMBIGUOUS_PATH,
                400,
                f"the path contains {what!r}, which servers read in different ways",
                "send the path in its plain form, or set `ambiguous_paths: forward` for this tool",
            )
        if self.tool.base_path and dot_segments(path):
            raise Refused(
                Reason.AMBIGUOUS_PATH,
                400,
                "the path contains dot segments, which could climb out of the tool's base path",
                "send the path without dot segments",
            )
        plain = unquote(path) if "%" in path else path
        templated = self._templates.match(method, path) if self._templates else None
        if templated is not None:
            return *templated, plain
        return f"{method} {plain}" if method != "CONNECT" else "CONNECT", NO_PARAMS, plain

    def _args(self, request: Request, query: str, body: bytes | None) -> Mapping[str, Any]:
        from_query = self._pairs(query, "query") if query else {}
        if not body:
            return from_query
        try:
            from_body = self._body(request, body)
        except Refused:
            if self.tool.head_only:
                return from_query
            raise
        if not from_query:
            return from_body
        if both := from_query.keys() & from_body.keys():
            raise _unreadable(400, f"{min(both)!r} is given both in the query and in the body")
        return {**from_query, **from_body}

    def _body(self, request: Request, body: bytes) -> dict[str, Any]:
        if b"content-encoding" in request.lookup:
            encoding = request.header(b"content-encoding").strip().lower()
            if encoding != "identity":
                raise _unreadable(415, f"a rule reads the arguments, and the body is compressed ({encoding})")
        if any(request.repeats(name) for name in _BODY_FIELDS):
            given = request.header(b"content-type")
            raise _unreadable(415, f"Content-Type or Content-Encoding is given twice ({given[:80]}): servers choose")
        kind = _media_type(request.header(b"content-type"))
        if kind in ("", "application/json") or kind.endswith("+json"):
            try:
                value = strict_json.parse(body)
            except ValueError as error:
                raise _unreadable(400, f"the JSON body cannot be read in one way only: {error}") from None
            if not isinstance(value, dict):
                raise _unreadable(400, f"the JSON body is not an object but {_kind(value)}")
            return value
        if kind == _FORM:
            if body.lstrip()[:1] in (b"{", b"["):
                raise _unreadable(
                    400,
                    "the body says it is a form but looks like JSON",
                    "for JSON, send Content-Type: application/json",
                )
            try:
                return self._pairs(body.decode("ascii"), "form")
            except UnicodeDecodeError:
                raise _unreadable(400, "the form body is not ASCII") from None
        raise _unreadable(415, f"a rule reads the arguments, and cannot read a body of type {kind!r}")

    def _pairs(self, text: str, where: str) -> dict[str, Any]:
        try:
            pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS)
        except ValueError as error:
            raise _unreadable(400, f"the {where} cannot be read: {error}") from None
        values: dict[str, Any] = {}
        for name, value in pairs:
            if name not in values:
                values[name] = value
            elif self.tool.repeated_parameters:
                held = values[name]
                values[name] = [*held, value] if isinstance(held, list) else [held, value]
            else:
                raise _unreadable(
                    400, f"{name!r} is given twice in the {where}", "or set `repeated_parameters: list` for this tool"
                )
        return values


def _check_override(request: Request) -> None:
    """Raise Refused where a field asks for another method than the one that policies see."""
    for name in _OVERRIDES:
        asked = request.header(name, request.method)
        if asked.strip().upper() != request.method.upper():
            raise Refused(
                Reason.BAD_REQUEST,
                400,
                f"{name.decode()} asks for {asked[:32]!r}, and policies see {request.method}",
                "send the request with the method that is meant",
            )


@lru_cache(maxsize=256)
def _media_type(field: str) -> str:
    """The media type of a Content-Type field, without parameters.

    Raises:
        Refused: 415 where the body is text in another charset than UTF-8: the rule and the tool would read two texts.
    """
    kind, _, parameters = field.lower().partition(";")
    charsets = _CHARSET.findall(parameters)
    if any(charset not in ("utf-8", "us-ascii") for charset in charsets):
        raise _unreadable(415, f"a rule reads the arguments, and reads the charset utf-8 only, not {charsets!r}")
    kind = kind.strip()
    if kind and not _MEDIA_TYPE.fullmatch(kind):
        raise _unreadable(415, f"the Content-Type {kind[:80]!r} is not a media type")
    return kind


def _kind(value: object) -> str:
    return {list: "an array", str: "a string", type(None): "null", bool: "a boolean"}.get(type(value), "a number")


def _unreadable(status: int, detail: str, more: str = "") -> Refused:
    advice = "send the arguments as one plain JSON object, or a form, uncompressed"
    if more:
        advice += f"; {more}"
    return Refused(Reason.UNREADABLE_BODY, status, detail, advice)


_TITLES = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    412: "Precondition Failed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    428: "Precondition Required",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


def title_of(status: int) -> str:
    """The phrase that belongs to a status (RFC 9110, 15), or "Refused"."""
    return _TITLES.get(status, "Refused")


def phrase(refusal: Refusal, call_id: str) -> tuple[Fields, bytes]:
    """A refusal in HTTP: the fields and the body of an ``application/problem+json`` answer (RFC 9457).

    ``x-should-retry: false`` keeps SDKs that retry on their own from repeating what cannot succeed.
    """
    problem: dict[str, Any] = {
        "type": f"urn:toolgate:{refusal.reason.value}",
        "title": title_of(refusal.status),
        "status": refusal.status,
        "detail": refusal.detail,
        "reason": refusal.reason.value,
        "rule": refusal.rule,
        "call_id": call_id,
        "retryable": refusal.retryable,
        "retry_after": round(refusal.retry_after, 3) if refusal.retry_after else None,
        "advice": refusal.advice,
        **approval_of(refusal),
        **changes_of(refusal),
        # What SDKs put into their exceptions' text, and so what the model reads (OpenAI's takes nothing else).
        "message": (f"{refusal.detail}; {refusal.advice}" if refusal.advice else refusal.detail)
        + changes_text(refusal),
    }
    fields: list[tuple[bytes, bytes]] = [(b"Content-Type", b"application/problem+json")]
    wait = retry_after(refusal.retry_after)
    if wait:
        fields.append((b"Retry-After", b"%d" % wait))
    if refusal.status != 429 or refusal.retry_after > LONGEST_RETRY_AFTER:
        fields.append((b"x-should-retry", b"false"))
    fields.append((b"X-Toolgate-Call", call_id.encode()))
    fields.extend(refusal.fields)
    return tuple(fields), orjson.dumps(problem)


LONGEST_RETRY_AFTER = 60


def retry_after(seconds: float) -> int:
    """Whole seconds for Retry-After, rounded up, at most 60: some SDKs sleep through any number they are told."""
    if seconds <= 0:
        return 0
    return min(LONGEST_RETRY_AFTER, max(1, int(seconds + 0.999)))
