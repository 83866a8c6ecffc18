"""Budgets as Prometheus sees them. Labels are names of budgets, which come from the operator's files, never keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from gateway.model.standing import Standing

MICRO = 1_000_000
"""Micro-dollars in a US dollar."""


def budget_metrics(standings: Iterable[Standing], refusals: Mapping[str, int]) -> Iterator[Metric]:
    """Every family, also where there are no budgets. All keys of a budget together, but for the fullest."""
    sums: dict[tuple[str, str], list[float]] = {}
    for standing in standings:
        scale = MICRO if standing.unit == "usd" else 1
        spent, reserved, limit = (each / scale for each in (standing.spent, standing.reserved, standing.limit))
        row = sums.setdefault((standing.budget, standing.unit), [0.0, 0.0, limit, 0.0])
        row[0] += spent
        row[1] += reserved
        row[3] = max(row[3], (spent + reserved) / limit)
    names = (
        (
            "toolgate_budget_spent",
            "What calls have cost in the present windows (USD, tokens, calls), all keys together.",
        ),
        ("toolgate_budget_reserved", "What calls under way have reserved, all keys together."),
        ("toolgate_budget_limit", "What each key may spend in a window."),
        ("toolgate_budget_fullest_ratio", "Spent and reserved of the key that has least left, of its limit."),
    )
    for at, (name, about) in enumerate(names):
        family = GaugeMetricFamily(name, about, labels=("budget", "unit"))
        for labels, row in sums.items():
            family.add_metric(labels, row[at])
        yield family
    refused = CounterMetricFamily("toolgate_budget_refusals", "Calls that a budget refused.", labels=("budget",))
    for budget, count in refusals.items():
        refused.add_metric((budget,), count)
    yield refused
