"""Paths of arguments as approvals show them (``args``, ``args.to``, ``args.card.number``). Quiet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.model import Approval

MISSING: Any = object()
"""There is nothing at this path."""


def at_path(args: Mapping[str, Any], path: str) -> Any:
    """The value at this path; MISSING where there is none."""
    first, *names = path.split(".")
    if first != "args":
        return MISSING
    value: Any = args
    for name in names:
        if not isinstance(value, Mapping) or name not in value:
            return MISSING
        value = value[name]
    return value


def of_args(path: str) -> bool:
    """Whether this is a path of arguments."""
    return path == "args" or path.startswith("args.")


def read_paths(approval: Approval) -> list[str]:
    """The paths of arguments that the rules which hold this had read, each once."""
    return list(dict.fromkeys([path for held in approval.held for path, _ in held.read if of_args(path)]))
