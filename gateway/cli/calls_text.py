"""Calls for people: one line each, coloured on a terminal. What strangers wrote is made visible first."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from gateway.observe.store.found import Row
from gateway.policy.visible import visible

_WIDEST = 40
"""Characters that a column is padded to, at most."""
_LONGEST = 300
_UNLIMITED = 100_000


def console() -> Console:
    """Standard output: with colours and wrapped on a terminal, else plain and one line each."""
    if sys.stdout.isatty():
        return Console(highlight=False, markup=False, emoji=False)
    return Console(highlight=False, markup=False, emoji=False, color_system=None, width=_UNLIMITED)


def plain(text: object) -> str:
    """Text on one line, with nothing hidden in it."""
    shown = visible(str(text)).replace("\n", "\\n").replace("\t", "\\t")
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 3] + "..."


def moment_of(seconds: float) -> str:
    """A time as records have it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def printer(rows: Sequence[Row] = ()) -> Callable[[Row], None]:
    """Prints a call; columns are as wide as these rows need."""
    out = console()
    widths = [_width(rows, _agent), _width(rows, _operation)]

    def tell(row: Row) -> None:
        line = Text(f"{moment_of(row.at)}  ")
        line.append(_agent(row).ljust(widths[0]) + "  ")
        line.append(_operation(row).ljust(widths[1]) + "  ", "bold")
        line.append(verdict(row))
        line.append(f"  {measures(row)}  ", "dim")
        line.append(f"run {plain(row.run)}  " * (row.run is not None) + row.call, "dim")
        out.print(line, soft_wrap=True)

    return tell


def verdict(row: Row) -> Text:
    """What was decided, and what came of it, in few words and a colour."""
    if row.decision is None:
        return Text(f"left {row.status}", "yellow")
    if row.decision == "refuse":
        by = f" by {plain(row.rule)}" if row.rule else ""
        return Text(f"refuse {row.status} {plain(row.reason)}{by}", "red")
    if row.failed:
        broke = f" {plain(row.fault)}" if row.fault else " error" if row.is_error else ""
        return Text(f"allow {row.status}{broke}", "yellow")
    return Text(f"allow {row.status}", "green")


def measures(row: Row) -> str:
    """How long it took, and what it cost."""
    return duration(row.total_ms / 1e3) + (f"  {usd(row.cost_usd)}" if row.cost_usd else "")


def duration(seconds: float) -> str:
    """``12 ms``, ``3.4 s``, ``5 min 02 s``."""
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def usd(dollars: float) -> str:
    """An amount, with as many digits as small ones need."""
    return f"{dollars:.2f} USD" if dollars >= 1 else f"{dollars:.4g} USD"


def _agent(row: Row) -> str:
    return plain(row.agent or "-")


def _operation(row: Row) -> str:
    return plain(f"{row.tool or '-'} {row.operation or '-'}")


def _width(rows: Sequence[Row], text: Callable[[Row], Any]) -> int:
    return min(_WIDEST, max((len(text(row)) for row in rows), default=0))
