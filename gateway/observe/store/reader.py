"""Questions to the store, answered over a connection that only reads. Answers are pages: no read is held open, which
would keep the writer's log from being cut."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from msgspec import structs

from gateway.observe.store.found import (
    ANY,
    AgentStats,
    Extent,
    Filter,
    RefusalStats,
    Row,
    RuleStats,
    RunSummary,
    Stretch,
    ToolStats,
)
from gateway.observe.store.rows import COLUMNS
from gateway.observe.store.runs import Story, run_of, summaries
from gateway.observe.store.selection import Condition, conditions, joined
from gateway.observe.store.stats import agents_of, refusals_of, rules_of, timeline_of, tools_of
from gateway.observe.store.words import Words

_ROW = f"SELECT calls.id, {', '.join(COLUMNS)}, line FROM calls JOIN records ON records.id = calls.id"  # noqa: S608
_PAGE = 500
"""Calls read at once where a condition is evaluated that SQL cannot."""


class TraceReader:
    """Reads one store. For one thread at a time; ``now`` is the caller's clock, in seconds since the epoch."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """``connection`` is of ``file.open_for_reading``, or a store of one's own."""
        self._connection = connection
        self._words = Words(connection)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def calls(self, wanted: Filter = ANY, limit: int = 50, before: Row | None = None) -> list[Row]:
        """The newest calls that fit, newest arrival first; ``before`` is the last one of the page before."""
        found: list[Row] = []
        fixed = self._conditions(wanted)
        while len(found) < limit:
            page = limit if wanted.where is None else _PAGE
            asked = [*fixed] if before is None else [*fixed, _earlier(before)]
            rows = self._rows(asked, "ORDER BY ms DESC, calls.id DESC", page)
            found += _fitting(rows, wanted)
            if len(rows) < page:
                break
            before = rows[-1]
        return found[:limit]

    def after(self, ident: int, wanted: Filter = ANY, limit: int = 500) -> tuple[list[Row], int]:
        """The next calls to have ended after the one with this ``id``, oldest first, as far as they fit; and the id to
        go on from. Looks at ``limit`` calls at most."""
        last = self.last()
        (end,) = self._connection.execute(
            "SELECT max(id) FROM (SELECT id FROM calls WHERE id > ? ORDER BY id LIMIT ?)", (ident, limit)
        ).fetchone()
        if end is None:
            return [], max(ident, last)
        asked: list[Condition] = [*self._conditions(wanted), ("calls.id > ? AND calls.id <= ?", (ident, end))]
        return list(_fitting(self._rows(asked, "ORDER BY calls.id", limit), wanted)), end

    def last(self) -> int:
        """The id of the call that ended last; 0 for none."""
        newest: int | None = self._connection.execute("SELECT max(id) FROM calls").fetchone()[0]
        return newest or 0

    def call(self, ident: str) -> Row | None:
        """The call with this id (``X-Toolgate-Call``)."""
        rows = self._rows([("call = ?", (ident,))], "ORDER BY calls.id DESC", 1)
        return rows[0] if rows else None

    def runs(self, now: float, wanted: Filter = ANY, limit: int = 50) -> list[RunSummary]:
        """Trees of runs that have calls that fit, the last active first; told of are all of their calls. ``where`` is
        not for these."""
        return summaries(self._connection, self._conditions(structs.replace(wanted, where=None)), now, limit)

    def run(self, run: str, now: float, agent: str = "") -> list[Story]:
        """The trees with this run at their root or in them, each whole: of one agent where ``agent`` says whose.
        Several agents may call their runs by one name."""
        return run_of(self._connection, run, agent, now, self._rows)

    def tools(self, since: float, until: float, buckets: int = 1) -> list[ToolStats]:
        """Each tool from ``since`` to ``until``, and in so many equal stretches of that time. Latencies of very many
        calls are those of a sample."""
        return tools_of(self._connection, since, until, buckets)

    def agents(self, since: float, until: float) -> list[AgentStats]:
        """Each agent of that time, dearest first, then by calls."""
        return agents_of(self._connection, since, until)

    def rules(self, since: float, until: float) -> list[RuleStats]:
        """Each rule that spoke in that time."""
        return rules_of(self._connection, since, until)

    def timeline(self, since: float, until: float, buckets: int, wanted: Filter = ANY) -> tuple[Stretch, ...]:
        """Calls that fit, from ``since`` to ``until`` in so many equal stretches. ``where`` is not for these."""
        asked = self._conditions(structs.replace(wanted, since=since, until=until, where=None))
        return timeline_of(self._connection, asked, since, until, buckets)

    def refusals(self, wanted: Filter = ANY) -> list[RefusalStats]:
        """What refused calls that fit, most first. ``where`` is not for these."""
        return refusals_of(self._connection, self._conditions(structs.replace(wanted, where=None)))

    def extent(self) -> Extent:
        """How many calls there are, and from when to when."""
        calls, first, last = self._connection.execute("SELECT count(*), min(ms), max(ms) FROM calls").fetchone()
        return Extent(calls, None if first is None else first / 1e3, None if last is None else last / 1e3)

    def _conditions(self, wanted: Filter) -> list[Condition]:
        found = conditions(wanted)
        if wanted.text.strip():
            found.append(self._words.having(wanted.text))
        return found

    def _rows(self, asked: list[Condition], order: str, limit: int) -> list[Row]:
        where, values = joined(asked)
        rows = self._connection.execute(f"{_ROW} {where} {order} LIMIT ?", (*values, limit))
        return [_row(values) for values in rows.fetchall()]


def _row(values: tuple[Any, ...]) -> Row:
    ident, ms, *rest = values
    is_error, implied = rest[13], rest[17]
    rest[13], rest[17] = None if is_error is None else bool(is_error), bool(implied)
    return Row(ident, ms / 1e3, *rest)


def _earlier(row: Row) -> Condition:
    ms = round(row.at * 1e3)
    return "ms <= ? AND (ms < ? OR calls.id < ?)", (ms, ms, row.id)


def _fitting(rows: list[Row], wanted: Filter) -> Iterator[Row]:
    where = wanted.where
    return iter(rows) if where is None else (row for row in rows if where.fits(row.record))
