"""Pools as Prometheus sees them. Labels are names of pools and tools, which come from the operator's files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from gateway.model.pools import WAIT_BUCKETS, PoolState


def pool_metrics(pools: Iterable[PoolState]) -> Iterator[Metric]:
    """Every family, also where there are no pools."""
    where = ("pool", "tool")
    taken = GaugeMetricFamily("toolgate_pool_in_flight", "Calls that have a place.", labels=where)
    waiting = GaugeMetricFamily("toolgate_pool_waiting", "Calls that wait for a place.", labels=where)
    limit = GaugeMetricFamily("toolgate_pool_limit", "Places, as they are now.", labels=where)
    seconds = HistogramMetricFamily("toolgate_pool_wait_seconds", "What calls waited for their place.", labels=where)
    away = CounterMetricFamily("toolgate_pool_turned_away", "Calls that got no place, by why.", labels=(*where, "why"))
    for pool in pools:
        key = (pool.pool, pool.tool)
        taken.add_metric(key, pool.in_flight)
        waiting.add_metric(key, pool.waiting)
        limit.add_metric(key, pool.limit)
        total, buckets = 0, []
        for bound, count in zip((*map(repr, WAIT_BUCKETS), "+Inf"), pool.waits, strict=True):
            total += count
            buckets.append((bound, total))
        seconds.add_metric(key, buckets, pool.waited)
        for why, count in pool.turned_away.items():
            away.add_metric((*key, why), count)
    yield from (taken, waiting, limit, seconds, away)
