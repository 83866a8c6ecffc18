"""Filters as conditions of SQL. Values are always bound, never written into the statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.observe.store.found import Filter

Condition = tuple[str, tuple[Any, ...]]
"""An expression of SQL, and the values of its question marks."""

FAILED = (
    "(decision IS 'allow' AND (coalesce(upstream_status, 0) NOT BETWEEN 1 AND 399 OR fault IS NOT NULL"
    " OR coalesce(is_error, 0)))"
)
"""As ``Row.failed``."""
REFUSED = "(decision IS 'refuse')"
OF_TREE = "tree = (SELECT trees.tree FROM trees WHERE trees.run = ?)"
"""Calls of the trees with this run at their root."""


def conditions(wanted: Filter) -> list[Condition]:
    """All but the words, and what SQL can ask of ``where``."""
    found: list[Condition] = []
    if wanted.since is not None:
        found.append(("ms >= ?", (round(wanted.since * 1e3),)))
    if wanted.until is not None:
        found.append(("ms <= ?", (round(wanted.until * 1e3),)))
    named = [(name, getattr(wanted, name)) for name in ("agent", "tool", "decision", "reason")]
    found += [(f"{name} = ?", (value,)) for name, value in named if value]
    if wanted.run:
        found.append(of_run(wanted.run))
    if wanted.policy or wanted.rule:
        said = [("policy = ?", wanted.policy), ("rule = ?", wanted.rule)]
        given = [(text, value) for text, value in said if value]
        inner = " AND ".join(text for text, _ in given)
        values = tuple(value for _, value in given)
        found.append((f"calls.id IN (SELECT id FROM said WHERE {inner})", values))  # noqa: S608
    if wanted.where is not None:
        found += [(text, (value,)) for text, value in wanted.where.conditions]
    return found


def of_run(run: str) -> Condition:
    """Calls of a run, and of those that it led to."""
    return f"({OF_TREE} OR (run IS NOT tree_run AND run = ?))", (run, run)


def joined(asked: Sequence[Condition]) -> Condition:
    """``WHERE ...`` for all of them; empty for none."""
    if not asked:
        return "", ()
    return "WHERE " + " AND ".join(text for text, _ in asked), tuple(value for _, values in asked for value in values)
