"""The query that a tool gets, where the gateway has a say in it: without the agent's keys, with its own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, unquote_plus

_MEMBER = re.compile(r"[&;]?[^&;]*")
"""A member with the separator before it: some servers take ``;`` for one, too."""


def folded(name: str) -> str:
    """A member's name as the most lenient of servers reads it: case, ``_``, ``-``, ``.`` and what PHP makes of
    brackets and leading spaces do not count."""
    return re.sub(r"[-. ]", "_", unquote_plus(name).strip().partition("[")[0].lower())


def with_members(target: str, drop: frozenset[str], members: Iterable[tuple[str, str]]) -> str:
    """The path and query without the members of these (folded) names, and with ``members``, which are encoded. What
    stays, stays byte for byte."""
    path, mark, query = target.partition("?")
    added = [(name, value) for name, value in members]
    gone = drop.union([folded(name) for name, _ in added]) if added else drop
    kept = query
    if query and gone:
        found = _MEMBER.findall(query)
        left = [part for part in found if folded(part.lstrip("&;").partition("=")[0]) not in gone]
        if len(left) != len(found):
            kept = "".join(left).lstrip("&;")
            mark = "?" if kept else ""
    own = "&".join([f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in added])
    if not own:
        return path + mark + kept
    return f"{path}?{kept}&{own}" if kept else f"{path}?{own}"


__all__ = ["folded", "with_members"]
