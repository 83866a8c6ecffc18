"""Tables of what a running gateway says, and spans of time for people. Names are strangers' text: made visible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from gateway.policy.visible import visible

_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines in columns; only the head where there are no rows."""
    shown = [[visible(cell).replace("\n", "\\n").replace("\t", "\\t") for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in shown) for column in range(len(head))]
    for row in shown:
        yield "  ".join([cell.ljust(width) for cell, width in zip(row, widths, strict=True)]).rstrip()


def span(seconds: float | None) -> str:
    """``45s``, ``12m5s``, ``3h20m``, ``2d4h``; ``-`` for None."""
    if seconds is None:
        return "-"
    left = max(0, round(seconds))
    for (size, unit), (smaller, part) in pairwise(_UNITS):
        if left >= size:
            rest = left % size // smaller
            return f"{left // size}{unit}" + (f"{rest}{part}" if rest else "")
    return f"{left}s"
