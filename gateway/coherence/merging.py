"""Two changes of one text made into one, where they do not touch each other: by paths where all are JSON objects, else
by lines (Khanna, Kunal, Pierce: "A Formal Investigation of Diff3", 2007).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from gateway.coherence import structure
from gateway.coherence.differences import bounded
from gateway.coherence.lines import Block, blocks


class Merge(Struct, frozen=True):
    """What came of it: a text, or why there is none."""

    text: str | None
    clash: str = ""
    """Where both have changed the same."""


def merged(base: str, ours: str, theirs: str) -> Merge:
    """``theirs`` stands, and was made of ``base``; so was ``ours``, which is to be written. What both changed in the
    same way is a clash too: two who each add one to five must not end at six. What both took out is none."""
    if ours == base:
        return Merge(theirs)
    if theirs == base:
        return Merge(ours)
    if ours == theirs:
        return Merge(None, "both have changed it in the same way")
    values = [structure.read(text) for text in (base, ours, theirs)]
    if all(isinstance(value, dict) for value in values):
        clashes: list[str] = []
        value = structure.combined(values[0], values[1], values[2], clashes)
        if clashes:
            return Merge(None, bounded(f"both have changed {path}" for path in clashes))
        return Merge(structure.write(value, ours))
    if any(value is not structure.MISSING for value in values):
        return Merge(None, "both have changed a list, or what is no JSON object any more")
    return _by_lines(base.splitlines(True), ours.splitlines(True), theirs.splitlines(True))


def _by_lines(base: Sequence[str], ours: Sequence[str], theirs: Sequence[str]) -> Merge:
    one, other = blocks(base, ours), blocks(base, theirs)
    if one is None or other is None:
        return Merge(None, "both have changed most of it")
    found: list[str] = []
    clashes: list[str] = []
    at = mine = yours = 0
    for start, end, left, right in _kept_by_both(one, other):
        was, have, stands = base[at:start], ours[mine:left], theirs[yours:right]
        if have == was or not (have or stands):
            found += stands
        elif stands == was:
            found += have
        else:
            clashes += _clash(yours, have, stands)
        found += base[start:end]
        at, mine, yours = end, left + end - start, right + end - start
    return Merge(None, bounded(iter(clashes))) if clashes else Merge("".join(found))


def _kept_by_both(one: Sequence[Block], other: Sequence[Block]) -> Iterator[tuple[int, int, int, int]]:
    """Runs of lines of the base that both have kept: start and end in it, and where they begin in each; the last is
    empty, at the end of all."""
    i = j = 0
    while i < len(one) and j < len(other):
        a, b = one[i], other[j]
        start, end = max(a.left, b.left), min(a.left + a.length, b.left + b.length)
        if start < end or (i == len(one) - 1 and j == len(other) - 1):
            yield start, end, a.right + start - a.left, b.right + start - b.left
        if j == len(other) - 1 or (i < len(one) - 1 and a.left + a.length <= b.left + b.length):
            i += 1
        else:
            j += 1


def _clash(line: int, ours: Sequence[str], theirs: Sequence[str]) -> Iterator[str]:
    yield f"@@ line {line + 1} of what stands, and what you would write there @@"
    yield from (f"-{text.rstrip()}" for text in theirs)
    yield from (f"+{text.rstrip()}" for text in ours)
