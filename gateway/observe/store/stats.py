"""Sums over a window of time, made by SQL: nothing but the sums leaves the file."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from msgspec import structs

from gateway.observe.store.found import AgentStats, Bucket, RefusalStats, RuleStats, Stretch, ToolStats
from gateway.observe.store.selection import FAILED, REFUSED, Condition, joined

_COUNTS = f"count(*), sum({REFUSED}), sum({FAILED})"
_WINDOW = "ms >= :since AND ms < :until"
_BUCKET = "min(:buckets - 1, (ms - :since) * :buckets / (:until - :since))"
_LATENCIES = f"""
    SELECT tool, bucket, max(iif(place = (n * 50 + 99) / 100, total_ms, NULL)),
        max(iif(place = (n * 95 + 99) / 100, total_ms, NULL))
    FROM (
        SELECT tool, bucket, total_ms, row_number() OVER (PARTITION BY tool, bucket ORDER BY total_ms) AS place,
            count(*) OVER (PARTITION BY tool, bucket) AS n
        FROM (
            SELECT tool, {_BUCKET} AS bucket, total_ms FROM calls
            WHERE {_WINDOW} AND id % :stride = 0 AND tool IS NOT NULL AND decision = 'allow' AND NOT implied
        )
    )
    GROUP BY tool, bucket
"""  # noqa: S608 - of constants
"""Quantiles by the nearest rank, without calls that only keep a session going: their streams stay open for hours."""
_SAMPLED = 100_000
"""Calls that quantiles are made of, about; of more, every so many are looked at."""


def tools_of(connection: sqlite3.Connection, since: float, until: float, buckets: int) -> list[ToolStats]:
    """Each tool, by name; see ``TraceReader.tools``."""
    times = {**_times(since, until), "buckets": buckets}
    counted = connection.execute(
        f"SELECT tool, {_BUCKET} AS bucket, {_COUNTS}, total(cost_usd) FROM calls"  # noqa: S608
        f" WHERE {_WINDOW} AND tool IS NOT NULL GROUP BY tool, bucket",
        times,
    ).fetchall()
    times["stride"] = max(1, sum(row[2] for row in counted) // _SAMPLED)
    overall = {tool: quantiles for tool, _, *quantiles in connection.execute(_LATENCIES, {**times, "buckets": 1})}
    latencies = {(tool, bucket): quantiles for tool, bucket, *quantiles in connection.execute(_LATENCIES, times)}
    parts: defaultdict[str, dict[int, Bucket]] = defaultdict(dict)
    costs: defaultdict[str, float] = defaultdict(float)
    for tool, bucket, calls, refused, failed, cost in counted:
        p50, p95 = latencies.get((tool, bucket), (None, None))
        parts[tool][bucket] = Bucket(_begin(since, until, buckets, bucket), calls, refused, failed, p50, p95)
        costs[tool] += cost
    found = []
    for tool, mine in sorted(parts.items()):
        calls, refused, failed = map(sum, zip(*((b.calls, b.refused, b.failed) for b in mine.values()), strict=True))
        whole = tuple(mine.get(number) or _empty(since, until, buckets, number) for number in range(buckets))
        p50, p95 = overall.get(tool, (None, None))
        found.append(ToolStats(tool, calls, refused, failed, costs[tool], p50, p95, whole))
    return found


def agents_of(connection: sqlite3.Connection, since: float, until: float) -> list[AgentStats]:
    """Each agent; see ``TraceReader.agents``."""
    rows = connection.execute(
        f"SELECT agent, {_COUNTS}, total(cost_usd) AS cost, count(DISTINCT run), max(ms) FROM calls"  # noqa: S608
        f" WHERE {_WINDOW} AND agent IS NOT NULL GROUP BY agent ORDER BY cost DESC, count(*) DESC, agent",
        _times(since, until),
    )
    return [structs.replace(AgentStats(*values), last=values[-1] / 1e3) for values in rows]


def rules_of(connection: sqlite3.Connection, since: float, until: float) -> list[RuleStats]:
    """Each rule with its verdict and mode; see ``TraceReader.rules``."""
    rows = connection.execute(
        "SELECT policy, said.rule, verdict, mode, count(*), max(ms) FROM calls JOIN said ON said.id = calls.id"  # noqa: S608
        f" WHERE {_WINDOW} GROUP BY policy, said.rule, verdict, mode ORDER BY policy, said.rule, verdict, mode",
        _times(since, until),
    )
    return [structs.replace(RuleStats(*values), last=values[-1] / 1e3) for values in rows]


def timeline_of(
    connection: sqlite3.Connection, asked: Sequence[Condition], since: float, until: float, buckets: int
) -> tuple[Stretch, ...]:
    """See ``TraceReader.timeline``; ``asked`` holds the window already."""
    times = _times(since, until)
    first, span = times["since"], times["until"] - times["since"]
    where, values = joined(asked)
    rows = connection.execute(
        f"SELECT min({buckets:d} - 1, (ms - {first:d}) * {buckets:d} / {span:d}) AS bucket, {_COUNTS},"  # noqa: S608
        f" total(cost_usd) FROM calls {where} GROUP BY bucket",
        values,
    )
    found = {bucket: counts for bucket, *counts in rows}
    nothing = (0, 0, 0, 0.0)
    return tuple(Stretch(_begin(since, until, buckets, one), *found.get(one, nothing)) for one in range(buckets))


def refusals_of(connection: sqlite3.Connection, asked: Sequence[Condition]) -> list[RefusalStats]:
    """See ``TraceReader.refusals``."""
    where, values = joined([*asked, ("decision = 'refuse'", ())])
    rows = connection.execute(
        f"SELECT reason, rule, count(*) AS hits, max(ms) FROM calls {where}"  # noqa: S608
        " GROUP BY reason, rule ORDER BY hits DESC, reason, rule",
        values,
    )
    return [RefusalStats(reason, rule, hits, last / 1e3) for reason, rule, hits, last in rows]


def _empty(since: float, until: float, buckets: int, number: int) -> Bucket:
    return Bucket(_begin(since, until, buckets, number), 0, 0, 0, None, None)


def _begin(since: float, until: float, buckets: int, number: int) -> float:
    return since + (until - since) * number / buckets


def _times(since: float, until: float) -> dict[str, Any]:
    first = round(since * 1e3)
    return {"since": first, "until": max(first + 1, round(until * 1e3))}
