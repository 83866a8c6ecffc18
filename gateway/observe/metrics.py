"""What is counted, in plain dicts and lists: an increment costs a third of one of prometheus_client's.

``exposition.py`` shows these to Prometheus. Labels are bounded: tools, policies and rules come from the operator's
files, the rest are enumerations. Nothing that an agent chooses becomes a label here.
"""

from __future__ import annotations

from collections import defaultdict

from gateway.model import NOTHING_FOUND, Decision, Findings, Outcome, Permit, Reason, Refusal, Trace
from gateway.observe.approvals import ApprovalSeries
from gateway.observe.coherence import CoherenceSeries
from gateway.observe.guardrails import GuardrailSeries
from gateway.observe.histogram import Histogram
from gateway.observe.repetitions import Repetitions

CALL_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
DECIDE_BUCKETS = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.1, 1.0)
"""Upper bounds in seconds; +Inf is one more."""


class ToolSeries:
    """What is counted for one tool."""

    __slots__ = (
        "broken",
        "bytes_in",
        "bytes_out",
        "calls",
        "cost_usd",
        "first_byte",
        "responses",
        "result_errors",
        "seconds",
        "tokens",
        "withheld",
    )

    def __init__(self) -> None:
        self.calls: defaultdict[tuple[str, str], int] = defaultdict(int)
        """By decision (allow, refuse, none) and reason."""
        self.responses: defaultdict[str, int] = defaultdict(int)
        """By class of status, ``2xx``; ``none`` where the tool gave no answer."""
        self.broken: defaultdict[str, int] = defaultdict(int)
        """Permitted calls that broke, by reason."""
        self.seconds = Histogram(CALL_BUCKETS)
        self.first_byte = Histogram(CALL_BUCKETS)
        self.bytes_in = self.bytes_out = 0
        self.tokens: defaultdict[str, int] = defaultdict(int)
        """Tokens of models, by ``input`` and ``output``."""
        self.cost_usd = 0.0
        self.result_errors = 0
        """Answers that say of themselves that they failed."""
        self.withheld = 0
        """Answers, or parts of them, that rules kept from agents."""

    def read(self, found: Findings) -> None:
        """Count what was read in an answer."""
        self.result_errors += found.is_error
        self.withheld += found.refusal is not None or any(proposal.refused for proposal in found.proposed)
        if found.usage is not None:
            self.tokens["input"] += found.usage.input_tokens
            self.tokens["output"] += found.usage.output_tokens


class Metrics:
    """The counters of one process. All of it on one loop."""

    def __init__(self) -> None:
        self.tools: defaultdict[str, ToolSeries] = defaultdict(ToolSeries)
        """By name of the tool; empty where the request named none that is known."""
        self.decide = Histogram(DECIDE_BUCKETS)
        self.rules: defaultdict[tuple[str, str, str, str], int] = defaultdict(int)
        """By policy, rule, verdict and mode."""
        self.annotations: defaultdict[tuple[str, str, str, str], int] = defaultdict(int)
        """By policy, rule, key and value, for each time that the rule spoke."""
        self.budget_refusals: defaultdict[str, int] = defaultdict(int)
        """By name of the budget."""
        self.repetitions = Repetitions()
        self.approvals = ApprovalSeries()
        self.guardrails = GuardrailSeries()
        self.coherence = CoherenceSeries()
        self.reloads = {"success": 0, "failure": 0}
        self.policy_version = ""

    def record(self, trace: Trace) -> None:
        """Count one call. Called once for each, at its end."""
        series = self.tools[trace.tool]
        decision, outcome = trace.decision, trace.outcome
        if isinstance(decision, Permit):
            series.calls["allow", ""] += 1
            series.responses[f"{outcome.upstream // 100}xx" if outcome.upstream else "none"] += 1
            if outcome.reason is not None:
                series.broken[outcome.reason.value] += 1
            if outcome.first_byte:
                series.first_byte.observe(outcome.first_byte)
        elif isinstance(decision, Refusal):
            series.calls["refuse", decision.reason.value] += 1
            if decision.reason is Reason.BUDGET_EXHAUSTED:
                self.budget_refusals[decision.rule.partition("/")[2]] += 1
        else:
            series.calls["none", ""] += 1
        seconds = trace.ended - trace.began
        bucket = series.seconds.observe(seconds)
        if parent := _traced(trace):
            series.seconds.examples[bucket] = (parent, seconds, trace.wall)
        series.bytes_in += outcome.received
        series.bytes_out += outcome.sent
        if outcome.cost_usd:
            series.cost_usd += outcome.cost_usd
        if outcome.found is not NOTHING_FOUND:
            series.read(outcome.found)
        self.decide.observe(max(0.0, trace.decided - trace.began - trace.queued - trace.asked - trace.read))
        if decision is not None:
            self._decided(decision, outcome)
        if trace.recalled or (trace.call is not None and trace.call.glances):
            self.coherence.record(trace)

    def _decided(self, decision: Decision, outcome: Outcome) -> None:
        """Count what guards, rules and people had to say."""
        if decision.holds:
            self.repetitions.count(decision.holds, refused=isinstance(decision, Refusal))
        if decision.ruling is not None:
            self.approvals.wait.observe(decision.ruling.waited)
        if outcome.found.ruling is not None:
            self.approvals.wait.observe(outcome.found.ruling.waited)
        for spoke in (*decision.spoke, *outcome.found.spoke):
            self.rules[spoke.policy, spoke.rule, spoke.verdict.value, spoke.mode.value] += 1
            for key, value in spoke.annotations:
                self.annotations[spoke.policy, spoke.rule, key, value] += 1

    def reloaded(self, version: str) -> None:
        """A new version of configuration and policies is in force (the first one is not a reload: see ``started``)."""
        self.reloads["success"] += 1
        self.policy_version = version

    def reload_failed(self) -> None:
        """A new version could not be used; the old one stays."""
        self.reloads["failure"] += 1

    def started(self, version: str) -> None:
        """The version that the process began with."""
        self.policy_version = version


def _traced(trace: Trace) -> bytes:
    """The trace context that the tool was told, or else that of the agent; empty where there is neither."""
    if trace.call is not None and trace.call.onward:
        return trace.call.onward[0][1]
    return trace.run.parent.encode("latin-1", "replace") if trace.run.parent else b""
