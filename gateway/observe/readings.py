"""What rules read, for the record: as open as the record itself, and no more.

Of variables that a record has anyway (who, which tool, labels, what is left of budgets) the values are always told.
Those of arguments, results and the query only where ``trace.args`` is on, masked like the arguments. Prompts, messages
and header values never.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from gateway.model import Mode, Spoke
from gateway.observe.keeping import Keeping, masked_mapping
from gateway.policy.redaction import MASK, redact

LONGEST = 512
"""Bytes of a value in JSON; of a longer one the beginning is told, as text."""

_OPEN = (
    "agent.",
    "run.",
    "tool.",
    "mcp.",
    "why.",
    "request.",
    "response.",
    "usage.",
    "budget.",
    "llm.",
    "proposal.name",
)
_CLOSED = frozenset({"llm.system", "llm.messages", "llm.proposed", "request.headers"})
_KEPT = frozenset({"args", "result", "proposal.args", "request.query"})
"""Told where arguments are kept."""


def read_by(spoke: Spoke, all_spoke: Iterable[Spoke], settings: Keeping) -> dict[str, Any]:
    """The values that a rule read, by their paths; null for one that was not there. ``all_spoke``: every rule that
    spoke of the call, since one may mask what another has read."""
    told: dict[str, Any] = {}
    for (name, steps), value in spoke.read:
        path = ".".join((name, *steps))
        if name in _KEPT:
            if settings.args:
                told[path] = _cut(_masked(name, steps, value, all_spoke, settings))
        elif name.startswith(_OPEN) and name not in _CLOSED:
            told[path] = _cut(value)
    return told


def _masked(name: str, steps: tuple[str, ...], value: Any, all_spoke: Iterable[Spoke], settings: Keeping) -> Any:
    if value is None:
        return None
    if name == "request.query":
        return MASK if value else value  # its names are in the record's own ``query``
    nested = value
    for step in reversed(steps):
        nested = {step: nested}
    if not isinstance(nested, Mapping):
        return MASK
    root = "args" if name == "proposal.args" else name
    fields = [field for one in all_spoke if one.mode is Mode.ENFORCE for field in one.fields if field.startswith(root)]
    shown: Any = masked_mapping(redact(nested, fields)[0] if fields else nested, settings)
    for step in steps:
        if not isinstance(shown, Mapping):
            break  # all that it lies in is masked
        shown = shown[step]
    return shown


def _cut(value: Any) -> Any:
    try:
        text = orjson.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return MASK
    return value if len(text) <= LONGEST else text[:LONGEST].decode("utf-8", "ignore") + "..."
