"""What has changed of a text, for models and people: short, whatever was written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from gateway.coherence import structure
from gateway.coherence.lines import Block, blocks

MOST_LINES = 40
MOST_CHARACTERS = 2_000
LONGEST_LINE = 200
_CONTEXT = 2
"""Lines around a change that are shown too."""


def difference(before: str, after: str) -> str:
    """The difference: of JSON objects and arrays the paths at which they differ (``- path: old``, ``+ path: new``), of
    other texts a unified diff without its head. Empty where they are the same."""
    if before == after:
        return ""
    one, other = structure.read(before), structure.read(after)
    if one is not structure.MISSING and type(one) is type(other):
        return bounded(_of_paths(one, other)) or "the same JSON, written otherwise"
    left, right = before.splitlines(), after.splitlines()
    common = blocks(left, right)
    if common is None:
        return f"most of it: {len(before)} characters before, {len(after)} now"
    return bounded(_unified(left, right, common)) or "only ends of lines"


def bounded(lines: Iterator[str]) -> str:
    """The first of the lines, as many as may be shown."""
    shown: list[str] = []
    room = MOST_CHARACTERS
    for line in islice(lines, MOST_LINES):
        short = line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}..."
        room -= len(short) + 1
        if room < 0:
            break
        shown.append(short)
    else:
        if next(lines, None) is None:
            return _plain(shown)
    return _plain([*shown, "... and more"])


def _plain(lines: list[str]) -> str:
    """Without lone surrogates, which JSON can hold and no answer can."""
    return "\n".join(lines).encode("utf-8", "replace").decode("utf-8")


def _of_paths(before: Any, after: Any) -> Iterator[str]:
    for path, old, new in structure.changes(before, after):
        if old is not structure.MISSING:
            yield f"- {path}: {json.dumps(old, ensure_ascii=False)}"
        if new is not structure.MISSING:
            yield f"+ {path}: {json.dumps(new, ensure_ascii=False)}"


def _unified(left: Sequence[str], right: Sequence[str], common: Sequence[Block]) -> Iterator[str]:
    x = y = 0
    for block in common:
        if block.left > x or block.right > y:
            yield f"@@ line {y + 1} @@"
            yield from (f" {line}" for line in left[max(0, x - _CONTEXT) : x])
            yield from (f"-{line}" for line in left[x : block.left])
            yield from (f"+{line}" for line in right[y : block.right])
            yield from (f" {line}" for line in left[block.left : block.left + min(_CONTEXT, block.length)])
        x, y = block.left + block.length, block.right + block.length
