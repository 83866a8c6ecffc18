"""Values within values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from gateway.flow.forms import address
from gateway.model import Call

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
"""Letters that fold to themselves."""
_HOLDERS = (dict, list, tuple, Mapping)
_LONGEST = 100
"""Characters of a name that are looked at."""


def scalars(value: Any, *, most: int) -> Iterator[Any]:
    """The texts, numbers and truth values in a value, and the names of members that are addresses; at most so many."""
    left = [value]
    while left and most:
        item = left.pop()
        kind = type(item)
        if kind is str or kind is int or kind is float:  # nearly all: asked first, since asking for a Mapping is dear
            if item != "":
                most -= 1
                yield item
        elif isinstance(item, Mapping):
            left += [each for name, inner in reversed(list(item.items())) for each in (inner, *_telling(name))]
        elif isinstance(item, list | tuple):
            left += reversed(item)
        elif item is not None and item != "":
            most -= 1
            yield item


def _telling(name: Any) -> tuple[str, ...]:
    return (name,) if isinstance(name, str) and ("@" in name or "." in name) and address(name) else ()


def directed(call: Call, paths: Iterable[str]) -> dict[str, list[Any]]:
    """What stands at these paths of the call's arguments (``args.to``) or of its template (``params.id``), by the path
    as it is spelt in the call.

    Servers differ in what they take for the same name (``To``, ``to[]``, ``to.0``), and for one or for a list of one.
    So every spelling that some server may fold to the name counts, and what lies above or below it.
    """
    found: dict[str, list[Any]] = {}
    for path in paths:
        root, *names = path.split(".")
        for spelt, value in _at(call.params if root == "params" else call.args, names, root):
            found.setdefault(spelt, []).append(value)
    return found


def _at(value: Any, names: Sequence[str], spelt: str) -> Iterator[tuple[str, Any]]:
    if not names or not isinstance(value, _HOLDERS):
        if value is not None:
            yield spelt, value
        return
    name, rest = names[0], names[1:]
    if type(value) is dict or isinstance(value, Mapping):
        wanted = _wanted(name)
        first = wanted[:1]
        for key, inner in value.items():
            if name == "*":
                yield from _at(inner, rest, spelt + ".*")
            elif key == name or (_begins(key[:1], first) and folded(key[:_LONGEST]) == wanted):
                yield from _at(inner, rest, f"{spelt}.{key[:_LONGEST]}")
    else:
        for inner in value:
            yield from _at(inner, rest if name == "*" else names, spelt + ".*" if name == "*" else spelt)


@lru_cache(maxsize=1024)
def _wanted(name: str) -> str:
    """Of a name in the configuration."""
    return folded(name)


def _begins(first: str, wanted: str) -> bool:
    """Whether what begins so may fold to what is wanted to begin so: most names do not."""
    return first == wanted or not (first in _PLAIN or (first.isalnum() and first.casefold()[:1] != wanted))


def folded(name: str) -> str:
    """A name without case, signs between its words, and what says of a list or map which of it is meant."""
    name = name.strip()
    for sign in "[.":
        if (at := name.find(sign, 1)) > 0:
            name = name[:at]
    return name.replace("_", "").replace("-", "").replace(" ", "").casefold()
