"""YAML that knows where everything stands.

Scalars are read by YAML 1.2's core schema, as editors show them: only ``true`` and ``false`` are booleans, so that
``on``, ``off``, ``yes``, ``no``, ``10:30`` and dates stay the text that they look like (YAML 1.1 would turn them into
booleans, numbers and dates). What two readers could take in two ways (a key given twice, tags) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import yaml
from msgspec import Struct

from gateway.config import yaml_errors
from gateway.config.problems import Found

MOST_NODES = 200_000
"""Values in one file, with those that aliases repeat: a few lines of aliases of aliases could be billions."""
DEEPEST = 64
"""Levels of lists and mappings within one another."""

_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_PROPERTIES = re.compile(r"(?:[!&][^\s,\[\]{}]*\s+)*")
_PLAIN: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_KEPT_TAGS = (None, "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")

Path = Sequence[str | int]


class Node(Struct):
    """A value and its place. ``items`` are a mapping's or a list's nodes, ``keys`` the nodes of a mapping's keys.

    ``line`` and ``column`` count from 1; ``start`` and ``end`` are character offsets in the file's text. ``style`` is
    YAML's: ``""`` plain, ``'``, ``"``, ``|`` or ``>``. ``raw`` is set where ``${...}`` was put in: what the file says.
    """

    value: Any
    line: int
    column: int
    start: int
    end: int
    style: str = ""
    items: dict[str | int, Node] = {}
    keys: dict[str, Node] = {}
    raw: str | None = None

    def plain(self) -> Any:
        """The value as plain Python: dict, list, str, int, float, bool or None."""
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.items.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.items.values()]
        return self.value

    def at(self, path: Path) -> Node:
        """The node at ``path``, or the nearest one that exists: steps that lead nowhere are skipped."""
        node = self
        for step in path:
            node = node.items.get(step, node)
        return node

    def key_at(self, path: Path) -> Node:
        """The key that ``path`` ends with, where that exists; else as ``at``."""
        parent = self.at(path[:-1])
        return parent.keys.get(str(path[-1]), parent.at(path[-1:])) if path else parent

    def scalars(self) -> Iterator[Node]:
        """Every scalar below, keys excepted."""
        if not isinstance(self.value, dict | list):
            yield self
        for item in self.items.values():
            yield from item.scalars()


def read(text: str) -> tuple[list[Node], list[Found]]:
    """The documents of a YAML text, and what is wrong with it; after a mistake of syntax, those before it."""
    reader = _Reader(text)
    documents: list[Node] = []
    try:
        for event in reader.events:
            if isinstance(event, yaml.DocumentStartEvent):
                reader.anchors.clear()
                documents.append(reader.node(next(reader.events), 0))
    except yaml.YAMLError as error:
        reader.found.append(yaml_errors.explained(error, text))
    except _Stop as stop:
        reader.found.append(stop.found)
    return documents, reader.found


class _Stop(Exception):  # noqa: N818 - carries a mistake after which reading on is of no use
    def __init__(self, found: Found) -> None:
        super().__init__(found.message)
        self.found = found


class _Reader:
    """Builds nodes from libyaml's events."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.events: Iterator[yaml.Event] = iter(yaml.parse(text, Loader=yaml.CSafeLoader))
        self.found: list[Found] = []
        self.anchors: dict[str, tuple[Node, int]] = {}
        self._count = 0

    def node(self, event: yaml.Event, depth: int) -> Node:
        """The node that begins with ``event``, to its end. Aliases give the node that they stand for."""
        self._spend(event, 1)
        if depth > DEEPEST:
            raise _Stop(_at(event, f"nested deeper than {DEEPEST} levels", "nothing here needs that"))
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        before = self._count
        node = self._node(event, depth)
        if anchor := getattr(event, "anchor", None):
            # Only now: a node that holds itself finds no anchor yet.
            self.anchors[anchor] = (node, self._count - before)
        return node

    def _node(self, event: yaml.Event, depth: int) -> Node:
        line, column = _place(event)
        start, end = (mark.index if mark else 0 for mark in (event.start_mark, event.end_mark))
        node = Node(None, line, column, start, end)
        if isinstance(event, yaml.ScalarEvent):
            if properties := _PROPERTIES.match(self.text, node.start):
                node.start = properties.end()
            node.style = event.style or ""
            node.value = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._check_tag(event)
            node.value = []
            while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
                node.items[len(node.items)] = self.node(event, depth + 1)
        elif isinstance(event, yaml.MappingStartEvent):
            self._check_tag(event)
            node.value = {}
            while not isinstance(event := next(self.events), yaml.MappingEndEvent):
                self._entry(node, event, depth)
        return node

    def _entry(self, into: Node, event: yaml.Event, depth: int) -> None:
        key = self.node(event, depth + 1)
        item = self.node(next(self.events), depth + 1)
        if isinstance(key.value, dict | list):
            self.found.append(Found(key.line, key.column, "a key must be text, not a list or a mapping", ""))
            return
        name = self.text[key.start : key.end] if not isinstance(key.value, str) else key.value
        if not isinstance(key.value, str):
            hint = f'write "{name}" in quotes' if name else "write the name of a setting before the colon"
            self.found.append(Found(key.line, key.column, f"a key must be text, not {name or 'nothing'}", hint))
        elif name == "<<" and not key.style:
            self.found.append(Found(key.line, key.column, "merge keys (<<) are not supported", "write the keys out"))
        elif name in into.keys:
            first = into.keys[name]
            message = f"the key {name!r} is given twice here, first on line {first.line}"
            self.found.append(Found(key.line, key.column, message, "remove one of the two"))
        else:
            into.keys[name], into.items[name] = key, item

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        self._check_tag(event)
        value: str = event.value
        if event.style or event.tag:
            return value
        if value in _PLAIN:
            return _PLAIN[value]
        if _INT.fullmatch(value):
            return int(value)
        if _FLOAT.fullmatch(value):
            return float(value)
        return value

    def _check_tag(self, event: yaml.Event) -> None:
        tag = getattr(event, "tag", None)
        if tag in _KEPT_TAGS:
            return
        hint = "text that begins with ! must be in quotes: '!(...)'" if tag.startswith("!") else "remove it"
        self.found.append(_at(event, f"YAML takes {tag!r} for a tag, and tags are not supported", hint))

    def _alias(self, event: yaml.AliasEvent) -> Node:
        known = self.anchors.get(event.anchor or "")
        if known is None:
            hint = f'text that begins with * must be in quotes: "*{event.anchor}"'
            raise _Stop(_at(event, f"YAML takes *{event.anchor} for an alias, and there is no &{event.anchor}", hint))
        node, size = known
        self._spend(event, size)
        return node

    def _spend(self, event: yaml.Event, nodes: int) -> None:
        self._count += nodes
        if self._count > MOST_NODES:
            raise _Stop(_at(event, f"there are more than {MOST_NODES} values in this file", "split it"))


def _at(event: yaml.Event, message: str, hint: str) -> Found:
    return Found(*_place(event), message, hint)


def _place(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)
