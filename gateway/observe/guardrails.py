"""What came of asking guardrails, and how long it took, as Prometheus sees it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import partial

from prometheus_client.core import HistogramMetricFamily, Metric

from gateway.observe.histogram import Histogram, fill

BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds."""


class GuardrailSeries:
    """Questions by guardrail and outcome. Both are the operator's, or an enumeration."""

    def __init__(self) -> None:
        self.asked: defaultdict[tuple[str, str], Histogram] = defaultdict(partial(Histogram, BUCKETS))

    def count(self, name: str, outcome: str, seconds: float) -> None:
        """One question has come to an end."""
        self.asked[name, outcome].observe(seconds)


def guardrail_metrics(series: GuardrailSeries) -> Iterator[Metric]:
    """The family, also where nobody was asked."""
    seconds = HistogramMetricFamily(
        "toolgate_guardrail_seconds",
        "Questions to guardrails (clear, flagged, failed; cached and skipped were not sent).",
        labels=("guardrail", "outcome"),
    )
    for labels, histogram in series.asked.items():
        fill(seconds, labels, histogram)
    yield seconds
