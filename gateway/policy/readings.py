"""What an expression read of a call: the values that its paths of names lead to (``args.amount``, ``agent.id``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.policy.tokens import chains, tokenize

Path = tuple[str, tuple[str, ...]]
"""A variable, and the names after it."""

MOST = 16
"""Paths of one rule that are kept, the first ones."""


def paths_of(sources: Iterable[str], declared: Iterable[str]) -> tuple[Path, ...]:
    """The variables that these expressions read, and how far into them they name what they read. What is reached in
    other ways (an index, the variable of a loop) is in the value of what is named."""
    known = frozenset(declared)
    found: dict[Path, None] = {}
    for source in sources:
        for chain in chains(tokenize(source)):
            names = chain.variable
            for length in range(len(names), 0, -1):
                if (name := ".".join(names[:length])) in known:
                    found[name, names[length:]] = None
                    break
    return tuple(found)[:MOST]


def read_at(paths: Iterable[Path], bound: Mapping[str, Any]) -> tuple[tuple[Path, Any], ...]:
    """The value of each path; None where it leads to nothing."""
    return tuple([(path, _at(bound.get(path[0]), path[1])) for path in paths])


def _at(value: Any, names: tuple[str, ...]) -> Any:
    for name in names:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value
