"""Answers of Gemini: whole, or as chunks that are each such an answer."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.model import Findings, Proposal, Refusal, Usage
from gateway.understand import members
from gateway.understand.dialect import MOST_PROPOSALS
from gateway.understand.gemini_calls import Calls, parts_of, take_out
from gateway.understand.members import count, dump, items, mapping, text, tokens_of
from gateway.understand.sse import Event, event

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def error_of(refusal: Refusal) -> dict[str, Any]:
    """The ``error`` member of an error's body (google.rpc.Status as JSON, cloud.google.com/apis/design/errors)."""
    said = f"{refusal.detail}; {refusal.advice}" if refusal.advice else refusal.detail
    status = _STATUSES.get(refusal.status, "UNKNOWN")
    error: dict[str, Any] = {"code": refusal.status, "message": said, "status": status}
    if refusal.retry_after:
        kind = "type.googleapis.com/google.rpc.RetryInfo"
        error["details"] = [{"@type": kind, "retryDelay": f"{refusal.retry_after:.3f}s"}]
    return error


def usage_of(model: str, told: Mapping[str, Any]) -> Usage:
    """A ``usageMetadata`` object: what tools put into the prompt is input, thoughts are output."""
    thought = count(told.get("thoughtsTokenCount"))
    return Usage(
        model,
        count(told.get("promptTokenCount")) + count(told.get("toolUsePromptTokenCount")),
        count(told.get("candidatesTokenCount")) + thought,
        count(told.get("cachedContentTokenCount")),
        0,
        thought,
        _of_sound(told, "promptTokensDetails") + _of_sound(told, "toolUsePromptTokensDetails"),
        _of_sound(told, "candidatesTokensDetails"),
    )


def _of_sound(told: Mapping[str, Any], where: str) -> int:
    return sum(
        count(each.get("tokenCount"))
        for each in map(mapping, items(told.get(where)))
        if each.get("modality") == "AUDIO"
    )


def read(body: Mapping[str, Any]) -> Findings:
    """What is in a whole answer."""
    told = body.get("usageMetadata")
    usage = usage_of(text(body.get("modelVersion")), told) if isinstance(told, dict) else None
    return Findings("error" in body, usage, tuple(proposal for proposal, _ in Calls().take(body)))


def without(body: Mapping[str, Any], refused: Sequence[tuple[Proposal, str]]) -> dict[str, Any]:
    """A whole answer with a text part in the place of each refused proposal."""
    changed = copy.deepcopy(dict(body))
    take_out([changed], refused)
    return changed


class ContentStream:
    """Reads the chunks of one streamed answer: events, or items of an array where ``alt=sse`` was not asked for.

    ``asked_size``: bytes of the request, for an estimate.
    """

    def __init__(self, model: str, asked_size: int) -> None:
        self._model = model
        self._asked_size = asked_size
        self._told: Mapping[str, Any] | None = None
        self._unpaid = 0
        """Bytes of what was said since usage was last told, for an estimate."""
        self._finished = self._failed = self.overfull = False
        self._calls = Calls()
        self._ready: list[Proposal] = []
        self._proposed: list[Proposal] = []

    def read(self, event: Event) -> bool:
        """Take in one event; whether a proposal is not complete."""
        chunk = _chunk(event)
        self._model = text(chunk.get("modelVersion")) or self._model
        if isinstance(chunk.get("usageMetadata"), dict):
            self._told, self._unpaid = chunk["usageMetadata"], 0
        else:
            self._unpaid += sum(_size(part) for at in items(chunk.get("candidates")) for part in parts_of(at))
        self._failed = self._failed or "error" in chunk
        for candidate in items(chunk.get("candidates")):
            self._finished = self._finished or bool(mapping(candidate).get("finishReason"))
        self.overfull = self.overfull or len(self._proposed) + len(self._ready) + len(self._calls.open) > MOST_PROPOSALS
        if not self.overfull:
            self._ready += [proposal for proposal, _ in self._calls.take(chunk)]
        return bool(self._calls.open)

    def complete(self) -> tuple[Proposal, ...]:
        """The proposals that have become complete since this was last asked."""
        ready, self._ready = tuple(self._ready), []
        self._proposed += ready
        return ready

    def hidden(self, event: Event) -> bool:  # noqa: ARG002 - this API is not asked for anything more
        """Nothing in these streams is there for the gateway alone."""
        return False

    def without(self, held: Sequence[Event], refused: Sequence[tuple[Proposal, str]]) -> bytes:
        """The held events with a text part in the place of each refused proposal."""
        chunks = [_chunk(event) for event in held]
        changed = take_out(chunks, refused)
        return b"".join(
            event(dump(chunk)) if at in changed else was.raw
            for at, (was, chunk) in enumerate(zip(held, chunks, strict=True))
        )

    def correct(self, event: Event) -> bytes:
        """Nothing later tells of a call: the finish reason is STOP with it and without."""
        return event.raw

    def failed(self, refusal: Refusal) -> bytes:
        """A chunk with an error, at which the SDK raises where ``error`` is its first member."""
        return event(dump({"error": error_of(refusal)}))

    def found(self, *, complete: bool) -> Findings:
        """Usage as last told: every chunk tells it. From the bytes where one did not."""
        usage = usage_of(self._model, self._told or {})
        notes: tuple[str, ...] = ()
        if self._told is None or self._unpaid:
            usage = Usage(
                self._model,
                usage.input_tokens or tokens_of(self._asked_size),
                usage.output_tokens + tokens_of(self._unpaid),
                usage.cache_read_tokens,
                0,
                usage.reasoning_tokens,
                estimated=True,
            )
            notes = (f"usage estimated: {'the stream did not tell it' if complete else 'the stream was cut'}",)
        elif not complete and not self._finished:
            notes = ("usage as told before the stream was cut",)
        return Findings(self._failed, usage, (*self._proposed, *self._ready), notes=notes)

    def result(self, events: Sequence[Event]) -> dict[str, Any] | None:
        """The answer that the chunks make up: the last one, with the parts of all and texts joined."""
        chunks = [chunk for chunk in map(_chunk, events) if chunk]
        if not chunks:
            return None
        candidates: dict[int, dict[str, Any]] = {}
        whole: dict[str, Any] = {}
        for chunk in chunks:
            whole.update(chunk)
            for at, candidate in enumerate(items(chunk.get("candidates"))):
                index = mapping(candidate).get("index")
                _join(candidates.setdefault(index if isinstance(index, int) else at, {}), mapping(candidate))
        if candidates:
            whole["candidates"] = list(candidates.values())
        return whole


def _join(whole: dict[str, Any], candidate: Mapping[str, Any]) -> None:
    parts = parts_of(whole)
    for part in parts_of(candidate):
        last = parts[-1] if parts else {}
        alike = part.keys() <= {"text", "thought"} and last.keys() <= {"text", "thought"}
        if alike and "text" in part and "text" in last and part.get("thought") == last.get("thought"):
            parts[-1] = {**last, "text": text(last["text"]) + text(part["text"])}
        else:
            parts.append(part)
    whole.update(candidate)
    whole["content"] = {**mapping(candidate.get("content")), "parts": parts}


def _size(part: Mapping[str, Any]) -> int:
    """Bytes of what a part says."""
    said = part.get("text")
    return len(said.encode("utf-8", "surrogatepass")) if isinstance(said, str) else len(dump(part))


def _chunk(event: Event) -> dict[str, Any]:
    return mapping(members.load(event.data)) if event.data else {}
