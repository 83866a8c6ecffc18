"""The texts in a value, each with the path that leads to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MOST_TEXTS = 65_536
MOST_CHARACTERS = 4 << 20
_DEEPEST = 64
_PATH = 256


class TooMuchError(ValueError):
    """There is more in a value than is looked through."""


def texts_of(value: Any) -> Iterator[tuple[str, str]]:
    """Path and text of each text in a value, names of members too (at the path of their value).

    Raises:
        TooMuchError: there are more than MOST_TEXTS, MOST_CHARACTERS in all of them, or they are nested deeper than 64.
    """
    texts, characters = 0, 0
    for path, text in _walk(value, "", 0):
        texts, characters = texts + 1, characters + len(text)
        if texts > MOST_TEXTS:
            raise TooMuchError(f"more than {MOST_TEXTS} texts")
        if characters > MOST_CHARACTERS:
            raise TooMuchError(f"more than {MOST_CHARACTERS} characters")
        yield path, text


def _walk(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
        return
    if depth > _DEEPEST:
        raise TooMuchError(f"nested deeper than {_DEEPEST} levels")
    if isinstance(value, dict):
        for name, item in value.items():
            below = _below(path, name)
            yield below, str(name)
            yield from _walk(item, below, depth + 1)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _walk(item, _below(path, number), depth + 1)


def _below(path: str, name: object) -> str:
    return (f"{path}.{name}" if path else str(name))[:_PATH]
