"""Which calls of a tool touch which keys, and what their answers tell. Implements ``shape.MemoryMap``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.coherence.answers import Hears
from gateway.coherence.declared import Declared, DeclaredRead, DeclaredWrite
from gateway.coherence.reads import Reading
from gateway.coherence.selectors import NO_PATH, About
from gateway.coherence.writes import Writing
from gateway.model import Answered, Call, Fields, How, Learnt, Outcome, Touch

_Entry = tuple[DeclaredRead | DeclaredWrite | None, Mapping[str, str]]
_NOTHING: _Entry = (None, NO_PATH)
_MOST, _LONGEST = 1024, 512
"""Requests whose entry is remembered, and how long they may be: agents choose them."""


class ToolMemory:
    """What one tool's ``memory:`` section says.

    A batch is not looked into: nothing is learnt from its answer, and what became of its writes is not known.
    """

    def __init__(self, declared: Declared, hears: Hears) -> None:
        """``hears`` reads answers of the tool's protocol."""
        self.declared, self._hears = declared, hears
        self._known: dict[tuple[str, str, str], _Entry] = {}

    def touches(self, call: Call) -> tuple[Touch, ...]:
        """What the call touches, as far as its arguments tell. Raises Refused where a write's key cannot be told."""
        writing = self._writing(call)
        if writing is not None:
            return writing.touches(self.declared.max_age)
        reading = self._reading(call)
        if reading is None:
            return ()
        return tuple([Touch(self.declared.name, key, max_age=self.declared.max_age) for key in reading.named()])

    def hears(self, call: Call) -> bool:
        """Whether something is to be learnt from the body of the call's answer."""
        if call.parts:
            return False
        writing = self._writing(call)
        return self._reading(call) is not None if writing is None else writing.reads_answer

    def ends(self, call: Call, answered: Answered, body: bytes) -> bool:
        """Whether the body holds the answer to the call already, whatever else may come (a stream of events)."""
        return self._hears(call, answered, body) is not None

    def learnt(self, call: Call, answered: Answered, body: bytes | None) -> tuple[Learnt, ...]:
        """What a read's answer tells of keys."""
        reading = None if call.parts or self._writing(call) is not None else self._reading(call)
        return () if reading is None else reading.learnt(answered, body, self._hears)

    def creates(self, call: Call) -> bool:
        """Whether the call writes keys that only its answer names."""
        writing = None if call.parts else self._writing(call)
        return writing is not None and writing.creates

    def wrote(self, call: Call, answered: Answered | None, outcome: Outcome, body: bytes | None) -> How | None:  # noqa: ARG002 - the head says more than how it ended
        """What became of a write; None: it has not happened, for certain."""
        writing = self._writing(call)
        if writing is not None and not call.parts:
            return writing.became(answered, body, self._hears)
        refused = answered is not None and 400 <= answered.status < 500
        return None if refused else How.UNKNOWN

    def made(self, call: Call, answered: Answered, body: bytes | None) -> tuple[Learnt, ...]:
        """What a write's answer tells of the state that it has made."""
        writing = None if call.parts else self._writing(call)
        return () if writing is None else writing.made(answered, body, self._hears)

    def ours(self, call: Call) -> str | None:
        """What a write would have stand there, as text."""
        writing = self._writing(call)
        return None if writing is None else writing.ours()

    def rewritten(self, call: Call, text: str) -> Mapping[str, Any] | None:
        """The call's arguments with this text in the place of what it would write."""
        writing = self._writing(call)
        return None if writing is None else writing.rewritten(text)

    def conditions(self, call: Call) -> Fields:
        """Fields by which the store itself refuses a write that is not based on what stands there."""
        writing = None if call.parts else self._writing(call)
        return () if writing is None else writing.conditions()

    def _writing(self, call: Call) -> Writing | None:
        declared, path = self._declared_for(call)
        return Writing(self.declared.name, declared, About(call, path)) if type(declared) is DeclaredWrite else None

    def _reading(self, call: Call) -> Reading | None:
        declared, path = self._declared_for(call)
        return Reading(self.declared.name, declared, About(call, path)) if type(declared) is DeclaredRead else None

    def _declared_for(self, call: Call) -> _Entry:
        """The entry that is about the call, and the values of the names in its path."""
        key = (call.request.method, call.operation, call.target)
        entry = self._known.get(key)
        if entry is None:
            entry = self._look_up(call)
            if len(call.operation) + len(call.target) <= _LONGEST:
                if len(self._known) >= _MOST:
                    self._known.clear()
                self._known[key] = entry
        return _NOTHING if call.implied else entry

    def _look_up(self, call: Call) -> _Entry:
        for write in self.declared.writes:
            if (path := write.operations.match(call)) is not None:
                return write, path
        method = "GET" if call.request.method == "HEAD" else ""
        for read in self.declared.reads:
            if (path := read.operations.match(call, method)) is not None:
                return read, path
        return _NOTHING
