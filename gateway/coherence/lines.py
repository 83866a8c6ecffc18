"""What two texts have in common, line by line: the greedy algorithm of E. Myers, "An O(ND) Difference Algorithm and Its
Variations" (1986). Its time is bounded by how much may differ, whoever wrote the texts.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

MOST_EDITS = 200
"""Lines that are gone or new; texts that differ in more are not compared."""


class Block(Struct, frozen=True):
    """A run of lines that is in both texts."""

    left: int
    """Where it begins in the first, counted from 0."""
    right: int
    length: int


def blocks(left: Sequence[str], right: Sequence[str], most: int = MOST_EDITS) -> list[Block] | None:
    """What both have in common, in order, ended by an empty block at the end of both; None where more than ``most``
    lines are gone or new."""
    ids: dict[str, int] = {}
    a = [ids.setdefault(line, len(ids)) for line in left]
    b = [ids.setdefault(line, len(ids)) for line in right]
    if not a or not b:
        return [Block(len(a), len(b), 0)] if len(a) + len(b) <= most else None
    paths = _furthest(a, b, most)
    if paths is None:
        return None
    return [*_joined(_pairs(paths, len(a), len(b))), Block(len(a), len(b), 0)]


def _furthest(a: list[int], b: list[int], most: int) -> list[dict[int, int]] | None:
    """For each number of edits, how far each diagonal came before it; None where the end is not reached."""
    reached = {1: 0}
    before: list[dict[int, int]] = []
    for edits in range(most + 1):
        before.append(dict(reached))
        for diagonal in range(-edits, edits + 1, 2):
            x = _step(reached, diagonal, edits)
            y = x - diagonal
            while x < len(a) and y < len(b) and a[x] == b[y]:
                x, y = x + 1, y + 1
            reached[diagonal] = x
            if x >= len(a) and y >= len(b):
                return before
    return None


def _step(reached: dict[int, int], diagonal: int, edits: int) -> int:
    """Where the best path along this diagonal begins: after a line that is new, or one that is gone."""
    if diagonal == -edits or (diagonal != edits and reached[diagonal - 1] < reached[diagonal + 1]):
        return reached[diagonal + 1]
    return reached[diagonal - 1] + 1


def _pairs(before: list[dict[int, int]], x: int, y: int) -> list[tuple[int, int]]:
    """The lines that the path to the end has in common, found from its end back."""
    found: list[tuple[int, int]] = []
    for edits in range(len(before) - 1, -1, -1):
        reached, diagonal = before[edits], x - y
        down = diagonal == -edits or (diagonal != edits and reached[diagonal - 1] < reached[diagonal + 1])
        start = reached[diagonal + 1] if down else reached[diagonal - 1] + 1
        while x > start:
            x, y = x - 1, y - 1
            found.append((x, y))
        x, y = (x, y - 1) if down else (x - 1, y)
    return found[::-1]


def _joined(pairs: list[tuple[int, int]]) -> list[Block]:
    found: list[list[int]] = []
    for x, y in pairs:
        if found and found[-1][0] + found[-1][2] == x and found[-1][1] + found[-1][2] == y:
            found[-1][2] += 1
        else:
            found.append([x, y, 1])
    return [Block(*one) for one in found]
