"""The metrics as Prometheus sees them: one collector that reads the counters when asked; no ``_created`` series."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway import __version__
from gateway.model.pools import PoolState
from gateway.model.standing import Standing
from gateway.observe.approvals import Vigilance, approval_metrics
from gateway.observe.budgets import budget_metrics
from gateway.observe.coherence import coherence_metrics
from gateway.observe.guardrails import guardrail_metrics
from gateway.observe.histogram import fill
from gateway.observe.memory import MemoryReading, memory_metrics
from gateway.observe.metrics import Metrics
from gateway.observe.notifications import notification_metrics
from gateway.observe.pools import pool_metrics
from gateway.observe.repetitions import repetition_metrics
from gateway.observe.runs_now import run_metrics

BREAKER_STATES = {"closed": 0, "half-open": 1, "open": 2}
MOST_BREAKERS = 1000
"""Circuits shown, open ones first: those kept by operation are as many as the operations that agents think of."""


def _nothing() -> tuple[()]:
    return ()


def _no_store() -> tuple[int, int]:
    return 0, 0


def _no_audit() -> tuple[int, int, int]:
    return 0, 0, 0


class Gauges(Struct, frozen=True):
    """Where to look for what is not counted but simply is, at the moment of asking."""

    in_flight: Callable[[], Iterable[tuple[str, int]]] = _nothing
    """Tool, and its calls under way."""
    breakers: Callable[[], Iterable[tuple[str, str, str]]] = _nothing
    """Breaker, key and state (closed, half-open, open)."""
    connections: Callable[[], Iterable[tuple[str, int]]] = _nothing
    """Side (agent, upstream), and its open connections."""
    tools_changed: Callable[[], Iterable[tuple[str, str, int]]] = _nothing
    """MCP server, state (changed, new), and how many of its tools are in it."""
    dropped: Callable[[], int] = int
    """Trace records lost so far."""
    quarantines: Callable[[], Iterable[tuple[str, int]]] = _nothing
    """Scope (all, agent, tool, run), and how many quarantines of it stand."""
    quarantined: Callable[[], Iterable[tuple[str, int]]] = _nothing
    """Scope, and how many calls its quarantines have kept from being made."""
    pools: Callable[[], Iterable[PoolState]] = _nothing
    """Every pool that has been asked for a place."""
    budgets: Callable[[], Iterable[Standing]] = _nothing
    """Every budget with something spent or reserved, by key."""
    exported: Callable[[], tuple[int, int]] = _no_store
    """Records exported as spans, and records that were to be."""
    notifications: Callable[[], Iterable[tuple[str, str, str, int]]] = _nothing
    """Channel, event and outcome of messages about approvals, and how many."""
    approvals: Callable[[], Vigilance] = Vigilance
    """How approvals stand, and how carefully people look."""
    runs: Callable[[], dict[str, int]] = dict
    """How many runs are in each state."""
    store: Callable[[], tuple[int, int]] = _no_store
    """Records that the trace store has lost, and bytes that it takes."""
    memory: Callable[[], Iterable[MemoryReading]] = _nothing
    """Namespaces of the shared memory."""
    audit: Callable[[], tuple[int, int, int]] = _no_audit
    """The last record of the audit that is synced, calls not written yet, and calls lost."""


class Exposition(Collector):
    """Reads ``metrics`` and ``gauges`` at each scrape."""

    def __init__(self, metrics: Metrics, gauges: Gauges) -> None:
        self._metrics = metrics
        self._gauges = gauges

    def collect(self) -> Iterable[Metric]:
        """Every family, also the empty ones."""
        yield from self._tools()
        yield from self._policies()
        yield from self._present()
        yield from pool_metrics(self._gauges.pools())
        yield from budget_metrics(self._gauges.budgets(), self._metrics.budget_refusals)
        yield from repetition_metrics(self._metrics.repetitions)
        yield from run_metrics(self._gauges.runs())
        yield from notification_metrics(self._gauges.notifications())
        yield from guardrail_metrics(self._metrics.guardrails)
        yield from coherence_metrics(self._metrics.coherence)
        yield from approval_metrics(self._metrics.approvals, self._gauges.approvals())
        yield from memory_metrics(self._gauges.memory())

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are checked at the first scrape, and registering must not ask the gauges."""
        return ()

    def _tools(self) -> Iterator[Metric]:
        calls = CounterMetricFamily(
            "toolgate_calls", "Calls by decision (allow, refuse, none).", labels=("tool", "decision", "reason")
        )
        responses = CounterMetricFamily(
            "toolgate_upstream_responses", "Answers of tools by class of status.", labels=("tool", "code")
        )
        broken = CounterMetricFamily(
            "toolgate_broken_calls",
            "Permitted calls that broke before the agent had any of the answer.",
            labels=("tool", "reason"),
        )
        seconds = HistogramMetricFamily("toolgate_call_seconds", "From arrival to the end.", labels=("tool",))
        first_byte = HistogramMetricFamily(
            "toolgate_upstream_first_byte_seconds",
            "From the start of the tool's call to the head of its answer.",
            labels=("tool",),
        )
        tokens = CounterMetricFamily("toolgate_tokens", "Tokens that models read and wrote.", labels=("tool", "kind"))
        cost = CounterMetricFamily("toolgate_cost_usd", "What calls cost, where that is known.", labels=("tool",))
        errors = CounterMetricFamily(
            "toolgate_result_errors", "Answers that say of themselves that they failed.", labels=("tool",)
        )
        withheld = CounterMetricFamily(
            "toolgate_results_withheld", "Answers, or parts of them, that rules kept from agents.", labels=("tool",)
        )
        received = CounterMetricFamily("toolgate_request_bytes", "Body bytes from agents.", labels=("tool",))
        sent = CounterMetricFamily("toolgate_response_bytes", "Body bytes to agents.", labels=("tool",))
        for tool, series in self._metrics.tools.items():
            for (decision, reason), count in series.calls.items():
                calls.add_metric((tool, decision, reason), count)
            for code, count in series.responses.items():
                responses.add_metric((tool, code), count)
            for reason, count in series.broken.items():
                broken.add_metric((tool, reason), count)
            for kind, count in series.tokens.items():
                tokens.add_metric((tool, kind), count)
            cost.add_metric((tool,), series.cost_usd)
            errors.add_metric((tool,), series.result_errors)
            withheld.add_metric((tool,), series.withheld)
            fill(seconds, (tool,), series.seconds)
            fill(first_byte, (tool,), series.first_byte)
            received.add_metric((tool,), series.bytes_in)
            sent.add_metric((tool,), series.bytes_out)
        yield from (calls, responses, broken, seconds, first_byte, tokens, cost, errors, withheld, received, sent)

    def _policies(self) -> Iterator[Metric]:
        decide = HistogramMetricFamily("toolgate_decide_seconds", "From arrival to the decision, without waiting.")
        fill(decide, (), self._metrics.decide)
        rules = CounterMetricFamily(
            "toolgate_rule_matches", "Rules that spoke.", labels=("policy", "rule", "verdict", "mode")
        )
        for labels, count in self._metrics.rules.items():
            rules.add_metric(labels, count)
        annotations = CounterMetricFamily(
            "toolgate_rule_annotations",
            "Rules that spoke, by their annotations.",
            labels=("policy", "rule", "key", "value"),
        )
        for labels, count in self._metrics.annotations.items():
            annotations.add_metric(labels, count)
        reloads = CounterMetricFamily("toolgate_policy_reloads", "Reloads by result.", labels=("result",))
        for result, count in self._metrics.reloads.items():
            reloads.add_metric((result,), count)
        yield from (decide, rules, annotations, reloads)

    def _present(self) -> Iterator[Metric]:
        gauges = self._gauges
        version = GaugeMetricFamily(
            "toolgate_policy_version_info", "The version of configuration and policies in force.", labels=("version",)
        )
        version.add_metric((self._metrics.policy_version,), 1)
        build = GaugeMetricFamily("toolgate_build_info", "The running build.", labels=("version",))
        build.add_metric((__version__,), 1)
        in_flight = GaugeMetricFamily("toolgate_in_flight_calls", "Calls under way.", labels=("tool",))
        for tool, calls in gauges.in_flight():
            in_flight.add_metric((tool,), calls)
        breakers = GaugeMetricFamily(
            "toolgate_breaker_state", "0 closed, 1 half-open, 2 open.", labels=("breaker", "key")
        )
        states = [(BREAKER_STATES[state], name, key) for name, key, state in gauges.breakers()]
        if len(states) > MOST_BREAKERS:
            states = sorted(states, reverse=True)[:MOST_BREAKERS]
        for state, name, key in states:
            breakers.add_metric((name, key), state)
        connections = GaugeMetricFamily("toolgate_connections", "Open connections.", labels=("side",))
        for side, count in gauges.connections():
            connections.add_metric((side,), count)
        changed = GaugeMetricFamily(
            "toolgate_mcp_unapproved_tools", "Tools of MCP servers that are not as approved.", labels=("tool", "state")
        )
        for tool, standing, number in gauges.tools_changed():
            changed.add_metric((tool, standing), number)
        yield from (version, build, in_flight, breakers, connections, changed)
        yield from self._quarantines()
        lost, size = gauges.store()
        yield CounterMetricFamily(
            "toolgate_trace_store_dropped", "Records that the trace store had no room for.", value=lost
        )
        yield GaugeMetricFamily("toolgate_trace_store_bytes", "What the trace store holds, in bytes.", value=size)
        head, unwritten, unaudited = gauges.audit()
        yield GaugeMetricFamily("toolgate_audit_head_seq", "Last record of the audit that is synced.", value=head)
        yield GaugeMetricFamily("toolgate_audit_unwritten", "Calls whose audit is not written yet.", value=unwritten)
        yield CounterMetricFamily("toolgate_audit_dropped", "Calls that the audit has lost.", value=unaudited)
        exported, unexported = gauges.exported()
        yield CounterMetricFamily("toolgate_otel_records_exported", "Records exported as spans.", value=exported)
        yield CounterMetricFamily(
            "toolgate_otel_records_dropped",
            "Records that were to be spans, and are lost.",
            value=unexported,
        )
        yield CounterMetricFamily(
            "toolgate_trace_records_dropped", "Trace records lost: no room, or not encodable.", value=gauges.dropped()
        )

    def _quarantines(self) -> Iterator[Metric]:
        standing = GaugeMetricFamily("toolgate_quarantines", "Quarantines that stand.", labels=("scope",))
        for scope, count in self._gauges.quarantines():
            standing.add_metric((scope,), count)
        calls = CounterMetricFamily(
            "toolgate_quarantined_calls", "Calls that were refused by a quarantine.", labels=("scope",)
        )
        for scope, count in self._gauges.quarantined():
            calls.add_metric((scope,), count)
        yield from (standing, calls)


def registry_of(metrics: Metrics, gauges: Gauges) -> CollectorRegistry:
    """A registry with Toolgate's metrics and the process's own (CPU, memory, file descriptors)."""
    registry = CollectorRegistry()
    registry.register(Exposition(metrics, gauges))
    ProcessCollector(registry=registry)
    return registry
