"""What a tool says of itself (MCP ``annotations``), as facts for rules: hints, to be believed as far as the server is.

Defaults are those of the specification (schema.ts, ``ToolAnnotations``): a tool that says nothing may be destructive.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from gateway.understand.pins import State

_HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")


def facts_of(annotations: Any, state: State) -> Mapping[str, Any]:
    """The facts of a tool with these annotations; a hint that is no boolean counts as not given."""
    hints = annotations if isinstance(annotations, dict) else {}
    read_only = _hint(hints, "readOnlyHint", False)
    destructive = not read_only and _hint(hints, "destructiveHint", True)
    idempotent, open_world = _hint(hints, "idempotentHint", False), _hint(hints, "openWorldHint", True)
    return facts(read_only, destructive, idempotent, open_world, state)


def hints_of(annotations: Any) -> Mapping[str, Any] | None:
    """The hints alone, as far as they are booleans: all that need be kept, whatever else a server puts beside them."""
    if not isinstance(annotations, dict):
        return None
    return {name: annotations[name] for name in _HINTS if isinstance(annotations.get(name), bool)}


@cache
def facts(read_only: bool, destructive: bool, idempotent: bool, open_world: bool, state: State) -> Mapping[str, Any]:
    """The facts, by the names of the CEL variables: one shared mapping for each combination, not to be changed."""
    return {
        "tool.readOnly": read_only,
        "tool.destructive": destructive,
        "tool.idempotent": idempotent,
        "tool.openWorld": open_world,
        "tool.pin": state,
    }


def _hint(hints: Mapping[str, Any], name: str, default: bool) -> bool:
    value = hints.get(name)
    return value if isinstance(value, bool) else default
