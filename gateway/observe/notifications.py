"""What came of telling people, as metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, Metric


def notification_metrics(counts: Iterable[tuple[str, str, str, int]]) -> Iterator[Metric]:
    """``counts``: channel, event, outcome, and how many. Channels are the operator's, the rest enumerations."""
    told = CounterMetricFamily(
        "toolgate_notifications",
        "Messages about approvals, by what came of them (sent, late, failed, dropped).",
        labels=("channel", "event", "outcome"),
    )
    for channel, event, outcome, count in counts:
        told.add_metric((channel, event, outcome), count)
    yield told
