"""Where things lie in a plot, for templates that draw them as SVG. Widths and heights are the plot's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import floor, log10

from msgspec import Struct


class Bar(Struct, frozen=True):
    """A stretch of time in a histogram: its column, and how high each of its parts is, from the bottom."""

    x: float
    width: float
    calls: float
    refused: float
    failed: float
    at: float
    told: tuple[int, int, int]
    """Calls, refused, failed."""


class Stay(Struct, frozen=True):
    """Where a call lies in a run's time, in percent: until it was decided on, and from then until its end."""

    begin: float
    waited: float
    width: float


def bars(stretches: Sequence[object], width: float, height: float) -> list[Bar]:
    """Calls by time; ``stretches`` have ``at``, ``calls``, ``refused`` and ``failed``."""
    told = [(one.at, one.calls, one.refused, one.failed) for one in stretches]  # type: ignore[attr-defined]
    most = max([calls for _, calls, _, _ in told] or [0]) or 1
    step = width / max(1, len(told))
    return [
        Bar(
            round(number * step, 2),
            round(max(0.5, step - 1), 2),
            round(calls / most * height, 2),
            round(refused / most * height, 2),
            round(failed / most * height, 2),
            at,
            (calls, refused, failed),
        )
        for number, (at, calls, refused, failed) in enumerate(told)
    ]


def line(values: Sequence[float | None], most: float, width: float, height: float) -> list[str]:
    """Values at equal distances as lines (points of an SVG polyline); None interrupts. ``most`` is at the top."""
    step = width / max(1, len(values) - 1)
    pieces: list[list[str]] = [[]]
    for number, value in enumerate(values):
        if value is None:
            pieces.append([])
        else:
            y = height - min(1.0, value / (most or 1)) * height
            pieces[-1].append(f"{number * step:.1f},{y:.1f}")
    return [" ".join(piece if len(piece) > 1 else _dash(piece[0])) for piece in pieces if piece]


def _dash(point: str) -> list[str]:
    """One value between two that are not there: a line needs two points to be seen."""
    x, y = point.split(",")
    return [f"{float(x) - 3:.1f},{y}", f"{float(x) + 3:.1f},{y}"]


def stairs(points: Iterable[tuple[float, float]], width: float, height: float) -> str:
    """What adds up over time: points ``(at, increase)`` as one stepped line from the first to the last."""
    given = list(points)
    if not given:
        return ""
    first, last = given[0][0], given[-1][0]
    total = sum(increase for _, increase in given) or 1.0
    span = (last - first) or 1.0
    path, level = [f"0,{height:.1f}"], 0.0
    for at, increase in given:
        x = (at - first) / span * width
        path.append(f"{x:.1f},{height - level / total * height:.1f}")
        level += increase
        path.append(f"{x:.1f},{height - level / total * height:.1f}")
    return " ".join([*path, f"{width:.1f},{height - level / total * height:.1f}"])


def stay(first: float, last: float, at: float, waited_ms: float, total_ms: float) -> Stay:
    """Where a call lies that arrived ``at`` and was decided on after ``waited_ms``, in a run from ``first`` to
    ``last`` (seconds)."""
    span = max(1e-3, last - first)
    width = min(100.0, max(0.5, total_ms / 1e3 / span * 100))
    begin = min(100 - width, max(0.0, (at - first) / span * 100))
    return Stay(round(begin, 3), round(min(1.0, waited_ms / (total_ms or 1)) * width, 3), round(width, 3))


def top(values: Iterable[float | None]) -> float:
    """A round number that is not below any of these: 1, 2 or 5 times a power of ten."""
    most = max((value for value in values if value is not None), default=0.0)
    if most <= 0:
        return 1.0
    power = 10.0 ** floor(log10(most))
    # Of numbers too small or too large for powers of ten there is none: the number itself then.
    return float(next((step * power for step in (1, 2, 5, 10) if step * power >= most), most))
