"""How people are asked and what they say, as it is counted, and as Prometheus sees it.

Rules, budgets of attention and verbs are the labels: those come from the operator's files or are few. Verdicts are
counted by the one replica that wrote them down, so sums over replicas are true.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from gateway.observe.histogram import Histogram, fill

VERDICT_BUCKETS = (1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0)
WAIT_BUCKETS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 45.0, 60.0, 300.0)
"""Upper bounds in seconds; +Inf is one more."""
MOST_RULES = 500
"""Rules told apart: reloads bring others all the time, and nothing is forgotten here."""
OTHER = "other"


class Vigilance(Struct, frozen=True):
    """How carefully people have looked lately. A ratio is None where there is nothing to make it of."""

    waiting: Mapping[str, int] = {}
    """State (waiting, approved, running), and how many approvals are in it."""
    rubber_stamps: float | None = None
    """Of approvals whose time of looking is known, the share that took less than anybody reads in."""
    caught: float | None = None
    """Of questions with a known answer, the share that was answered right."""


class ApprovalSeries:
    """The counters of one process."""

    def __init__(self) -> None:
        self.opened: defaultdict[str, int] = defaultdict(int)
        """By rule."""
        self.decided: defaultdict[tuple[str, str], int] = defaultdict(int)
        """By rule and verb."""
        self.beyond: defaultdict[tuple[str, str], int] = defaultdict(int)
        """By budget of attention, and what became of the call: refused, sampled."""
        self.decision = Histogram(VERDICT_BUCKETS)
        self.wait = Histogram(WAIT_BUCKETS)
        self._rules: set[str] = set()

    def ask(self, rules: Iterable[str]) -> None:
        """People are about to be asked about a call."""
        for rule in rules:
            self.opened[self._told(rule)] += 1

    def decide(self, rules: Iterable[str], verb: str, seconds: float) -> None:
        """They have decided, so many seconds after it came before them."""
        for rule in rules:
            self.decided[self._told(rule), verb] += 1
        self.decision.observe(seconds)

    def _told(self, rule: str) -> str:
        if rule not in self._rules:
            if len(self._rules) >= MOST_RULES:
                return OTHER
            self._rules.add(rule)
        return rule


def approval_metrics(series: ApprovalSeries, now: Vigilance) -> Iterator[Metric]:
    """All families, also where nobody is ever asked."""
    waiting = GaugeMetricFamily("toolgate_approvals_open", "Approvals that stand, by state.", labels=("state",))
    for state, count in now.waiting.items():
        waiting.add_metric((state,), count)
    opened = CounterMetricFamily("toolgate_approvals_opened", "Calls put before people, by rule.", labels=("rule",))
    for rule, count in series.opened.items():
        opened.add_metric((rule,), count)
    decided = CounterMetricFamily("toolgate_approvals_decided", "Verdicts of people.", labels=("rule", "verb"))
    for (rule, verb), count in series.decided.items():
        decided.add_metric((rule, verb), count)
    beyond = CounterMetricFamily(
        "toolgate_approvals_beyond_attention",
        "Calls beyond what people have time for, refused or still put before them.",
        labels=("budget", "outcome"),
    )
    for labels, count in series.beyond.items():
        beyond.add_metric(labels, count)
    yield from (waiting, opened, decided, beyond)
    decision = HistogramMetricFamily("toolgate_approvals_decision_seconds", "From the question to the verdict.")
    fill(decision, (), series.decision)
    wait = HistogramMetricFamily("toolgate_approvals_wait_seconds", "What calls waited for people, each time.")
    fill(wait, (), series.wait)
    yield from (decision, wait)
    yield _ratio("toolgate_approvals_rubber_stamp_ratio", "Approvals given in less than 3 s.", now.rubber_stamps)
    yield _ratio("toolgate_approvals_canary_catch_ratio", "Known-answer checks that were denied.", now.caught)


def _ratio(name: str, text: str, value: float | None) -> Metric:
    family = GaugeMetricFamily(name, f"{text} Of the last 7 days; absent where there were none.")
    if value is not None:
        family.add_metric((), value)
    return family
