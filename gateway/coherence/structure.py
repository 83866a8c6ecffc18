"""Texts that are JSON objects or arrays, compared and merged by their paths."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

DEEPEST = 32
"""Levels that are gone into; what lies below counts as one value."""
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


MISSING: Any = _Missing()
"""Stands where there is no value."""


def read(text: str | None) -> Any:
    """The object or array that the text is; MISSING where it is none, or none that could be written again as it was:
    a repeated name, a number that no double holds."""
    if text is None or text.lstrip()[:1] not in ("{", "["):
        return MISSING
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_float=_exact, parse_constant=_exact)
    except (ValueError, ArithmeticError, RecursionError):
        return MISSING


def write(value: Any, like: str) -> str:
    """The value as JSON, over several lines where ``like`` is."""
    if "\n" in like.strip():
        return json.dumps(value, ensure_ascii=False, indent=2)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def same(one: Any, other: Any) -> bool:
    """Whether both are the same JSON: ``true`` is not 1, and 1 is not 1.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def changes(before: Any, after: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any, Any]]:
    """Path, value before and value after of all that differs."""
    if same(before, after):
        return
    if depth < DEEPEST and isinstance(before, dict) and isinstance(after, dict):
        for name in {**before, **after}:
            yield from changes(before.get(name, MISSING), after.get(name, MISSING), below(path, name), depth + 1)
    elif depth < DEEPEST and isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from changes(one, other, f"{path}[{number}]", depth + 1)
    else:
        yield path or "all of it", before, after


def combined(base: Any, ours: Any, theirs: Any, clashes: list[str], path: str = "", depth: int = 0) -> Any:
    """Both changes of ``base``; paths at which they cannot both stand are added to ``clashes``."""
    if same(ours, base) or (ours is MISSING and theirs is MISSING):
        return theirs
    if same(theirs, base):
        return ours
    if depth < DEEPEST and isinstance(base, dict) and isinstance(ours, dict) and isinstance(theirs, dict):
        found = {}
        for name in {**theirs, **ours}:
            was, have, stands = [one.get(name, MISSING) for one in (base, ours, theirs)]
            value = combined(was, have, stands, clashes, below(path, name), depth + 1)
            if value is not MISSING:
                found[name] = value
        return found
    clashes.append(path or "all of it")
    return MISSING


def below(path: str, name: str) -> str:
    """The path of a member."""
    if not _PLAIN.fullmatch(name):
        return f"{path}[{json.dumps(name)}]"
    return f"{path}.{name}" if path else name


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _exact(text: str) -> float:
    value = float(text)
    if Decimal(repr(value)) != Decimal(text):
        raise ValueError("no double holds this number")
    return value
