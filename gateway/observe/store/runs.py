"""Runs as their calls tell of them: in sum, and as a story with what led to what."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from gateway.model import Reason
from gateway.observe.store.found import Row, RunSummary
from gateway.observe.store.selection import FAILED, REFUSED, Condition, joined

MOST_STEPS = 10_000
"""Calls of a run that are told of, the first ones."""
_NEWEST = 10_000
"""Calls among which the runs active last are looked for first."""
_ACTIVE = 60.0
"""Seconds after its last call for which a run counts as active."""
_STATES: dict[str, str] = {
    **dict.fromkeys((Reason.LOOP_DETECTED, Reason.REPEATED_FAILURE), "looping"),
    **dict.fromkeys((Reason.RATE_LIMITED, Reason.QUEUE_TIMEOUT, Reason.RETRY_BUDGET_EXHAUSTED), "throttled"),
    **dict.fromkeys((Reason.BUDGET_EXHAUSTED, Reason.RUN_LIMITED), "out of budget"),
    Reason.QUARANTINED: "quarantined",
    Reason.APPROVAL_REQUIRED: "waiting for a human",
}

Rows = Callable[[list[Condition], str, int], list[Row]]


class Proposal(Struct, frozen=True):
    """A tool call that a model proposed, and what became of it."""

    name: str
    refused: str
    """The rule that took it out of the answer, or empty."""
    made: str = ""
    """Id of the call that was then made under that name, or empty."""


class Step(Struct):
    """One call of a run."""

    row: Row
    record: dict[str, Any]
    proposals: list[Proposal] = []
    proposed_by: str = ""
    """Id of the model's turn that proposed the call, where one of that name came before it in the run."""
    children: list[Step] = []
    """Calls that its tool made, in order of arrival."""


class Story(Struct, frozen=True):
    """One tree of runs."""

    summary: RunSummary
    labels: tuple[str, ...]
    """All that the runs were marked with."""
    steps: tuple[Step, ...]
    """Calls that no call of the run led to, in order of arrival."""


def summaries(connection: sqlite3.Connection, asked: Sequence[Condition], now: float, limit: int) -> list[RunSummary]:
    """The trees that have calls that fit, the last active first."""
    where, values = joined([*asked, ("tree_run IS NOT NULL", ())])
    for newest in (_NEWEST, -1):  # -1 is no bound
        trees = connection.execute(
            "SELECT tree_agent, tree_run FROM"  # noqa: S608
            f" (SELECT id, tree_agent, tree_run FROM calls {where} ORDER BY id DESC LIMIT ?)"
            " GROUP BY 1, 2 ORDER BY max(id) DESC LIMIT ?",
            (*values, newest, limit),
        ).fetchall()
        if len(trees) == limit:
            break
    return [_summary(connection, agent, run, now) for agent, run in trees]


def run_of(connection: sqlite3.Connection, run: str, agent: str, now: float, rows: Rows) -> list[Story]:
    """The stories of the trees that the run is, or is in."""
    trees = connection.execute(
        "SELECT DISTINCT tree_agent, tree_run FROM calls WHERE tree_run = :run"
        " UNION SELECT tree_agent, tree_run FROM calls WHERE run IS NOT tree_run AND run = :run",
        {"run": run},
    ).fetchall()
    stories = []
    for tree_agent, tree_run in trees:
        if agent and tree_agent != agent:
            continue
        mine: list[Condition] = [("tree_run = ? AND tree_agent IS ?", (tree_run, tree_agent))]
        steps = _steps(rows(mine, "ORDER BY ms, calls.id", MOST_STEPS))
        labels = dict.fromkeys(label for step in steps for label in step.record.get("labels") or ())
        stories.append(Story(_summary(connection, tree_agent, tree_run, now), tuple(labels), tuple(_nested(steps))))
    return sorted(stories, key=lambda story: -story.summary.last)


def _summary(connection: sqlite3.Connection, agent: str | None, run: str, now: float) -> RunSummary:
    mine, values = "tree_run = ? AND tree_agent IS ?", (run, agent)
    first, last, calls, refused, failed, cost, agents = connection.execute(
        f"SELECT min(ms), max(ms + total_ms), count(*), sum({REFUSED}), sum({FAILED}), total(cost_usd),"  # noqa: S608
        f" count(DISTINCT agent) FROM calls WHERE {mine}",
        values,
    ).fetchone()
    (reason,) = connection.execute(
        f"SELECT reason FROM calls WHERE {mine} ORDER BY id DESC LIMIT 1",  # noqa: S608
        values,
    ).fetchone()
    tools = connection.execute(
        f"SELECT tool FROM calls WHERE {mine} AND tool IS NOT NULL GROUP BY tool ORDER BY count(*) DESC",  # noqa: S608
        values,
    )
    state = _STATES.get(reason or "") or ("active" if now - last / 1e3 < _ACTIVE else "quiet")
    return RunSummary(
        agent,
        run,
        state,
        first / 1e3,
        last / 1e3,
        calls,
        refused,
        failed,
        cost,
        agents,
        tuple(tool for (tool,) in tools),
    )


def _steps(rows: Sequence[Row]) -> list[Step]:
    """The calls, each proposal of a model joined with the first call of that name that came after it."""
    steps = [Step(row, row.record) for row in rows]
    waiting: list[tuple[str, Step, int]] = []
    for step in steps:
        names = _names(step)
        taken = next((one for one in waiting if one[0] in names), None)
        if taken is not None:
            waiting.remove(taken)
            _, turn, at = taken
            turn.proposals[at] = Proposal(turn.proposals[at].name, "", step.row.call)
            step.proposed_by = turn.row.call
        for at, one in enumerate(step.record.get("proposed") or ()):
            step.proposals.append(Proposal(one["name"], one["refused"] or ""))
            if not one["refused"]:
                waiting.append((_plain(one["name"]), step, at))
    return steps


def _names(step: Step) -> frozenset[str]:
    """Under which names a model may have proposed the call: SDKs put the server's name before that of the tool."""
    row, facts = step.row, step.record.get("facts") or {}
    operation, tool = row.operation or "", row.tool or ""
    told = {operation, tool, tool + operation, facts.get("mcp.name") or "", tool + (facts.get("mcp.name") or "")}
    return frozenset(_plain(name) for name in told if name)


def _plain(name: str) -> str:
    return re.sub(r"[^0-9a-z]", "", name.lower())


def _nested(steps: Sequence[Step]) -> list[Step]:
    """Each call below the one whose span it names as its parent; the others stay as they are."""
    spans = {span: step for step in steps if (span := step.record.get("span_id"))}
    roots = []
    for step in steps:
        led_by = step.record.get("led_by") or {}
        parent = spans.get(led_by.get("span_id") or step.record.get("parent_span_id") or "")
        if parent is None or parent.row.at > step.row.at or parent is step:
            roots.append(step)
        else:
            parent.children.append(step)
    return roots
