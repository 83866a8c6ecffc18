"""What the plays gave, as tables of markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.simulate.measures import Measured

BEGIN, END = "<!-- simulate:begin -->", "<!-- simulate:end -->"


def table(played: Mapping[str, Measured]) -> str:
    """One column for each variant, one line for each figure."""
    names = list(next(iter(played.values())).figures)
    lines = ["| | " + " | ".join(played) + " |", "|---|" + "---:|" * len(played)]
    for name in names:
        lines.append(f"| {name} | " + " | ".join(_text(each.figures[name]) for each in played.values()) + " |")
    return "\n".join(lines)


def _text(value: float) -> str:
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"


def write(page: Path, sections: Sequence[str]) -> None:
    """Put the sections into the page, between its two marks.

    Raises:
        ValueError: the page has no such marks.
    """
    text = page.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no {BEGIN} ... {END}")
    page.write_text(f"{before}{BEGIN}\n" + "\n\n".join(sections) + f"\n{END}{after}")
