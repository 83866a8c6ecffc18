"""The embedded shared memory as Prometheus sees it. Namespaces are named as they are configured, also by a glob."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


class MemoryReading(Struct, frozen=True):
    """How a namespace, or all by one glob, stand. ``size`` is in bytes; writes and conflicts are since the start."""

    namespace: str
    items: int
    size: int
    writes: int
    conflicts: int


def memory_metrics(readings: Iterable[MemoryReading]) -> Iterator[Metric]:
    """Every family, also where there is no memory."""
    where = ("namespace",)
    items = GaugeMetricFamily("toolgate_memory_items", "Keys with a value.", labels=where)
    size = GaugeMetricFamily("toolgate_memory_bytes", "Bytes of values and their history.", labels=where)
    writes = CounterMetricFamily("toolgate_memory_writes", "Commits that were made.", labels=where)
    conflicts = CounterMetricFamily(
        "toolgate_memory_conflicts", "Commits that were refused since something else stood.", labels=where
    )
    for one in readings:
        items.add_metric((one.namespace,), one.items)
        size.add_metric((one.namespace,), one.size)
        writes.add_metric((one.namespace,), one.writes)
        conflicts.add_metric((one.namespace,), one.conflicts)
    yield from (items, size, writes, conflicts)
