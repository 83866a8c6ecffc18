"""Route templates: ``GET /repos/{owner}/{repo}`` names an operation, whatever the owner and repo."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

_SUSPECT = re.compile(r"//|/\.\.?(?:/|$)|%(?:2[eEfF]|5[cC]|3[bB]|00|25(?=[0-9a-fA-F]{2}))|[\\;]|%(?![0-9a-fA-F]{2})")
# Some servers decode slashes, take backslashes for them, or cut off ";..." before they resolve dots.
_DOTS = re.compile(r"(?:[/\\]|%2[fF]|%5[cC])(?:\.|%2[eE]){1,2}(?:[/\\;]|%2[fF]|%5[cC]|$)")


class _Node:
    __slots__ = ("literal", "operation", "parameter")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.operation: tuple[str, tuple[str, ...]] | None = None


class Templates:
    """The operations of one tool, as a tree of path segments for each method.

    A literal segment is preferred to a parameter; a parameter takes exactly one non-empty segment.
    """

    def __init__(self, operations: Iterable[str]) -> None:
        self._methods: dict[str, _Node] = {}
        for operation in operations:
            method, _, template = operation.partition(" ")
            node = self._methods.setdefault(method, _Node())
            names = []
            for segment in template.split("/")[1:]:
                if segment[:1] == "{" and segment[-1:] == "}":
                    names.append(segment[1:-1])
                    node.parameter = node.parameter or _Node()
                    node = node.parameter
                else:
                    node = node.literal.setdefault(segment, _Node())
            node.operation = (operation, tuple(names))

    def match(self, method: str, path: str) -> tuple[str, Mapping[str, str]] | None:
        """The operation's name and the values of its parameters (percent-decoded), or None.

        ``path`` is as sent: it is split first and decoded after, so an encoded slash stays inside its segment.
        """
        root = self._methods.get(method)
        if root is None:
            return None
        segments = path.split("/")[1:]
        if "%" in path:
            segments = [unquote(segment) for segment in segments]
        values: list[str] = []
        found = _walk(root, segments, 0, values)
        if found is None:
            return None
        operation, names = found
        return operation, dict(zip(names, values, strict=True))


def _walk(node: _Node, segments: list[str], at: int, values: list[str]) -> tuple[str, tuple[str, ...]] | None:
    if at == len(segments):
        return node.operation
    segment = segments[at]
    literal = node.literal.get(segment)
    if literal is not None:
        found = _walk(literal, segments, at + 1, values)
        if found is not None:
            return found
    if node.parameter is not None and segment:
        values.append(segment)
        found = _walk(node.parameter, segments, at + 1, values)
        if found is not None:
            return found
        values.pop()
    return None


def ambiguous(path: str) -> str:
    """What in a path (as sent) servers are known to read in two ways, or an empty string.

    Dot segments, empty segments, encoded dots and slashes, backslashes, ``;`` parameters, percent signs that are broken
    or encoded themselves, bytes that are no UTF-8 (overlong forms among them).
    """
    found = _SUSPECT.search(path)
    if found:
        return found.group()
    if "%" in path:
        try:
            unquote(path, errors="strict")
        except UnicodeDecodeError as error:
            return f"%{error.object[error.start]:02X}"
    return ""


def dot_segments(path: str) -> bool:
    """Whether a path (as sent) has dot segments, plain or encoded: it could climb out of the tool's base path."""
    return _DOTS.search(path) is not None
