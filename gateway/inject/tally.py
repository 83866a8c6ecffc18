"""What an injector counts, for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway import __version__

OUTCOMES = ("injected", "left", "denied", "unreadable")
TROUBLES = ("certificate", "settings")


class Tally(Collector):
    """``reviews`` by outcome, ``failures`` by what is not up to date, ``expires`` in seconds since 1970."""

    def __init__(self) -> None:
        self.reviews: Counter[str] = Counter(dict.fromkeys(OUTCOMES, 0))
        self.failures: Counter[str] = Counter(dict.fromkeys(TROUBLES, 0))
        self.expires = 0.0

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment."""
        reviews = CounterMetricFamily(
            "toolgate_inject_reviews", "Reviews of pods, by what became of them.", labels=["outcome"]
        )
        for outcome, count in self.reviews.items():
            reviews.add_metric([outcome], count)
        yield reviews
        failures = CounterMetricFamily(
            "toolgate_inject_failures", "Failures to bring it up to date, of certificate or settings.", labels=["what"]
        )
        for what, count in self.failures.items():
            failures.add_metric([what], count)
        yield failures
        yield GaugeMetricFamily(
            "toolgate_inject_certificate_expiry_seconds",
            "When the certificate is over, in seconds since 1970; 0 where there is none yet.",
            value=self.expires,
        )
        about = GaugeMetricFamily("toolgate_inject", "The injector's version.", labels=["version"])
        about.add_metric([__version__], 1)
        yield about


def registry_of(tally: Tally) -> CollectorRegistry:
    """A registry with these and the process's own."""
    registry = CollectorRegistry()
    registry.register(tally)
    ProcessCollector(registry=registry)
    return registry
