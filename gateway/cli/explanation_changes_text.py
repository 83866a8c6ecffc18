"""In words: what would have to be otherwise for a call to be decided otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

WIDEST = 200
"""Characters of a value that is shown."""
MOST_CHANGES = 8
"""Conditions of one set that are told in words; JSON has them all."""


def change_lines(explanation: dict[str, Any]) -> Iterator[str]:
    """What stands against a refused call, each with its smallest ways out; for an allowed one, what came nearest."""
    if explanation["call"] is None:
        return
    if explanation["grant"] is None:
        yield from _grants(explanation["nearest_grants"])
    rules = {f"{rule['policy']}/{rule['rule']}": rule for rule in explanation["rules"]}
    for name in explanation["against"]:
        yield from _ways(f"{name} would have to be false", rules[name]["to_be_false"])
    for limit in explanation["limits"]:
        if limit["error"]:
            yield f"the key of limit {limit['limit']} would have to be known ({limit['error']})"
    if explanation["verdict"]["decision"] == "allow":
        for name in explanation["nearest_rules"]:
            rule = rules[name]
            yield from _ways(f"{name} would {_does(rule)} it", rule["to_be_true"])


def _does(rule: dict[str, Any]) -> str:
    return "refuse" if rule["then"] == "deny" else "ask a person about"


def _grants(nearest: list[dict[str, Any]]) -> Iterator[str]:
    yield "a grant would have to allow it" + ("; the nearest are" if nearest else "; there is none")
    for near in nearest:
        yield f"  {near['grant']}: {'; '.join(near['misses'])}"


def _ways(what: str, sets: list[list[dict[str, Any]]]) -> Iterator[str]:
    if not sets:
        yield f"{what}, which no change of its conditions does"
    elif len(sets) == 1:
        yield f"{what}:"
        yield f"  {_together(sets[0])}"
    else:
        yield f"{what} by one of these:"
        for changes in sets:
            yield f"  {_together(changes)}"


def _together(changes: list[dict[str, Any]]) -> str:
    more = len(changes) - MOST_CHANGES
    told = ", and ".join(_change(change) for change in changes[:MOST_CHANGES])
    return f"{told}, and {more} more" if more > 0 else told


def _change(change: dict[str, Any]) -> str:
    condition = " ".join(change["condition"].split())
    wanted = "true" if change["wanted"] else "false"
    if change["error"]:
        return f"{condition} {wanted} (cannot be evaluated: {change['error']})"
    values = ", ".join(f"{' '.join(name.split())} is {shown(value)}" for name, value in change["values"].items())
    return f"{condition} {wanted}" + (f" ({values})" if values else "")


def shown(value: Any) -> str:
    """A value as JSON, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= WIDEST else f"{text[:WIDEST]}... ({len(text)} characters)"
