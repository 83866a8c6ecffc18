"""A run as its page tells it: every step in order, and in short what went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from gateway.console import plots
from gateway.console.pieces import whole
from gateway.console.stream import outcome_of
from gateway.observe.memory_words import memory_words
from gateway.observe.store.runs import Step, Story

MOST_TROUBLES = 12
"""Kinds of trouble that are told of, in the order in which they began."""


class Told(Struct, frozen=True):
    """One call of the run. ``depth`` is how many calls it lies within, ``offset`` seconds since the run began."""

    step: Step
    record: dict[str, Any]
    depth: int
    number: int
    offset: float
    outcome: str
    """See ``stream.outcome_of``."""
    stay: plots.Stay
    guards: list[dict[str, Any]]
    """What guards said that mattered: those that refused, and those that are not as usual."""
    moves: list[Any]
    """Transitions of the run's state that this call led to."""
    again: bool
    """It is the same as the call before it, in all that the page would tell."""

    @property
    def notable(self) -> bool:
        """Whether it is worth a look when something went wrong."""
        record = self.record
        return bool(
            self.outcome != "allow"
            or record["rules"]
            or record["drift"]
            or record["shifts"]
            or record["withheld"]
            or self.guards
            or any(one["refused"] for one in record["proposed"])
            or any(move.before for move in self.moves)
        )

    @property
    def remembered(self) -> list[str]:
        """What it did with memories, and what had changed."""
        return list(memory_words(self.record))

    @property
    def said(self) -> bool:
        """Whether one of the rules that spoke says already why the call was refused."""
        record = self.record
        return any(
            f"{rule['policy']}/{rule['rule']}" == record["rule"] and rule["message"] == record["detail"]
            for rule in record["rules"]
        )


class Trouble(Struct):
    """Calls that stand out for one reason; ``first`` is the call that was the first."""

    kind: str
    """``refuse``, ``withheld``, ``failed``, ``shadow`` (a rule that only looks would have refused it) or ``warn``."""
    what: str
    """The rule or guard, or the tool."""
    why: str
    offset: float
    first: str
    calls: int = 1


def told(story: Story) -> list[Told]:
    """The steps, each below the one that led to it, in order of arrival."""
    summary = story.summary
    moves: dict[str, list[Any]] = {}
    for move in story.transitions:
        moves.setdefault(move.call, []).append(move)
    found: list[Told] = []
    before: tuple[Any, ...] = ()
    for number, (step, depth) in enumerate(_flat(story.steps, 0), 1):
        row, record = step.row, whole(step.record)
        timings = record["timings"]
        guards = [one for one in record["guards"] if unusual(one)]
        waited = (timings["queue_ms"] or 0.0) + (timings["asked_ms"] or 0.0) + (timings["decide_ms"] or 0.0)
        found.append(
            Told(
                step,
                record,
                depth,
                number,
                row.at - summary.first,
                outcome_of(record),
                plots.stay(summary.first, summary.last, row.at, waited, row.total_ms),
                guards,
                moves.get(row.call, []),
                (content := _content(step, depth, guards)) == before,
            )
        )
        before = content
    return found


_CONTENT = (
    *(
        "agent",
        "run",
        "tool",
        "operation",
        "path",
        "args",
        "why",
        "proposed_by",
        "decision",
        "reason",
        "rule",
        "detail",
    ),
    *("rules", "approval", "amendments", "quarantines", "memory", "drift", "shifts", "status"),
    *("upstream_status", "error", "is_error", "withheld"),
)


def _content(step: Step, depth: int, guards: list[dict[str, Any]]) -> tuple[Any, ...]:
    """What the page tells of a call beside when it was: two in a row that are the same are told once."""
    spoke = [(one["guard"], one["granted"], one["state"], one.get("detail")) for one in guards]
    return depth, spoke, step.children, step.proposals, [step.record.get(key) for key in _CONTENT]


def _flat(steps: Iterator[Step] | tuple[Step, ...] | list[Step], depth: int) -> Iterator[tuple[Step, int]]:
    """Depth first, without recursion: agents decide how deep calls lie within each other."""
    stack = [(step, depth) for step in reversed(tuple(steps))]
    while stack:
        step, level = stack.pop()
        yield step, level
        stack += [(child, level + 1) for child in reversed(step.children)]


def unusual(guard: dict[str, Any]) -> bool:
    """Whether a guard said more than that there is room."""
    return not guard["granted"] or guard["state"] not in (None, "", "closed")


def troubles(steps: list[Told]) -> list[Trouble]:
    """What was refused, withheld, noted or failed, each kind once, in the order in which it began."""
    found: dict[tuple[str, str, str], Trouble] = {}
    for one in steps:
        record = one.record
        for kind, what, why, key in _troubles_of(one):
            known = found.get((kind, what, key))
            if known is None:
                found[kind, what, key] = Trouble(kind, what, why, one.offset, record["call"])
            else:
                known.calls += 1
    return list(found.values())[:MOST_TROUBLES]


def _troubles_of(one: Told) -> Iterator[tuple[str, str, str, str]]:
    """Kind, what, why, and what tells it from others of the same kind."""
    record = one.record
    if one.outcome == "refuse":
        yield "refuse", record["rule"] or record["reason"], record["detail"] or "", record["reason"]
    elif one.outcome == "failed":
        status = record["upstream_status"]
        why = record["error"] or (f"it answered {status}" if status else "no answer")
        if status and status < 400 and not record["error"]:
            why = f"it answered {status}, and that it failed"
        yield "failed", f"{record['tool']} {record['operation'] or record['path']}", why, why
    for rule in record["rules"]:
        name, said = f"{rule['policy']}/{rule['rule']}", rule["message"] or rule["error"] or ""
        if rule["mode"] == "Audit" and rule["verdict"] in ("deny", "approve"):
            yield "shadow", name, said, rule["verdict"]
        elif rule["verdict"] == "warn" or rule["mode"] == "Warn":
            yield "warn", name, said, rule["verdict"]
    if withheld := record["withheld"]:
        yield "withheld", withheld["rule"] or withheld["reason"], withheld["detail"], withheld["reason"]
