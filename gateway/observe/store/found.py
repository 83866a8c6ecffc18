"""What is asked of the store, and what it answers."""

from __future__ import annotations

from typing import Any

import orjson
from msgspec import Struct

from gateway.observe.store.where import Where


class Filter(Struct, frozen=True):
    """Which calls are meant: all that fit everything that is given. ``since`` and ``until`` are arrivals in seconds
    since the epoch; ``run`` also means the runs that it led to; ``text`` are words that must all be in the record."""

    since: float | None = None
    until: float | None = None
    agent: str = ""
    run: str = ""
    tool: str = ""
    decision: str = ""
    reason: str = ""
    policy: str = ""
    """A policy of which some rule spoke."""
    rule: str = ""
    """A rule that spoke."""
    text: str = ""
    where: Where | None = None


ANY = Filter()
"""Every call."""


class Row(Struct, frozen=True):
    """The indexed part of a record. ``id`` grows in the order in which calls ended."""

    id: int
    at: float
    """Arrival, seconds since the epoch."""
    call: str
    agent: str | None
    run: str | None
    tree_agent: str | None
    tree_run: str | None
    tool: str | None
    operation: str | None
    decision: str | None
    reason: str | None
    rule: str | None
    status: int
    upstream_status: int | None
    fault: str | None
    is_error: bool | None
    cost_usd: float | None
    total_ms: float
    trace_id: str | None
    implied: bool
    line: str
    """The whole record, in JSON."""

    @property
    def record(self) -> dict[str, Any]:
        """The whole record; its keys are those of ``docs/trace.md``."""
        decoded: dict[str, Any] = orjson.loads(self.line)
        return decoded

    @property
    def failed(self) -> bool:
        """Whether it was let through and failed: no answer, an error status, or a tool's word."""
        status = self.upstream_status or 0
        return self.decision == "allow" and (not 0 < status < 400 or self.fault is not None or bool(self.is_error))


class RunSummary(Struct, frozen=True):
    """One tree of runs, by the run at its root. Times in seconds since the epoch."""

    agent: str | None
    run: str
    state: str
    """See ``runstate.RunState``."""
    first: float
    last: float
    """When its last call ended."""
    calls: int
    refused: int
    failed: int
    cost_usd: float
    agents: int
    """Agents that made calls in it."""
    tools: tuple[str, ...]


class Bucket(Struct, frozen=True):
    """Calls of some stretch of time that begins at ``at``. Latencies are those of calls that were let through."""

    at: float
    calls: int
    refused: int
    failed: int
    p50_ms: float | None
    p95_ms: float | None


class ToolStats(Struct, frozen=True):
    """One tool over a window."""

    tool: str
    calls: int
    refused: int
    failed: int
    cost_usd: float
    p50_ms: float | None
    p95_ms: float | None
    buckets: tuple[Bucket, ...]


class AgentStats(Struct, frozen=True):
    """One agent over a window."""

    agent: str
    calls: int
    refused: int
    failed: int
    cost_usd: float
    runs: int
    last: float


class RuleStats(Struct, frozen=True):
    """One rule over a window: how often it spoke, by its verdict and mode."""

    policy: str
    rule: str
    verdict: str
    mode: str
    hits: int
    last: float


class Stretch(Struct, frozen=True):
    """Calls of some stretch of time that begins at ``at``."""

    at: float
    calls: int
    refused: int
    failed: int
    cost_usd: float


class RefusalStats(Struct, frozen=True):
    """Calls that were refused for one reason by one rule or guard (None: it has no name)."""

    reason: str
    rule: str | None
    hits: int
    last: float


class Extent(Struct, frozen=True):
    """What the store holds."""

    calls: int
    first: float | None
    last: float | None
