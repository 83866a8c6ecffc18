"""Tables of what a running gateway says, and spans of time for people. Names are strangers' text: made visible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.policy.visible import visible

_UNITS = ((86400, "d"), (3600, "h"), (60, "m"))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines in columns; only the head where there are no rows."""
    shown = [[visible(cell).replace("\n", "\\n").replace("\t", "\\t") for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in shown) for column in range(len(head))]
    for row in shown:
        yield "  ".join([cell.ljust(width) for cell, width in zip(row, widths, strict=True)]).rstrip()


def span(seconds: float | None) -> str:
    """``45s``, ``12m``, ``3h20m``, ``2d4h``; ``-`` for None."""
    if seconds is None:
        return "-"
    left = max(0, round(seconds))
    for number, (size, unit) in enumerate(_UNITS):
        if left >= size:
            whole, rest = divmod(left, size)
            smaller = _UNITS[number + 1] if number + 1 < len(_UNITS) else (1, "s")
            part = rest // smaller[0]
            return f"{whole}{unit}" + (f"{part}{smaller[1]}" if part and number + 1 < len(_UNITS) else "")
    return f"{left}s"
