"""A policy with mistakes of shape, mended so that its other expressions can be checked in the same go.

What is mended never runs: a document with mistakes makes the whole version unusable.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from gateway.config.model_errors import Mistake
from gateway.policy.schema import Policy

_HARMLESS = {"when": "false", "then": "warn"}


def mended(raw: Any, mistakes: Iterable[Mistake]) -> Policy | None:
    """The policy without what the mistakes are about, entries keeping their places; None where that is no policy.

    ``raw`` is the document as plain Python, and is changed.
    """
    for mistake in mistakes:
        if not mistake.path or mistake.path[:2] == ("spec", "variables"):
            return None  # rules would be blamed for the variables that they miss
        parent = _at(raw, mistake.path[:-1])
        key = mistake.path[-1]
        if not isinstance(parent, dict):
            return None
        parent.pop(key, None)
        if key == "name":
            parent[key] = "-".join(["mended", *map(str, mistake.path)])
        elif key in _HARMLESS:
            parent[key] = _HARMLESS[str(key)]
    try:
        return Policy.model_validate(raw)
    except ValidationError:
        return None


def _at(value: Any, path: Iterable[str | int]) -> Any:
    try:
        for step in path:
            value = value[step]
    except (KeyError, IndexError, TypeError):
        return None
    return value
