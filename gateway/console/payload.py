"""The payload of an approval as a tree that people unfold: what rules read is marked, and nothing is hidden unsaid."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any

import orjson
from markupsafe import Markup, escape
from msgspec import Struct

from gateway.console.suspects import Suspects

MOST_LEAVES = 1000
"""Values of one payload on a page."""
FOLDED = 400
"""Characters of a text from which on its rest is folded."""
MOST_DEEP = 64
"""Levels of JSON that are read at all (``understand/strict_json.py``)."""
MOST_TEXT = 20_000
"""Characters of one text on a page."""
_OPEN, _FEW = 2, 60
"""Levels that are open at first, beside what leads to something that a rule read; all, where there are few values."""


class Node(Struct, frozen=True):
    """A value: its name among its siblings, and what is below it."""

    name: Markup
    path: str
    """As rules read it: ``args.to``."""
    kind: str
    """object, list, text, number, bool or null."""
    shown: Markup = Markup("")
    rest: Markup = Markup("")
    """What of a long text is folded."""
    children: tuple[Node, ...] = ()
    size: int = 0
    """Members, or characters."""
    read: bool = False
    """A rule read it."""
    open: bool = True


class Tree(Struct, frozen=True):
    """A payload. ``left`` values are not in it, which must be said; ``suspects`` tell what was marked."""

    root: Node
    left: int
    suspects: Suspects


def tree_of(value: Any, name: str, read: Collection[str]) -> Tree:
    """The tree of a value that rules call ``name``; ``read`` are the paths that they read."""
    suspects = Suspects()
    budget = _Budget()
    few = len(list(islice(leaves(value, name), _FEW + 1))) <= _FEW
    root = _node(value, name, name, frozenset(read), suspects, budget, MOST_DEEP if few else _OPEN)
    return Tree(root, budget.left_out, suspects)


class _Budget:
    def __init__(self) -> None:
        self.left, self.left_out = MOST_LEAVES, 0

    def take(self) -> bool:
        if self.left > 0:
            self.left -= 1
            return True
        self.left_out += 1
        return False


def _node(
    value: Any, name: str, path: str, read: frozenset[str], suspects: Suspects, budget: _Budget, opened: int
) -> Node:
    shown_name = suspects.mark(name)
    is_read = path in read
    if not isinstance(value, dict | list):
        return _leaf(value, shown_name, path, suspects, is_read=is_read)
    members = _members(value)
    children: list[Node] = []
    # What rules read comes first into the room that there is: it must not be pushed out by padding.
    ranked = sorted(members, key=lambda member: not _leads(below(path, member[0]), read))
    kept = {key for key, _ in ranked if budget.take()}
    for key, member in members:
        if key in kept:
            children.append(_node(member, key, below(path, key), read, suspects, budget, opened - 1))
    is_open = opened > 0 or _leads(path, read) or len(members) == 0
    kind = "object" if isinstance(value, dict) else "list"
    return Node(shown_name, path, kind, children=tuple(children), size=len(members), read=is_read, open=is_open)


def _members(value: dict[str, Any] | list[Any]) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    return [(str(number), member) for number, member in enumerate(value)]


def _leads(path: str, read: frozenset[str]) -> bool:
    """Whether the path is one that was read, or on the way to one."""
    return any(one == path or one.startswith(path + ".") for one in read)


def _leaf(value: Any, name: Markup, path: str, suspects: Suspects, *, is_read: bool) -> Node:
    if isinstance(value, str):
        head, tail = value[:FOLDED], value[FOLDED:MOST_TEXT]
        rest = suspects.mark(tail)
        if len(value) > MOST_TEXT:
            rest += f"... ({len(value)} characters in all)"
        return Node(name, path, "text", suspects.mark(head), rest, size=len(value), read=is_read)
    text = orjson.dumps(value).decode()
    kind = "null" if value is None else "bool" if isinstance(value, bool) else "number"
    return Node(name, path, kind, escape(text), read=is_read)


def below(path: str, name: str) -> str:
    """The path of this member. One with a dot in its name must not pass for a member of another."""
    return f"{path}.{name}" if "." not in name else f"{path}[{orjson.dumps(name, default=str).decode()}]"


def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The values at the ends of a tree, with their paths."""
    stack = [(path, value)]
    while stack:
        here, one = stack.pop()
        if isinstance(one, dict | list) and one:
            stack += [(below(here, key), member) for key, member in reversed(_members(one))]
        else:
            yield here, one
