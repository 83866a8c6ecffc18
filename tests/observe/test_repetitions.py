"""Loops and retries as Prometheus gets them."""

from __future__ import annotations

import pytest
from msgspec import structs
from prometheus_client import generate_latest

from gateway.model import Hold, LoopClaim, LoopSettings, Outcome, Reason, RetryClaim, RetrySettings
from gateway.observe.exposition import Gauges, registry_of
from gateway.observe.metrics import Metrics

from .support import permit, refusal, trace

LOOP = LoopClaim("circles", ("circles", "a", "r"), "i", True, False, LoopSettings())
RETRY = RetryClaim("storms", ("storms", "a", "bank"), ("a", "r"), "op", "i", True, RetrySettings())


def lines(metrics: Metrics) -> set[str]:
    text = generate_latest(registry_of(metrics, Gauges())).decode()
    return {line for line in text.splitlines() if line.startswith(("toolgate_loops_total", "toolgate_retries_total"))}


def test_what_guards_found_in_calls_that_pass_is_counted():
    metrics = Metrics()
    holds = (Hold(LOOP, True, state="near"), Hold(RETRY, True, state="probe"))
    metrics.record(trace(structs.replace(permit(), holds=holds)))
    metrics.record(trace(structs.replace(permit(), holds=(Hold(LOOP, True), Hold(RETRY, True)))))
    assert lines(metrics) == {
        'toolgate_loops_total{guard="circles",kind="near"} 1.0',
        'toolgate_retries_total{guard="storms",kind="probe"} 1.0',
    }


@pytest.mark.parametrize("state", ["taught", "exhausted"])
def test_of_a_refused_call_only_what_refused_it_is_counted(state):
    metrics = Metrics()
    holds = (Hold(LOOP, True, state="near"), Hold(RETRY, False, state=state))
    metrics.record(trace(structs.replace(refusal(Reason.REPEATED_FAILURE), holds=holds), Outcome(422)))
    assert lines(metrics) == {f'toolgate_retries_total{{guard="storms",kind="{state}"}} 1.0'}
