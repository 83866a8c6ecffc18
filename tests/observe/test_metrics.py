"""What Prometheus gets."""

from __future__ import annotations

import pytest
from msgspec import structs
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gateway import __version__
from gateway.model import Findings, Mode, Outcome, Reason, Spoke, Verdict
from gateway.observe import exposition
from gateway.observe.exposition import Gauges, registry_of
from gateway.observe.histogram import Histogram
from gateway.observe.metrics import Metrics

from .support import permit, refusal, trace


def samples(metrics: Metrics, gauges: Gauges = Gauges()) -> dict[tuple[str, frozenset[str]], float]:
    text = generate_latest(registry_of(metrics, gauges)).decode()
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def labels(*values: str) -> frozenset[str]:
    return frozenset(values)


def test_calls_answers_times_and_bytes_are_counted_by_tool():
    metrics = Metrics()
    metrics.record(trace(permit()))
    metrics.record(trace(refusal(Reason.RATE_LIMITED), Outcome(429, sent=5)))
    metrics.record(trace(permit(), Outcome(504, fault="tool")))
    metrics.record(trace(None, Outcome(499), tool=""))
    seen = samples(metrics)
    assert seen["toolgate_calls_total", labels("bank", "allow", "")] == 2
    assert seen["toolgate_calls_total", labels("bank", "refuse", "rate_limited")] == 1
    assert seen["toolgate_calls_total", labels("", "none", "")] == 1
    assert seen["toolgate_upstream_responses_total", labels("bank", "2xx")] == 1
    assert seen["toolgate_upstream_responses_total", labels("bank", "none")] == 1
    assert seen["toolgate_call_seconds_count", labels("bank")] == 3
    assert seen["toolgate_call_seconds_sum", labels("bank")] == 3.0
    assert seen["toolgate_upstream_first_byte_seconds_count", labels("bank")] == 1
    assert seen["toolgate_request_bytes_total", labels("bank")] == 10
    assert seen["toolgate_response_bytes_total", labels("bank")] == 25
    assert seen["toolgate_decide_seconds_count", labels()] == 4
    assert seen["toolgate_decide_seconds_sum", labels()] == 1.0
    assert seen["toolgate_rule_matches_total", labels("payments", "large", "deny", "Enforce")] == 3


def test_rules_that_speak_are_counted_once_for_each_of_their_annotations():
    metrics = Metrics()
    said = Spoke("tags", "paid", Verdict.WARN, Mode.AUDIT, annotations=(("owner", "pay"), ("severity", "high")))
    decided = structs.replace(permit(), spoke=(said, said))
    metrics.record(trace(decided, Outcome(200, found=Findings(spoke=(said,)))))
    seen = samples(metrics)
    assert seen["toolgate_rule_annotations_total", labels("tags", "paid", "severity", "high")] == 3
    assert seen["toolgate_rule_annotations_total", labels("tags", "paid", "owner", "pay")] == 3


def test_buckets_are_cumulative_and_a_bound_is_inside_its_bucket():
    metrics = Metrics()
    series = metrics.tools["t"].seconds
    for seconds in (0.001, 0.0011, 400.0):
        series.observe(seconds)
    seen = samples(metrics)
    assert seen["toolgate_call_seconds_bucket", labels("t", "0.001")] == 1
    assert seen["toolgate_call_seconds_bucket", labels("t", "0.0025")] == 2
    assert seen["toolgate_call_seconds_bucket", labels("t", "300.0")] == 2
    assert seen["toolgate_call_seconds_bucket", labels("t", "+Inf")] == 3


def test_gauges_are_read_at_the_scrape():
    gauges = Gauges(
        in_flight=lambda: [("bank", 2)],
        breakers=lambda: [("b", "x", "closed"), ("b", "y", "half-open"), ("b", "z", "open")],
        connections=lambda: [("agent", 3), ("upstream", 1)],
        dropped=lambda: 7,
    )
    seen = samples(Metrics(), gauges)
    assert seen["toolgate_in_flight_calls", labels("bank")] == 2
    assert [seen["toolgate_breaker_state", labels("b", key)] for key in "xyz"] == [0, 1, 2]
    assert seen["toolgate_connections", labels("agent")] == 3
    assert seen["toolgate_trace_records_dropped_total", labels()] == 7


def test_open_breakers_are_shown_first_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(exposition, "MOST_BREAKERS", 2)
    states = [("b", str(number), "closed") for number in range(5)] + [("b", "bad", "open")]
    shown = [
        name for name in samples(Metrics(), Gauges(breakers=lambda: states)) if name[0] == "toolgate_breaker_state"
    ]
    assert len(shown) == 2
    assert ("toolgate_breaker_state", labels("b", "bad")) in shown


def test_reloads_and_versions():
    metrics = Metrics()
    metrics.started("v1")
    metrics.reload_failed()
    metrics.reloaded("v2")
    seen = samples(metrics)
    assert seen["toolgate_policy_reloads_total", labels("success")] == 1
    assert seen["toolgate_policy_reloads_total", labels("failure")] == 1
    assert seen["toolgate_policy_version_info", labels("v2")] == 1
    assert ("toolgate_policy_version_info", labels("v1")) not in seen
    assert seen["toolgate_build_info", labels(__version__)] == 1


def test_there_are_no_created_series_and_the_process_is_shown():
    metrics = Metrics()
    metrics.record(trace(permit()))
    names = {name for name, _ in samples(metrics)}
    assert not [name for name in names if name.endswith("_created")]
    assert "process_resident_memory_bytes" in names


def test_every_metric_is_in_the_documentation():
    from pathlib import Path

    text = (Path(__file__).parents[2] / "docs" / "trace.md").read_text()
    families = exposition.Exposition(Metrics(), Gauges()).collect()
    missing = [family.name for family in families if family.name not in text]
    assert missing == []


@pytest.mark.parametrize("seconds", [0.0, 5.0])
def test_a_histogram_counts_each_observation_once(seconds):
    histogram = Histogram((1.0, 2.0))
    histogram.observe(seconds)
    assert sum(histogram.counts) == 1
