"""Function calls that Gemini proposes, put together from parts, and taken out again.

A call is one part as a rule. Where arguments are streamed (``streamFunctionCallArguments``), a call is spread over
parts of several chunks: each tells values by their JSON path (``partialArgs``) until one lacks ``willContinue``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from gateway.model import Proposal
from gateway.understand.members import items, mapping, refused_text, text

_STEP = re.compile(r"\.([^.\[\]'\"*?]+)|\['([^'\\]+)'\]|\[\"([^\"\\]+)\"\]|\[(\d{1,6})\]")
_VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")

Part = dict[str, Any]


class _Open:
    """A call that has begun."""

    def __init__(self, call: Mapping[str, Any]) -> None:
        self.name, self.id = text(call.get("name")), text(call.get("id"))
        given = call.get("args")
        self.args: Any = {} if given is None else dict(given) if isinstance(given, dict) else None
        self.parts: list[Part] = []

    def grow(self, call: Mapping[str, Any]) -> None:
        for piece in items(call.get("partialArgs")):
            if self.args is not None and not _put(self.args, mapping(piece)):
                self.args = None  # not understood: rules see no arguments

    def proposal(self) -> Proposal:
        return Proposal(self.name, self.args if isinstance(self.args, dict) else None, self.id)


class Calls:
    """Finds the calls in the chunks of one answer, in order. A whole answer is one chunk."""

    def __init__(self) -> None:
        self.open: dict[Any, _Open] = {}
        """Calls that have begun and not ended, by the index of the candidate."""

    def take(self, chunk: Mapping[str, Any]) -> list[tuple[Proposal, list[Part]]]:
        """The calls that a chunk completes, each with the parts that make it."""
        done: list[_Open] = []
        for at, candidate in enumerate(items(chunk.get("candidates"))):
            index = mapping(candidate).get("index")
            index = index if isinstance(index, int) else at
            for part in parts_of(candidate):
                for spelling in ("functionCall", "function_call"):
                    if isinstance(call := part.get(spelling), dict):
                        done += self._call(index, part, call)
            if mapping(candidate).get("finishReason") and index in self.open:
                done.append(self.open.pop(index))
        return [(one.proposal(), one.parts) for one in done]

    def _call(self, index: Any, part: Part, call: Mapping[str, Any]) -> Iterator[_Open]:
        if index in self.open and call.get("name"):
            yield self.open.pop(index)  # another call begins: the one before never ended
        if index not in self.open:
            self.open[index] = _Open(call)
        self.open[index].grow(call)
        self.open[index].parts.append(part)
        if not call.get("willContinue"):
            yield self.open.pop(index)


def parts_of(candidate: Any) -> list[Part]:
    """The parts of a candidate's content."""
    parts = mapping(mapping(candidate).get("content")).get("parts")
    return [part for part in items(parts) if isinstance(part, dict)]


def take_out(chunks: Sequence[Mapping[str, Any]], refused: Sequence[tuple[Proposal, str]]) -> set[int]:
    """Put a text part in the place of each refused call. The chunks are changed; the positions of those that were."""
    calls = Calls()
    place: dict[int, int] = {}
    """Which chunk a part (by its id) is in."""
    changed: set[int] = set()
    gone: set[int] = set()
    for at, chunk in enumerate(chunks):
        place.update((id(part), at) for candidate in items(chunk.get("candidates")) for part in parts_of(candidate))
        for proposal, parts in calls.take(chunk):
            if (said := refused_text(proposal, refused)) is None:
                continue
            changed.update(place[id(part)] for part in parts)
            gone.update(id(part) for part in parts[1:])
            parts[0].clear()
            parts[0]["text"] = said
    for at in changed:
        for candidate in items(chunks[at].get("candidates")):
            content = mapping(mapping(candidate).get("content"))
            content["parts"] = [part for part in items(content.get("parts")) if id(part) not in gone]
    return changed


def _put(args: Any, piece: Mapping[str, Any]) -> bool:
    """Put one value at its path; a string goes on where the path has one already. False where that cannot be done."""
    steps = _steps(text(piece.get("jsonPath")))
    given = [name for name in _VALUES if name in piece]
    if not steps or len(given) != 1:
        return False
    value = None if given[0] == "nullValue" else piece[given[0]]
    holder = args
    for step, following in pairwise(steps):
        if not _fits(holder, step):
            return False
        if _missing(holder, step):
            _set(holder, step, [] if isinstance(following, int) else {})
        holder = holder[step]
    if not _fits(holder, steps[-1]):
        return False
    if _missing(holder, steps[-1]):
        _set(holder, steps[-1], value)
        return True
    before = holder[steps[-1]]
    if not isinstance(before, str) or not isinstance(value, str):
        return False
    holder[steps[-1]] = before + value
    return True


def _fits(holder: Any, step: str | int) -> bool:
    """Whether a holder has such steps; an array grows by one at a time."""
    return isinstance(holder, dict) if isinstance(step, str) else isinstance(holder, list) and step <= len(holder)


def _missing(holder: Any, step: Any) -> bool:
    return step not in holder if isinstance(holder, dict) else step == len(holder)


def _set(holder: Any, step: Any, value: Any) -> None:
    if isinstance(holder, dict):
        holder[step] = value
    else:
        holder.append(value)


def _steps(path: str) -> list[str | int]:
    """The steps of a JSON path (RFC 9535) that names one place, such as ``$.foo['bar'][0]``; else none."""
    steps: list[str | int] = []
    at = 1
    while at < len(path) and path[0] == "$":
        found = _STEP.match(path, at)
        if found is None:
            return []
        steps.append(int(found[4]) if found[4] else found[1] or found[2] or found[3])
        at = found.end()
    return steps
