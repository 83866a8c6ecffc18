"""Values within values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.flow.forms import address


def scalars(value: Any, *, most: int) -> Iterator[Any]:
    """The texts, numbers and truth values in a value, and the names of members that are addresses; at most so many."""
    left = [value]
    while left and most:
        item = left.pop()
        if isinstance(item, Mapping):
            left += [each for name, inner in reversed(list(item.items())) for each in (inner, *_telling(name))]
        elif isinstance(item, list | tuple):
            left += reversed(item)
        elif item is not None and item != "":
            most -= 1
            yield item


def _telling(name: Any) -> tuple[str, ...]:
    return (name,) if isinstance(name, str) and ("@" in name or "." in name) and address(name) else ()


def at(value: Any, names: Sequence[str]) -> Iterator[Any]:
    """What stands at this path; ``*`` is each of a list or map."""
    if not names:
        if value is not None:
            yield value
        return
    name, rest = names[0], names[1:]
    if name == "*":
        inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
        for one in inner:
            yield from at(one, rest)
    elif isinstance(value, Mapping) and name in value:
        yield from at(value[name], rest)
