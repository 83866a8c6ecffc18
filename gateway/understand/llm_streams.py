"""Answers of models that come as events: tapped as they pass, or held where policies look at them."""

from __future__ import annotations

import re

from msgspec import structs

from gateway.model import Findings, Proposal, Refusal
from gateway.policy.redaction import redact
from gateway.understand import sse
from gateway.understand.dialect import MOST_PROPOSALS
from gateway.understand.llm_exchange import MOST_READ, UNMASKED, Exchange, judge_proposals, shown, unreadable
from gateway.understand.members import dump, load
from gateway.understand.reader import Judge
from gateway.understand.sse import ODD_LINE_ENDS, Event, EventParser

_OTHER = rb"(?:(?::|event:|id:|retry:)[ -~]*+\r?\n)*+"
_REGULAR = re.compile(_OTHER + rb"(?:data:[^\r\n]*+(?:\r?\n|\Z)" + _OTHER + rb")?(?:\r?\n)?")
"""An event with at most one line of data, and nothing beside it that could be taken for data."""
_DONE, _NAME = b"[DONE]", re.compile(r"[\w.-]*", re.ASCII)


def _unmistakable(came: Event) -> Event:
    """An event of a judged stream so that all clients read it as it was judged: as it came, if it is in the usual form.

    Some clients (google-genai) take lines without a field for data, or each line of data for a message, and some
    (Python's ``splitlines``) end lines at other characters. What is no JSON is left out: some clients read more
    than we do (JavaScript's parser has no bound on depth).
    """
    odd = ODD_LINE_ENDS.search(came.raw) is not None
    regular = _REGULAR.fullmatch(came.raw) is not None
    if came.data.strip() in (_DONE, b"null"):
        return came if regular and not odd else Event(sse.event(came.data.strip()), "", came.data)
    value = load(came.data) if came.data else None
    if regular and (value is not None or not (came.data or odd)):
        return came
    if value is None:
        return Event(b"")
    name = came.name if _NAME.fullmatch(came.name) else ""
    return Event(sse.event(dump(value), name), name, came.data)


class _Kept:
    """The events of an answer, kept for the result that rules see; forgotten where they become too many."""

    def __init__(self, *, wanted: bool) -> None:
        self._events: list[Event] | None = [] if wanted else None
        self._size = 0

    def add(self, event: Event) -> None:
        if self._events is None:
            return
        self._size += len(event.raw)
        if self._size > MOST_READ:
            self._events = None
        else:
            self._events.append(event)

    @property
    def events(self) -> list[Event] | None:
        return self._events


class TappedStream:
    """Events that no policy looks at: they pass as they come.

    Where the body that was sent is not the agent's, the gateway may have asked for an event of its own: then whole
    events pass, without that one.
    """

    whole = False

    def __init__(self, exchange: Exchange, judge: Judge) -> None:
        self.rewrites = exchange.sent is not exchange.raw
        self._stream = exchange.endpoint.stream(exchange.asked, exchange.raw, exchange.sent)
        self._parser = EventParser(MOST_READ)
        self._kept = _Kept(wanted=judge.wants_result)
        self._ended = False

    def feed(self, data: bytes) -> bytes:
        """The bytes as they came, or those of the events that they complete."""
        passed = self._take(self._parser.feed(data))
        return passed if self.rewrites else data

    def end(self) -> bytes:
        """What is left of an event that was cut, where whole events pass."""
        self._ended = True
        passed = self._take(self._parser.end())
        return passed if self.rewrites else b""

    def _take(self, events: list[Event]) -> bytes:
        passed = []
        for event in events:
            self._stream.read(event)
            self._kept.add(event)
            if self.rewrites and not self._stream.hidden(event):
                passed.append(event.raw)
        return b"".join(passed)

    def found(self) -> Findings:
        """What was read so far."""
        found = self._stream.found(complete=self._ended)
        if self._parser.overflow:
            found = structs.replace(found, notes=(*found.notes, f"events over {MOST_READ} bytes were not read"))
        if self._kept.events is not None:
            found = structs.replace(found, result=self._stream.result(self._kept.events))
        return found

    def failed(self, refusal: Refusal) -> bytes:
        """Events that end the stream with an error in the provider's shape."""
        return self._stream.failed(refusal)

    def refusal(self) -> Refusal | None:
        """None: it is passed on."""
        return None


class JudgedStream:
    """Events that policies look at.

    Where rules look at proposals only, events pass as they come, except those that belong to a proposal: they are held
    until it is complete and judged. Where rules look at the result, all are held to the end (``whole``).
    """

    rewrites = True

    def __init__(self, exchange: Exchange, judge: Judge) -> None:
        self.whole = judge.reads_result
        self._exchange, self._judge = exchange, judge
        self._stream = exchange.endpoint.stream(exchange.asked, exchange.raw, exchange.sent)
        self._parser = EventParser(MOST_READ)
        self._kept = _Kept(wanted=judge.wants_result)
        self._held: list[Event] = []
        self._held_size = 0
        self._undecided: list[Proposal] = []
        self._proposed: list[Proposal] = []
        self._out: list[bytes] = []
        self._refusal: Refusal | None = None
        self._denied: Refusal | None = None
        self._corrects = self._broken = self._ended = False

    def feed(self, data: bytes) -> bytes:
        """The bytes of the events that may pass now."""
        return self._passed(self._take(self._parser.feed(data)))

    def end(self) -> bytes:
        """What is left for the agent. A proposal that never became complete stays held back."""
        last = self._take(self._parser.end())
        self._ended = True
        if not self.whole:
            return last
        self._out.append(last)
        found = self.found()
        self._denied = (
            self._refusal if self._broken else self._judge.result(self._exchange.answered.status, shown(found))
        )
        if self._denied is None and found.result is not None and redact(found.result, self._judge.fields)[1]:
            self._denied = UNMASKED
        return b"".join(self._out) if self._denied is None else b""

    def _passed(self, data: bytes) -> bytes:
        if not self.whole:
            return data
        self._out.append(data)
        return b""

    def _take(self, events: list[Event]) -> bytes:
        if self._broken:
            return b""
        passed = []
        for event in events:
            passed.append(self._next(_unmistakable(event)))
            if self._overfull:
                break
        if self._overfull or self._parser.overflow or self._held_size > MOST_READ:
            self._broken = True
            what = "proposes too many calls" if self._overfull else "has an event that is too long"
            self._refusal = unreadable(f"the tool's answer {what}")
            return self._stream.failed(self._refusal)
        return b"".join(passed)

    @property
    def _overfull(self) -> bool:
        return self._stream.overfull or len(self._proposed) + len(self._undecided) > MOST_PROPOSALS

    def _next(self, event: Event) -> bytes:
        """What passes with this event: nothing while it has to be held, then all that was held with it."""
        pending = self._stream.read(event)
        completed = self._stream.complete()
        self._undecided += completed
        self._kept.add(event)
        hidden = self._stream.hidden(event)
        if not (pending or self._undecided or self._held):
            if hidden:
                return b""
            return self._stream.correct(event) if self._corrects else event.raw
        if not hidden:
            self._held.append(event)
            self._held_size += len(event.raw)
        if pending or self._overfull:
            return b""
        held, self._held, self._held_size = self._held, [], 0
        return self._release(held)

    def _release(self, held: list[Event]) -> bytes:
        verdicts = judge_proposals(self._judge, self._undecided)
        self._undecided = []
        self._proposed += verdicts.proposed
        self._refusal = self._refusal or verdicts.refusal
        if verdicts.refused or self._corrects:
            self._corrects = True
            return self._stream.without(held, verdicts.refused)
        return b"".join([event.raw for event in held])

    def found(self) -> Findings:
        """What was read so far, with what became of the proposals."""
        found = self._stream.found(complete=self._ended)
        notes = found.notes
        if self._held:
            notes = (*notes, "a proposal was held back: the answer ended before it was complete")
        result = None if self._kept.events is None else self._stream.result(self._kept.events)
        return structs.replace(
            found, proposed=tuple(self._proposed), refusal=self._denied or self._refusal, notes=notes, result=result
        )

    def failed(self, refusal: Refusal) -> bytes:
        """Events that end the stream with an error in the provider's shape."""
        return self._stream.failed(refusal)

    def refusal(self) -> Refusal | None:
        """Of a ``whole`` answer: what the agent gets instead of it, or None."""
        return self._denied
