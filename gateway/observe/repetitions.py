"""Loops and retries as they are counted, and as Prometheus sees them. Labels are names of guards, which come from the
operator's files, and states, which are few."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, Metric

from gateway.model import Hold, LoopClaim, RetryClaim


class Repetitions:
    """What guards of loops and retries have found, by guard and kind."""

    def __init__(self) -> None:
        self.loops: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.retries: defaultdict[tuple[str, str], int] = defaultdict(int)

    def count(self, holds: Iterable[Hold], *, refused: bool) -> None:
        """Count the holds of a call. Where it was ``refused``, only what was not granted has come to anything."""
        for hold in holds:
            if not hold.state or (refused and hold.granted):
                continue
            kind = type(hold.claim)
            if kind is LoopClaim:
                self.loops[hold.claim.guard, hold.state] += 1
            elif kind is RetryClaim:
                self.retries[hold.claim.guard, hold.state] += 1


def repetition_metrics(found: Repetitions) -> Iterator[Metric]:
    """Both families, also where there are no such guards."""
    where = ("guard", "kind")
    loops = CounterMetricFamily("toolgate_loops", "Calls that go round in circles, refused or not.", labels=where)
    retries = CounterMetricFamily("toolgate_retries", "Retries, by what became of them.", labels=where)
    for family, counts in ((loops, found.loops), (retries, found.retries)):
        for labels, count in counts.items():
            family.add_metric(labels, count)
    yield from (loops, retries)
