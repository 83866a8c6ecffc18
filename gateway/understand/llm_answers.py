"""Answers of models: usage and proposals are read, and held against the policies where some look at them.

What no policy looks at is tapped: its bytes pass as they come. See ``llm_streams.py`` for answers in events.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import structs

from gateway.model import Findings, Proposal, Refusal
from gateway.policy.redaction import redact, told
from gateway.understand.dialect import MOST_PROPOSALS
from gateway.understand.llm_exchange import CUT, MOST_READ, UNMASKED, Exchange, judge_proposals, shown, unreadable
from gateway.understand.llm_streams import JudgedStream, TappedStream
from gateway.understand.members import dump, load
from gateway.understand.reader import Answer, Judge
from gateway.understand.sse import Event

_TAIL = 4096
_USAGE = re.compile(rb'"usage"\s*:\s*(\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})')
"""A usage object with objects of one level in it, as all providers have."""


def answer_of(exchange: Exchange, judge: Judge) -> Answer:
    """How this answer is read."""
    judged = judge.reads_result or judge.reads_proposals
    encoding = exchange.answered.content_encoding.strip().lower()
    if encoding not in ("", "identity"):
        return Unreadable(exchange, encoding) if judged else Unread(exchange, encoding)
    kind = exchange.answered.content_type.partition(";")[0].strip().lower()
    if kind == "text/event-stream":
        return JudgedStream(exchange, judge) if judged else TappedStream(exchange, judge)
    return JudgedBody(exchange, judge) if judged else TappedBody(exchange, judge)


class Unread:
    """An answer that cannot be read, and that no policy looks at."""

    rewrites = whole = False

    def __init__(self, exchange: Exchange, why: str) -> None:
        self._exchange, self._why, self._seen = exchange, why, 0

    def feed(self, data: bytes) -> bytes:
        """The bytes as they came."""
        self._seen += len(data)
        return data

    def end(self) -> bytes:
        """Nothing more."""
        return b""

    def found(self) -> Findings:
        """An estimate by what was seen: less than it cost, where it is compressed."""
        return self._exchange.estimate(self._seen, f"usage estimated, answer not read: {self._why}")

    def refusal(self) -> Refusal | None:
        """None: it is passed on."""
        return None


class Unreadable(Unread):
    """An answer that cannot be read, and that a policy would have to look at: refused."""

    rewrites = whole = True

    def feed(self, data: bytes) -> bytes:
        """Nothing is passed on."""
        self._seen += len(data)
        return b""

    def found(self) -> Findings:
        """An estimate, and the refusal."""
        return structs.replace(super().found(), refusal=self.refusal())

    def refusal(self) -> Refusal:
        """502: the tool's answer cannot be held against the policies."""
        return unreadable(f"the tool's answer is encoded ({self._why}), though it was asked for a plain one")


class TappedBody:
    """A whole answer that no policy looks at: its bytes pass as they come, and are read at its end."""

    rewrites = whole = False

    def __init__(self, exchange: Exchange, judge: Judge) -> None:
        self._exchange, self._judge = exchange, judge
        self._parts: list[bytes] = []
        self._tail = b""
        self._seen = 0
        self._found: Findings | None = None

    def feed(self, data: bytes) -> bytes:
        """The bytes as they came."""
        self._seen += len(data)
        if self._seen <= MOST_READ:
            self._parts.append(data)
        else:
            self._parts.clear()
            self._tail = (self._tail + data)[-_TAIL:]
        return data

    def end(self) -> bytes:
        """Nothing more; what came is read now."""
        if self._seen > MOST_READ:
            self._found = self._by_its_tail()
            return b""
        value = load(b"".join(self._parts))
        self._parts.clear()
        found = read_whole(self._exchange, value, self._seen)
        if self._judge.wants_result and isinstance(value, dict):
            found = structs.replace(found, result=value)
        self._found = found
        return b""

    def _by_its_tail(self) -> Findings:
        """Of an answer too long to be read, the usage, which providers put last (many embeddings are that long)."""
        told = _USAGE.findall(self._tail)
        usage = load(told[-1]) if told else None
        if isinstance(usage, dict):
            found = self._exchange.endpoint.answer({"model": self._exchange.asked.model, "usage": usage})
            if found.usage is not None:
                return structs.replace(found, notes=(f"only the usage was read: over {MOST_READ} bytes",))
        return self._exchange.estimate(self._seen, f"usage estimated, answer not read: over {MOST_READ} bytes")

    def found(self) -> Findings:
        """What was read; an estimate where the answer was cut off."""
        return self._found or self._exchange.estimate(self._seen, CUT)

    def refusal(self) -> Refusal | None:
        """None: it is passed on."""
        return None


def read_whole(exchange: Exchange, value: Any, seen: int) -> Findings:
    """What stands in an answer that is not streamed, or is an array of what would be streamed (Gemini)."""
    if isinstance(value, list):
        stream = exchange.endpoint.stream(exchange.asked, exchange.raw, exchange.sent)
        proposed: list[Proposal] = []
        for entry in value:
            stream.read(Event(b"", "", dump(entry)))
            proposed += stream.complete()
        return structs.replace(stream.found(complete=True), proposed=tuple(proposed))
    if not isinstance(value, dict):
        return exchange.estimate(seen, "usage estimated, answer not read: it is not JSON")
    found = exchange.endpoint.answer(value)
    if found.usage is None and exchange.endpoint.metered != "nothing":
        guess = exchange.estimate(seen, "usage estimated: the answer does not tell it")
        return structs.replace(found, usage=guess.usage, notes=found.notes + guess.notes)
    return found


class JudgedBody:
    """A whole answer that policies look at: nothing passes before they have spoken."""

    rewrites = whole = True

    def __init__(self, exchange: Exchange, judge: Judge) -> None:
        self._exchange, self._judge = exchange, judge
        self._parts: list[bytes] = []
        self._seen = 0
        self._found: Findings | None = None
        self._refusal: Refusal | None = None

    def feed(self, data: bytes) -> bytes:
        """Nothing yet. The pipeline bounds what is fed."""
        self._seen += len(data)
        self._parts.append(data)
        return b""

    def end(self) -> bytes:
        """The body for the agent: as it came, or without the proposals that were refused."""
        body = b"".join(self._parts)
        self._parts.clear()
        value = load(body)
        found = read_whole(self._exchange, value, self._seen)
        if not isinstance(value, dict | list):
            return self._refuse(found, unreadable("the tool's answer is not JSON"))
        if self._judge.reads_proposals and len(found.proposed) > MOST_PROPOSALS:
            found = structs.replace(found, proposed=found.proposed[:MOST_PROPOSALS])
            return self._refuse(found, unreadable("the tool's answer proposes too many calls"))
        verdicts = judge_proposals(self._judge, found.proposed)
        found = structs.replace(found, proposed=verdicts.proposed, refusal=verdicts.refusal)
        if verdicts.refused:
            if isinstance(value, list):
                return self._refuse(found, verdicts.refusal)
            value = self._exchange.endpoint.without(value, verdicts.refused)
            body = dump(value)
        if self._judge.wants_result:
            found = structs.replace(found, result=_as_result(self._exchange, value))
        if (refusal := self._judge.result(self._exchange.answered.status, shown(found))) is not None:
            return self._refuse(found, refusal)
        if self._judge.fields and found.result is not None:
            masked, led = redact(found.result, self._judge.fields)
            if led and isinstance(value, list):
                return self._refuse(found, UNMASKED)
            body = dump(masked) if led else body
            found = structs.replace(found, notes=found.notes + told(led))
        self._found = found
        return body

    def _refuse(self, found: Findings, refusal: Refusal | None) -> bytes:
        self._refusal = refusal
        self._found = structs.replace(found, refusal=refusal)
        return b""

    def found(self) -> Findings:
        """What was read; an estimate where the answer was cut off."""
        return self._found or self._exchange.estimate(self._seen, CUT)

    def refusal(self) -> Refusal | None:
        """What the agent gets instead of the answer, or None."""
        return self._refusal


def _as_result(exchange: Exchange, value: Any) -> Mapping[str, Any] | None:
    if isinstance(value, dict):
        return value
    stream = exchange.endpoint.stream(exchange.asked, exchange.raw, exchange.sent)
    return stream.result([Event(b"", "", dump(entry)) for entry in value])
