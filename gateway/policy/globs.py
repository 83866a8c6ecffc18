"""Globs over names, and an index that finds what can match an operation without trying everything."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
_WILD = re.compile(r"[*?]")


def check_glob(value: object) -> object:
    """The value unchanged; ValueError where it uses glob syntax that would silently not mean what it says."""
    if isinstance(value, str) and "[" in value:
        raise ValueError(f"character classes are not supported in {value!r}; write one pattern for each case")
    return value


def glob_regex(pattern: str) -> re.Pattern[str]:
    """A regex to ``fullmatch``: ``*`` is any run of characters, ``?`` is one, all else is itself, case matters.

    The text between two stars is matched atomically at its first occurrence, so that many stars over a long path
    cannot backtrack: what follows a star is free to be found later anyway.
    """
    parts = [re.escape(part).replace(r"\?", ".") for part in re.sub(r"\*+", "*", pattern).split("*")]
    if len(parts) == 1:
        return re.compile(parts[0], re.DOTALL)
    middle = "".join(f"(?>.*?{part})" for part in parts[1:-1])
    return re.compile(f"{parts[0]}{middle}.*{parts[-1]}", re.DOTALL)


def matches_any(patterns: Iterable[str], name: str) -> bool:
    """Whether one of the globs matches the name."""
    return any(glob_regex(pattern).fullmatch(name) for pattern in patterns)


def sees_path(pattern: str) -> bool:
    """Whether an operation glob tells paths apart: anything but ``*`` and ``METHOD *``."""
    return pattern != "*" and not re.fullmatch(r"[A-Z-]+ \*", pattern)


class OperationIndex(Generic[T]):
    """Items by the operation globs they were filed under; built once, then only asked.

    Plain patterns are found by one dict lookup, and globs by the literal text that they begin with (one dict lookup
    for each length that occurs), so that a thousand of them cost no more than the few that begin like the operation.
    """

    __slots__ = ("_always", "_globs", "_items", "_lengths", "_plain")

    def __init__(self, entries: Sequence[tuple[Iterable[str], T]]) -> None:
        self._items = [item for _, item in entries]
        self._always: list[int] = []
        self._plain: dict[str, list[int]] = {}
        self._globs: dict[str, dict[str, tuple[re.Pattern[str], list[int]]]] = {}
        for number, (patterns, _) in enumerate(entries):
            self._file(number, frozenset(patterns))
        self._lengths = sorted({len(prefix) for prefix in self._globs})

    def _file(self, number: int, patterns: frozenset[str]) -> None:
        if "*" in patterns:
            self._always.append(number)
        for pattern in patterns - {"*"}:
            wild = _WILD.search(pattern)
            if wild is None:
                self._plain.setdefault(pattern, []).append(number)
            else:
                same_start = self._globs.setdefault(pattern[: wild.start()], {})
                same_start.setdefault(pattern, (glob_regex(pattern), []))[1].append(number)

    def lookup(self, operation: str, *, named: bool = False) -> tuple[T, ...]:
        """The items with a pattern that matches, in the order they were given; ``named``: other than by ``*``."""
        found = {*self._plain.get(operation, ())}
        if not named:
            found.update(self._always)
        for length in self._lengths:
            for regex, numbers in self._globs.get(operation[:length], {}).values():
                if regex.fullmatch(operation):
                    found.update(numbers)
        return tuple(self._items[number] for number in sorted(found))
