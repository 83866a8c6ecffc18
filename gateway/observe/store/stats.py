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
