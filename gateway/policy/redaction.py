"""Values masked by the paths that rules with ``then: redact`` name. Quiet; copies only along the way to a mask."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gateway.model import Changed, Treated
from gateway.policy.treatments import change_of, done

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


TOOL_RESULTS = "llm.tool_results"
"""In a request to a model: what tools answered, wherever the provider's API has it."""


def check_changed(value: object) -> object:
    """As ``check_field``, for what rules change: there is one path more."""
    return value if value == TOOL_RESULTS else check_field(value)


def redact(value: Mapping[str, Any], fields: Iterable[Changed]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The value with a mask wherever a field leads, and the fields that led somewhere. The value itself stays as it is.

    A field's first step (``args``, ``result``) is the value itself. ``*`` is every member of an object and every entry
    of a list; a name that meets a list is looked for in each of its entries. What is treated otherwise than by a mask
    is told by what was done (``stripped result.note``), where that has changed anything.
    """
    masked: Any = value
    led: list[str] = []
    for field in dict.fromkeys(fields):
        path = field.path if isinstance(field, Treated) else field
        root, *steps = path.split(".")
        if root == "llm":
            continue  # what tools answered, in a request to a model: its reader knows where that stands
        changed = _changed(masked, steps, _mask if isinstance(field, str) else change_of(field))
        if changed is not masked:
            led.append(field if isinstance(field, str) else done(field))
            masked = changed
    return (masked if isinstance(masked, dict) else dict(masked)), tuple(led)


def told(fields: Iterable[str]) -> tuple[str, ...]:
    """What was changed in words, for the record: ``redact`` gives paths of masks, which have no blanks, or words."""
    return tuple([field if " " in field else f"redacted {field}" for field in fields])


def _mask(value: Any) -> Any:  # noqa: ARG001 - whatever it is
    return MASK


def _changed(value: Any, steps: list[str], change: Callable[[Any], Any]) -> Any:
    if not steps:
        return change(value)
    if isinstance(value, Mapping):
        return _in_mapping(value, steps, change)
    if isinstance(value, list | tuple):
        rest = steps[1:] if steps[0] == "*" else steps
        entries = [_changed(entry, rest, change) for entry in value]
        return entries if any(new is not old for new, old in zip(entries, value, strict=True)) else value
    return value


def _in_mapping(value: Mapping[str, Any], steps: list[str], change: Callable[[Any], Any]) -> Any:
    step, rest = steps[0], steps[1:]
    if step != "*" and step not in value:
        return value
    names = value if step == "*" else (step,)
    changed = {name: new for name in names if (new := _changed(value[name], rest, change)) is not value[name]}
    return {**value, **changed} if changed else value
