"""What each JSON-RPC message of an MCP server's answer goes through before the agent gets it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jiter
import msgspec
import orjson
from msgspec import Raw, Struct

from gateway.model import Call, Findings, Reason, Refusal
from gateway.understand.comparison import Comparison
from gateway.understand.jsonrpc import MEMBERS, Id, lookalike
from gateway.understand.masking import masked_result
from gateway.understand.mcp_lists import ENTRIES, Lists
from gateway.understand.mcp_refusals import said
from gateway.understand.members import dump
from gateway.understand.reader import Judge

_BATCH = msgspec.json.Decoder(list[Raw])
_RESULT_MEMBERS = frozenset({"content", "structuredContent", "contents", "messages"})
"""Members of the results of tools/call, resources/read and prompts/get."""

WITHHELD = Refusal(
    Reason.RESULT_DENIED,
    403,
    "rules judge the results of this server with the call that they answer, and this one came another way",
    advice="make the call again and wait for its answer, without a task and without resuming a stream",
)


def unreadable(what: str) -> Refusal:
    """The refusal of an answer that had to be read and cannot be."""
    return Refusal(
        Reason.RESULT_UNREADABLE,
        502,
        f"the tool's answer was kept back: {what}",
        advice="tell the user that this tool's answers cannot be checked, and go on without it",
    )


class Words(Struct, frozen=True):
    """How the refusals of one answer are written. ``result``: a refused tool call is a result, not an error."""

    ident: str
    result: bool
    stateless: bool

    def __call__(self, refusal: Refusal, id_: Id, *, of_tool: bool) -> bytes:
        """The message for the agent."""
        told = said(refusal, self.ident, id_, result=self.result and of_tool, stateless=self.stateless)
        return orjson.dumps(told)


class Screen:
    """Reads messages, filters lists, lets rules judge results. One for one answer.

    ``lists``: filters lists. ``judge``: rules judge every result. ``withhold``: rules would judge results, but not of
    this call, by which results of other calls could be had (a resumed stream, ``tasks/result``): keep those back.
    ``events``: messages are the data of events, among which there may be other things. ``compares``: results are
    compared with earlier ones.
    """

    def __init__(
        self,
        call: Call,
        status: int,
        words: Words,
        *,
        lists: Lists | None,
        judge: Judge | None,
        withhold: bool,
        events: bool,
        compares: bool = False,
    ) -> None:
        self._of_tool = call.facts.get("mcp.method") == "tools/call"
        self._status, self._words = status, words
        self._lists, self._judge, self._withhold = lists, judge, withhold
        self._lenient = events and judge is None and not withhold
        self.is_error = self.answered = False
        self.result: Mapping[str, Any] | None = None
        self.refusal: Refusal | None = None
        self.redacted: tuple[str, ...] = ()
        self.comparison = Comparison() if compares else None

    def pass_on(self, data: bytes) -> bytes:
        """The message, or array of messages, for the agent: ``data`` itself where nothing is to be changed."""
        if data.lstrip()[:1] != b"[":
            return self._one(data)
        try:
            parts = [bytes(part) for part in _BATCH.decode(data)]
        except msgspec.DecodeError as error:
            return self.unread(str(error))
        passed = [self._one(part) for part in parts]
        if all(new is old for new, old in zip(passed, parts, strict=True)):
            return data
        return b"[" + b",".join(passed) + b"]"

    def unread(self, what: str) -> bytes:
        """A message in place of one that had to be read and cannot be."""
        return self._refuse(unreadable(what), None, of_tool=self._of_tool)

    def _one(self, data: bytes) -> bytes:
        if self._lenient and data.lstrip()[:1] != b"{":
            return data  # whatever it is, no client takes it for a list
        try:
            message = jiter.from_json(data, catch_duplicate_keys=True)
        except ValueError as error:
            return self.unread(f"it cannot be read in one way only: {error}")
        if not isinstance(message, dict):
            return self.unread("it is no JSON-RPC message")
        if not message.keys() <= MEMBERS and (other := lookalike(message, MEMBERS)):
            return self.unread(f"it has a member {other[:64]!r}, which some clients take for {other.casefold()[:64]!r}")
        if not ("result" in message or "error" in message):
            return self._from_server(data, message)
        ident = message.get("id")
        return self._response(data, message, ident if isinstance(ident, str | int) else None)

    def _from_server(self, data: bytes, message: Mapping[str, Any]) -> bytes:
        """A request or notification of the server: passed on, but for results of tasks that rules would judge."""
        params, method = message.get("params"), message.get("method")
        tells = isinstance(params, dict) and "result" in params and str(method).startswith("notifications/tasks")
        if tells and (self._judge is not None or self._withhold):
            self.refusal = WITHHELD
            return b""
        return data

    def _response(self, data: bytes, message: Mapping[str, Any], ident: Id) -> bytes:
        result = message.get("result")
        failed = "error" in message or not isinstance(result, dict)
        if failed or not isinstance(result, dict):
            result = {"error": message.get("error")}
        is_error = failed or result.get("isError") is True
        self.answered = True
        self.is_error = self.is_error or is_error
        if self._judge is not None:
            self.result = result
            refusal = self._judge.result(self._status, Findings(is_error=is_error, result=result))
            if self.comparison is not None:
                kept = refusal is not None or bool(self._judge.fields)
                self.comparison.add(result, failed=is_error, kept=kept)
            if refusal is not None:
                return self._refuse(refusal, ident, of_tool=self._of_tool)
        elif self._withhold and (not _RESULT_MEMBERS.isdisjoint(result) or "result" in result):
            return self._refuse(WITHHELD, ident, of_tool="content" in result)
        if self._lists is not None and (other := lookalike(result, ENTRIES)):
            return self.unread(f"it has a member {other[:64]!r}, which some clients take for a list")
        passed = self._lists.filter(data, result) if self._lists is not None and not failed else data
        return self._masked(passed) if self._judge is not None and self._judge.fields else passed

    def _masked(self, data: bytes) -> bytes:
        """The response without what the rules, which have just judged it, want to be masked."""
        if self._judge is None:
            return data
        message: dict[str, Any] = jiter.from_json(data)
        result = message.get("result")
        whole = result if isinstance(result, dict) else {"error": message.get("error")}
        masked, led = masked_result(whole, self._judge.fields)
        if not led:
            return data
        self.redacted = tuple(dict.fromkeys(self.redacted + led))
        return dump({**message, "result": masked} if whole is result else {**message, **masked})

    def _refuse(self, refusal: Refusal, ident: Id, *, of_tool: bool) -> bytes:
        self.refusal = refusal
        return self._words(refusal, ident, of_tool=of_tool)
