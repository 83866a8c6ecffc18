"""How people are asked and what they say, in the metrics."""

from __future__ import annotations

from msgspec import structs
from prometheus_client import generate_latest

from gateway.model import Ruling
from gateway.observe.approvals import MOST_RULES, OTHER, ApprovalSeries, Vigilance
from gateway.observe.exposition import Gauges, registry_of
from gateway.observe.metrics import Metrics

from .support import permit, trace


def told(metrics: Metrics, vigilance: Vigilance = Vigilance()) -> list[str]:
    text = generate_latest(registry_of(metrics, Gauges(approvals=lambda: vigilance))).decode()
    return [line for line in text.splitlines() if line.startswith("toolgate_approvals")]


def test_askings_verdicts_and_waits_are_shown():
    metrics = Metrics()
    metrics.approvals.ask(["pay/large"])
    metrics.approvals.decide(["pay/large"], "deny", 40.0)
    metrics.approvals.beyond["money", "refused"] += 1
    metrics.record(trace(structs.replace(permit(), ruling=Ruling(True, waited=3.0))))
    metrics.record(trace(permit()))
    lines = told(metrics, Vigilance({"waiting": 2}, 0.25, None))
    assert 'toolgate_approvals_open{state="waiting"} 2.0' in lines
    assert 'toolgate_approvals_opened_total{rule="pay/large"} 1.0' in lines
    assert 'toolgate_approvals_decided_total{rule="pay/large",verb="deny"} 1.0' in lines
    assert 'toolgate_approvals_beyond_attention_total{budget="money",outcome="refused"} 1.0' in lines
    assert 'toolgate_approvals_decision_seconds_bucket{le="60.0"} 1.0' in lines
    assert "toolgate_approvals_wait_seconds_count 1.0" in lines
    assert "toolgate_approvals_rubber_stamp_ratio 0.25" in lines
    assert not [line for line in lines if line.startswith("toolgate_approvals_canary")]


def test_labels_are_bounded_however_many_rules_there_have_been():
    series = ApprovalSeries()
    for number in range(3 * MOST_RULES):
        series.ask([f"pay/{number}"])
        series.decide([f"pay/{number}"], "deny", 1.0)
    assert len(series.opened) == MOST_RULES + 1
    assert series.opened[OTHER] == 2 * MOST_RULES
    assert len(series.decided) == MOST_RULES + 1
