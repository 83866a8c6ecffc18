"""An MCP server that stands still: what it offers is told, and what a reader makes of its messages is looked at."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson

from gateway.model import Answered, Call, Findings, Reason, Refusal, Request, Run, Spoke
from gateway.understand.annotations import facts_of
from gateway.understand.http import HttpReader
from gateway.understand.mcp import McpReader
from gateway.understand.route import Router
from tests.builders import ANYBODY, request, tool

NOTES = tool("notes", ("http", "127.0.0.1", 7001), protocol="mcp", base_path="/mcp")
JSON = ("Content-Type", "application/json")


class Offered:
    """A catalogue that says what it was told to say and notes what it learns."""

    def __init__(
        self,
        *,
        annotations: Mapping[str, Any] | None = None,
        wrong: str = "",
        structured: bool = False,
        verdicts: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        self._annotations, self._wrong, self._verdicts = annotations or {}, wrong, verdicts or {}
        self._structured = structured
        self.learnt: list[tuple[list[str], bool]] = []

    def facts(self, name: str) -> Mapping[str, Any]:
        return facts_of(self._annotations.get(name), "pinned")

    def invalid(self, name: str, arguments: Mapping[str, Any]) -> str:
        return self._wrong

    def misfit(self, name: str, structured: Any) -> str:
        return "" if not self._structured or (structured and "id" in structured) else "no id"

    def verdict(self, name: str) -> tuple[str, str]:
        return self._verdicts.get(name, ("", ""))

    def learn(self, tools: Sequence[Mapping[str, Any]], *, complete: bool) -> None:
        self.learnt.append(([entry.get("name", "") for entry in tools], complete))


class Judge:
    """A judge of answers: refuses results that contain ``refuses``, wants ``fields`` masked, lists only what ``offers``
    says."""

    def __init__(
        self,
        *,
        refuses: str = "",
        reads: bool = False,
        wants: bool = False,
        fields: tuple[str, ...] = (),
        offers: Callable[[str, Mapping[str, Any]], bool] = lambda operation, facts: True,
    ) -> None:
        self.reads_result = reads or bool(refuses) or bool(fields)
        self.fields = fields
        self.reads_proposals = False
        self.wants_result = wants or self.reads_result
        self.compares = self.asks = False
        self.questions = ()
        self.spoke: tuple[Spoke, ...] = ()
        self.judged: list[Findings] = []
        self.lists = offers
        self._refuses = refuses

    def result(self, status: int, found: Findings) -> Refusal | None:
        self.judged.append(found)
        if self._refuses and self._refuses in json.dumps(found.result):
            return Refusal(Reason.RESULT_DENIED, 403, "no secrets", "results/secrets")
        return None

    def proposal(self, proposal: Any) -> Refusal | None:
        raise AssertionError("an MCP server proposes nothing")


def reader(*, to: Any = NOTES, catalogue: Offered | None = None, **rest: Any) -> McpReader:
    http = HttpReader(to, reads_args=True, looks_at_path=True)
    return McpReader(to, catalogue=catalogue or Offered(), http=http, **rest)


def post(body: bytes | object, *fields: tuple[str, str], target: str = "/notes", **rest: Any) -> tuple[Request, bytes]:
    """A POST of a message, as JSON unless its fields say otherwise."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    given = fields if any(name.lower() == "content-type" for name, _ in fields) else (JSON, *fields)
    return request("POST", target, given, length=len(data), **rest), data


def read(by: McpReader, of: Request, body: bytes | None = None) -> Call:
    return by.read("call-7", of, Router([by.tool]).route(of), ANYBODY, Run(), body)


def asked(by: McpReader, method: str, params: Any = None, *fields: tuple[str, str], ident: Any = 1) -> Call:
    """The call of one request."""
    message: dict[str, Any] = {"jsonrpc": "2.0", "id": ident, "method": method}
    if params is not None:
        message["params"] = params
    return read(by, *post(message, *fields))


def through(answer: Any, pieces: Iterable[bytes]) -> bytes:
    """What the agent gets of an answer that comes in these pieces."""
    return b"".join([*[answer.feed(piece) for piece in pieces], answer.end()])


OK_JSON = Answered(200, 0.01, "application/json")
OK_EVENTS = Answered(200, 0.01, "text/event-stream; charset=utf-8")
