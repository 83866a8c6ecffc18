"""Sums over a window of time, made by SQL: nothing but the sums leaves the file."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from typing import Any

from msgspec import structs

from gateway.observe.store.found import AgentStats, Bucket, RuleStats, ToolStats
from gateway.observe.store.selection import FAILED, REFUSED

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
            WHERE {_WINDOW} AND tool IS NOT NULL AND decision = 'allow' AND NOT implied
        )
    )
    GROUP BY tool, bucket
"""  # noqa: S608 - of constants
"""Quantiles by the nearest rank, without calls that only keep a session going: their streams stay open for hours."""


def tools_of(connection: sqlite3.Connection, since: float, until: float, buckets: int) -> list[ToolStats]:
    """Each tool, by name; see ``TraceReader.tools``."""
    whole, parts = _by_bucket(connection, since, until, 1), _by_bucket(connection, since, until, buckets)
    cost = dict(
        connection.execute(
            f"SELECT tool, total(cost_usd) FROM calls WHERE {_WINDOW} AND tool IS NOT NULL GROUP BY tool",  # noqa: S608
            _times(since, until),
        ).fetchall()
    )
    found = []
    for tool in sorted(whole):
        (all_of_it,) = whole[tool].values()
        found.append(
            ToolStats(
                tool,
                all_of_it.calls,
                all_of_it.refused,
                all_of_it.failed,
                cost[tool],
                all_of_it.p50_ms,
                all_of_it.p95_ms,
                tuple(parts[tool].get(number) or _empty(since, until, buckets, number) for number in range(buckets)),
            )
        )
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


def _by_bucket(
    connection: sqlite3.Connection, since: float, until: float, buckets: int
) -> defaultdict[str, dict[int, Bucket]]:
    values = {**_times(since, until), "buckets": buckets}
    latencies = {(tool, bucket): quantiles for tool, bucket, *quantiles in connection.execute(_LATENCIES, values)}
    rows = connection.execute(
        f"SELECT tool, {_BUCKET} AS bucket, {_COUNTS} FROM calls WHERE {_WINDOW} AND tool IS NOT NULL"  # noqa: S608
        " GROUP BY tool, bucket",
        values,
    )
    found: defaultdict[str, dict[int, Bucket]] = defaultdict(dict)
    for tool, bucket, calls, refused, failed in rows:
        p50, p95 = latencies.get((tool, bucket), (None, None))
        found[tool][bucket] = Bucket(_begin(since, until, buckets, bucket), calls, refused, failed, p50, p95)
    return found


def _empty(since: float, until: float, buckets: int, number: int) -> Bucket:
    return Bucket(_begin(since, until, buckets, number), 0, 0, 0, None, None)


def _begin(since: float, until: float, buckets: int, number: int) -> float:
    return since + (until - since) * number / buckets


def _times(since: float, until: float) -> dict[str, Any]:
    first = round(since * 1e3)
    return {"since": first, "until": max(first + 1, round(until * 1e3))}
