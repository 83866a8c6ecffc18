"""Runs as their calls tell of them: in sum, and as a story with what led to what."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from msgspec import Struct

from gateway.observe.links import names_of, plain
from gateway.observe.runstate import RunState, Transition, ended_in, history
from gateway.observe.store.found import Row, RunSummary
from gateway.observe.store.selection import FAILED, OF_TREE, REFUSED, Condition, joined

MOST_STEPS = 10_000
"""Calls of a run that are told of, the first ones."""
_NEWEST = 10_000
"""Calls among which the runs active last are looked for first."""
_LAST = 100
"""Calls of a run that say in which state it is, the last ones."""

Rows = Callable[[list[Condition], str, int], list[Row]]


class Proposal(Struct, frozen=True):
    """A tool call that a model proposed, and what became of it."""

    name: str
    refused: str
    """The rule that took it out of the answer, or empty."""
    made: str = ""
    """Id of the call that was then made, or empty."""
    id: str = ""
    """As the model gave it."""
    loosely: bool = False
    """That the call follows the proposal is a guess, by its name or its arguments alone."""


class Step(Struct):
    """One call of a run."""

    row: Row
    record: dict[str, Any]
    proposals: list[Proposal] = []
    proposed_by: str = ""
    """Id of the model's turn that proposed the call, or empty where that is not known."""
    loosely: bool = False
    """That it did is a guess, by the proposal's name or arguments alone."""
    children: list[Step] = []
    """Calls that its tool made, in order of arrival."""


class Story(Struct, frozen=True):
    """One tree of runs."""

    summary: RunSummary
    labels: tuple[str, ...]
    """All that the runs were marked with."""
    steps: tuple[Step, ...]
    """Calls that no call of the run led to, in order of arrival."""
    transitions: tuple[Transition, ...] = ()
    """From which state the run came to which, and why; of the calls that ``steps`` tell of."""


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
    """The stories of the trees that the run is, or is in; of one agent's run where ``agent`` says whose."""
    found = connection.execute(
        f"SELECT tree_agent, tree_run, iif(run = tree_run, agent, tree_agent) FROM calls WHERE {OF_TREE}"  # noqa: S608
        " UNION SELECT tree_agent, tree_run, agent FROM calls WHERE run IS NOT tree_run AND run = ?",
        (run, run),
    ).fetchall()
    trees = dict.fromkeys(
        (tree_agent, tree_run)
        for tree_agent, tree_run, whose in found
        if not agent or agent == whose or (agent, run) == (tree_agent, tree_run)
    )
    stories = []
    for tree_agent, tree_run in trees:
        mine: list[Condition] = [(f"{OF_TREE} AND tree_agent IS ?", (tree_run, tree_agent))]
        steps = _steps(rows(mine, "ORDER BY ms, calls.id", MOST_STEPS))
        labels = dict.fromkeys(label for step in steps for label in step.record.get("labels") or ())
        summary = _summary(connection, tree_agent, tree_run, now)
        in_order = sorted(steps, key=lambda step: step.row.id)
        _, moved = history([ended_in(step.record) for step in in_order], now)
        stories.append(Story(summary, tuple(labels), tuple(_nested(steps)), moved))
    return sorted(stories, key=lambda story: -story.summary.last)


def _summary(connection: sqlite3.Connection, agent: str | None, run: str, now: float) -> RunSummary:
    mine, values = f"{OF_TREE} AND tree_agent IS ?", (run, agent)
    first, last, calls, refused, failed, cost, agents = connection.execute(
        f"SELECT min(ms), max(ms + total_ms), count(*), sum({REFUSED}), sum({FAILED}), total(cost_usd),"  # noqa: S608
        f" count(DISTINCT agent) FROM calls WHERE {mine}",
        values,
    ).fetchone()
    tools = connection.execute(
        f"SELECT tool FROM calls WHERE {mine} AND tool IS NOT NULL GROUP BY tool ORDER BY count(*) DESC",  # noqa: S608
        values,
    )
    return RunSummary(
        agent,
        run,
        _state(connection, agent, run, now).value,
        first / 1e3,
        last / 1e3,
        calls,
        refused,
        failed,
        cost,
        agents,
        tuple(tool for (tool,) in tools),
    )


def _state(connection: sqlite3.Connection, agent: str | None, run: str, now: float) -> RunState:
    last = connection.execute(
        f"SELECT line FROM calls JOIN records USING (id) WHERE {OF_TREE} AND tree_agent IS ?"  # noqa: S608
        " ORDER BY id DESC LIMIT ?",
        (run, agent, _LAST),
    ).fetchall()
    return history([ended_in(orjson.loads(line)) for (line,) in reversed(last)], now)[0]


def _steps(rows: Sequence[Row]) -> list[Step]:
    """The calls, each proposal of a model joined with the call that followed it: as the record says, else the first of
    that name that came after it."""
    steps = [Step(row, row.record) for row in rows]
    turns = {step.row.call: step for step in steps}
    waiting: list[tuple[Step, int]] = []
    for step in steps:
        for one in step.record.get("proposed") or ():
            refused = one["refused"] or ""
            if not refused:
                waiting.append((step, len(step.proposals)))
            step.proposals.append(Proposal(one["name"], refused, id=one.get("id") or ""))
    for step in steps:
        if link := step.record.get("proposed_by"):
            step.proposed_by, step.loosely = link["call"], link["loosely"]
            if (turn := turns.get(link["call"])) is not None:
                _mark(turn, link, step)
    waiting = [(turn, at) for turn, at in waiting if not turn.proposals[at].made]
    for step in steps:
        if step.record.get("proposed_by") is None:
            _guess(step, waiting)
    return steps


def _mark(turn: Step, link: dict[str, Any], step: Step) -> None:
    """Note in the turn that its proposal was followed, by the first call that did."""
    for at, one in enumerate(turn.proposals):
        if not one.made and not one.refused and (one.id, one.name) == ((link["id"] or ""), link["name"]):
            turn.proposals[at] = Proposal(one.name, "", step.row.call, one.id, link["loosely"])
            return


def _guess(step: Step, waiting: list[tuple[Step, int]]) -> None:
    """Join the call with the first proposal before it that has its name and was not followed yet."""
    names = names_of(
        step.row.tool or "", step.row.operation or "", (step.record.get("facts") or {}).get("mcp.name") or ""
    )
    for taken in waiting:
        turn, at = taken
        if turn.row.at > step.row.at or turn is step:
            return
        one = turn.proposals[at]
        if plain(one.name) in names:
            waiting.remove(taken)
            turn.proposals[at] = Proposal(one.name, "", step.row.call, one.id, True)
            step.proposed_by, step.loosely = turn.row.call, True
            return


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
