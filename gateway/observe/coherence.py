"""What calls did with memories that agents share, as Prometheus sees it. Memories are named by the operator."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric

from gateway.model import Call, Reason, Refusal, Trace
from gateway.observe.recalled import AGAIN, state_of

_READS = AGAIN | {"read", "gone", "late"}


class CoherenceSeries:
    """Counters by memory and outcome."""

    def __init__(self) -> None:
        self.reads: defaultdict[tuple[str, str], int] = defaultdict(int)
        """Keys that were read: read, gone, late; that were asked for again: verified, changed, unverified."""
        self.writes: defaultdict[tuple[str, str], int] = defaultdict(int)
        """Keys that were written: written, deleted, unknown; refused by the store."""
        self.conflicts: defaultdict[tuple[str, str], int] = defaultdict(int)
        """Writes that were not based on what stands: refused, unread, overtaken; merged, let through."""

    def record(self, trace: Trace) -> None:
        """Count one call."""
        for one in trace.recalled:
            counter = self.reads if one.how in _READS else self.writes
            counter[one.place[0], one.how] += 1
        if trace.call is not None and trace.call.glances:
            self._found(trace.call, trace)

    def _found(self, call: Call, trace: Trace) -> None:
        reason = trace.decision.reason if isinstance(trace.decision, Refusal) else None
        for glance in call.glances:
            outcome = _OUTCOMES.get((state_of(glance), reason)) if glance.touch.writes else None
            if outcome is not None:
                self.conflicts[glance.touch.memory, outcome] += 1


_OUTCOMES: dict[tuple[str, Reason | None], str] = {
    ("stale", Reason.MEMORY_STALE): "refused",
    ("stale", None): "let through",
    ("merged", None): "merged",
    ("merged", Reason.MEMORY_STALE): "overtaken",
    ("current", Reason.MEMORY_STALE): "overtaken",
    ("new", Reason.MEMORY_STALE): "overtaken",
    ("unread", Reason.MEMORY_STALE): "overtaken",
    ("unread", Reason.MEMORY_UNREAD): "unread",
    ("new", Reason.MEMORY_UNREAD): "unread",
}
"""By how the call found a key, and why it was refused."""


def coherence_metrics(series: CoherenceSeries) -> Iterator[Metric]:
    """Every family, also where no tool is a memory."""
    for name, what, counts in (
        (
            "reads",
            "Keys of memories read (read, gone, late), and asked for again (verified, changed, unverified).",
            series.reads,
        ),
        ("writes", "Keys of memories that were written (written, deleted, unknown, refused).", series.writes),
        (
            "conflicts",
            "Writes not based on what stands (refused, unread, overtaken, merged, let through).",
            series.conflicts,
        ),
    ):
        family = CounterMetricFamily(f"toolgate_coherence_{name}", what, labels=("memory", "outcome"))
        for labels, count in counts.items():
            family.add_metric(labels, count)
        yield family
