"""Values masked by the paths that rules with ``then: redact`` name. Quiet; copies only along the way to a mask."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

MASK = "[redacted]"
"""Stands for a value, of whatever type, that is not shown."""

_STEP = re.compile(r"[^\s.\[\]\"'`]{1,128}")
MOST_STEPS = 16


def check_field(value: object) -> object:
    """The value unchanged; ValueError where it is text that is no path: ``args.password``, ``result.items.*.ssn``."""
    if not isinstance(value, str):
        return value
    root, *steps = value.split(".")
    if root not in ("args", "result"):
        raise ValueError(f"{value!r} names no argument and nothing of a result; write args.NAME or result.NAME")
    if not steps:
        raise ValueError(f"{value!r} is everything; name what is to be masked, such as {root}.password, or {root}.*")
    if len(steps) > MOST_STEPS:
        raise ValueError(f"{value!r} has more than {MOST_STEPS} steps")
    for step in steps:
        if not _STEP.fullmatch(step):
            raise ValueError(
                f"{value!r} is no path: names and * joined by dots, such as {root}.items.*.ssn;"
                " * stands for a name that has dots, blanks, quotes or brackets in it"
            )
        if "*" in step and step != "*":
            raise ValueError(f"{value!r} is no path: * stands for a whole name, and not for a part of {step!r}")
    return value


def redact(value: Mapping[str, Any], fields: Iterable[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The value with a mask wherever a field leads, and the fields that led somewhere. The value itself stays as it is.

    A field's first step (``args``, ``result``) is the value itself. ``*`` is every member of an object and every entry
    of a list; a name that meets a list is looked for in each of its entries.
    """
    masked: Any = value
    led: list[str] = []
    for field in dict.fromkeys(fields):
        changed = _masked(masked, field.split(".")[1:])
        if changed is not masked:
            led.append(field)
            masked = changed
    return (masked if isinstance(masked, dict) else dict(masked)), tuple(led)


def told(fields: Iterable[str]) -> tuple[str, ...]:
    """Masked fields in words, for the record."""
    return tuple([f"redacted {field}" for field in fields])


def _masked(value: Any, steps: list[str]) -> Any:
    if not steps:
        return MASK
    if isinstance(value, Mapping):
        return _in_mapping(value, steps)
    if isinstance(value, list | tuple):
        rest = steps[1:] if steps[0] == "*" else steps
        entries = [_masked(entry, rest) for entry in value]
        return entries if any(new is not old for new, old in zip(entries, value, strict=True)) else value
    return value


def _in_mapping(value: Mapping[str, Any], steps: list[str]) -> Any:
    step, rest = steps[0], steps[1:]
    if step != "*" and step not in value:
        return value
    names = value if step == "*" else (step,)
    changed = {name: new for name in names if (new := _masked(value[name], rest)) is not value[name]}
    return {**value, **changed} if changed else value
