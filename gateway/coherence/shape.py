"""What one tool's ``memory:`` section says, as the way of a call asks it. Quiet; ``memory_map.py`` implements it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from gateway.model import Answered, Call, Fields, How, Learnt, Outcome, Touch


class MemoryMap(Protocol):
    """Which calls of a tool touch which keys, and what their answers tell."""

    def touches(self, call: Call) -> tuple[Touch, ...]:
        """What the call touches, as far as its arguments tell. Raises Refused where a write's key cannot be told."""

    def hears(self, call: Call) -> bool:
        """Whether something is to be learnt from the body of the call's answer."""

    def ends(self, call: Call, answered: Answered, body: bytes) -> bool:
        """Whether the body holds the answer to the call already, whatever else may come (a stream of events)."""

    def learnt(self, call: Call, answered: Answered, body: bytes | None) -> tuple[Learnt, ...]:
        """What a read's answer tells of keys (also of such that only the answer names); ``body`` is all of it, or None
        where it was not heard, or is too long. Nothing where it tells nothing (an error)."""

    def creates(self, call: Call) -> bool:
        """Whether the call writes keys that only its answer names (a new note's id)."""

    def wrote(self, call: Call, answered: Answered | None, outcome: Outcome, body: bytes | None) -> How | None:
        """What became of a write; None: it has not happened, for certain. FOUND: it has not, since its store knows that
        something else stands there."""

    def made(self, call: Call, answered: Answered, body: bytes | None) -> tuple[Learnt, ...]:
        """What a write's answer tells of the state that it has made: versions, text; of keys that only the answer
        names, too (a new note's id)."""

    def ours(self, call: Call) -> str | None:
        """What a write would have stand there, as the text of a ``Change`` is; None where that cannot be told, or the
        call writes more than one key."""

    def rewritten(self, call: Call, text: str) -> Mapping[str, Any] | None:
        """The call's arguments with this text in the place of what it would write; None where that cannot be done."""

    def conditions(self, call: Call) -> Fields:
        """Fields by which the store itself refuses a write that is not based on what stands there (RFC 9110, 13.1)."""
