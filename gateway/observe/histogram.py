"""Histograms as they are counted, and as Prometheus sees them."""

from __future__ import annotations

from bisect import bisect_left

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.samples import Exemplar

from gateway.model.trace_context import trace_context

Example = tuple[bytes, float, float]
"""``traceparent`` of a call, its seconds, and when it was, in seconds since the epoch."""


class Histogram:
    """Observations in buckets; not cumulative here."""

    __slots__ = ("bounds", "counts", "examples", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        self.examples: dict[int, Example] = {}
        """By number of the bucket: the last call in it that has a trace."""

    def observe(self, seconds: float) -> int:
        """Count one; returns the number of its bucket."""
        bucket = bisect_left(self.bounds, seconds)
        self.counts[bucket] += 1
        self.sum += seconds
        return bucket


def fill(family: HistogramMetricFamily, labels: tuple[str, ...], histogram: Histogram) -> None:
    """Put the histogram into the family."""
    total = 0
    buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
    for at, count in enumerate(histogram.counts):
        total += count
        bound = repr(histogram.bounds[at]) if at < len(histogram.bounds) else "+Inf"
        exemplar = _exemplar(histogram.examples.get(at))
        buckets.append((bound, total) if exemplar is None else (bound, total, exemplar))
    family.add_metric(labels, buckets, histogram.sum)


def _exemplar(example: Example | None) -> Exemplar | None:
    """How to find the trace of a call in a bucket; shown only to those who ask for OpenMetrics."""
    context = None if example is None else trace_context(example[0])
    if example is None or context is None:
        return None
    return Exemplar({"trace_id": context.trace, "span_id": context.span}, example[1], example[2])
