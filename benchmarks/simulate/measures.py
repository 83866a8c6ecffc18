"""What is measured: rates over time, fairness, how soon it is well again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

Curve = Sequence[tuple[float, float]]
"""Points: seconds, and what there was then."""


@dataclass(frozen=True)
class Measured:
    """What one play of a scenario gave: figures by name for the table, curves by name for the plots."""

    figures: Mapping[str, float]
    curves: Mapping[str, Curve] = field(default_factory=dict)


def rate(times: Iterable[float], until: float, width: float = 2.0) -> Curve:
    """How many a second, in steps of ``width`` seconds up to ``until``."""
    counts = [0] * int(until / width)
    for at in times:
        if at < until:
            counts[int(at / width)] += 1
    return [((step + 0.5) * width, found / width) for step, found in enumerate(counts)]


def total(amounts: Iterable[tuple[float, float]], until: float, width: float = 1.0) -> Curve:
    """What has come together by each moment."""
    points, so_far, at = [(0.0, 0.0)], 0.0, width
    for when, amount in sorted(amounts):
        while when > at:
            points.append((at, so_far))
            at += width
        so_far += amount
    while at <= until:
        points.append((at, so_far))
        at += width
    return points


def within(times: Iterable[float], start: float, end: float) -> int:
    """How many lie in [start, end)."""
    return sum(start <= at < end for at in times)


def jain(shares: Sequence[float]) -> float:
    """Jain's index of fairness (Jain, Chiu, Hawe 1984): 1 where all are equal, 1/n where one has everything."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 1.0


def quantile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of them are at most; 0 where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def recovery(times: Sequence[float], since: float, usual: float, until: float, window: float = 8.0) -> float:
    """Seconds after ``since`` from which on things went at 95 % of the usual rate at least, for ``window`` seconds and
    for all that was left up to ``until``; the whole rest where they never did."""
    at = since
    while at + window <= until:
        for end in (at + window, until):
            if within(times, at, end) < 0.95 * usual * (end - at):
                break
        else:
            return at - since
        at += 0.5
    return until - since
