"""YAML files as documents that can say where each of their values stands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from gateway.config import marks
from gateway.config.files import Files
from gateway.config.marks import Node
from gateway.config.model_errors import SECRET, Mistake
from gateway.config.problems import Found, ShownProblem, excerpt_of, lines_of
from gateway.config.scalars import place_in
from gateway.errors import Problem

_NO_SECRET = frozenset({"header", "agent"})
"""Keys beside secrets."""
_OF_POLICIES = re.compile(r"^apiVersion:", re.MULTILINE)


class Document(Struct, frozen=True):
    """One document. ``file`` is its path as it is shown to people."""

    file: str
    text: str
    root: Node

    def mistake(self, mistake: Mistake) -> ShownProblem:
        """The problem that a mistake at a path is."""
        node = self.root.key_at(mistake.path) if mistake.at_key else self.root.at(mistake.path)
        return self._problem(mistake.path, node.line, node.column, mistake.message, mistake.hint, mistake.kind)

    def inside(
        self, path: Sequence[str | int], line: int, column: int, message: str, hint: str, kind: str = "expression"
    ) -> ShownProblem:
        """A problem at a place (from 1) within the text at ``path``, or with the whole of it where ``line`` is 0."""
        node = self.root.at(path)
        place = place_in(self.text, node, line, column) if line else (node.line, node.column)
        return self._problem(path, *place, message, hint, kind)

    def _problem(
        self, path: Sequence[str | int], line: int, column: int, message: str, hint: str, kind: str
    ) -> ShownProblem:
        value = self.root.at(path)
        if value.raw is not None and value.value:
            # What a reference stands for may be a secret; what the file says is not.
            message, hint = message.replace(value.value, value.raw), hint.replace(value.value, value.raw)
        shown = "" if SECRET & set(path) or self._betrays(line) else excerpt_of(self.text, line, column)
        return ShownProblem(self.file, line, column, message, hint, shown, kind=kind)

    def _betrays(self, line: int) -> bool:
        """Whether a secret stands in this line as it is: a mistake beside it must not show it."""
        return any(
            node.raw is None and 0 <= line - node.line <= self.text.count("\n", node.start, node.end)
            for node in _secrets(self.root)
        )


def _secrets(node: Node, within: bool = False) -> Iterator[Node]:
    """The scalars that may be secrets, by the names of their keys."""
    for key, item in node.items.items():
        inside = within or key in SECRET
        if inside and key not in _NO_SECRET and not isinstance(item.value, dict | list):
            yield item
        yield from _secrets(item, inside)


def read_documents(path: Path, files: Files) -> tuple[list[Document], list[Problem]]:
    """The documents of a YAML file, empty ones left out, and what is wrong with its syntax.

    Never raises: a file that cannot be read is a problem.
    """
    shown = str(path)
    try:
        content = files.read(path)
    except OSError as error:
        return [], [Problem(shown, 0, 0, f"cannot be read: {error.strerror or error}", "check the path")]
    return documents_in(shown, content)


def documents_in(shown: str, content: bytes) -> tuple[list[Document], list[Problem]]:
    """As ``read_documents``, of what was read already. ``shown`` is what problems name the file."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = lines_of(content[: error.start].decode())
        place = len(before), len(before[-1]) + 1
        return [], [Problem(shown, *place, "this is not UTF-8 text", "save the file as UTF-8")]
    nodes, found = marks.read(text)
    documents = [Document(shown, text, node) for node in nodes if node.value is not None]
    problems: list[Problem] = [
        ShownProblem(shown, one.line, one.column, one.message, one.hint, _excerpt(text, one), kind="yaml")
        for one in found
    ]
    return documents, problems


def _excerpt(text: str, found: Found) -> str:
    """The line of a mistake of syntax; only of policies and their tests, since where the syntax is wrong nobody can
    tell which lines of a configuration hold credentials."""
    return excerpt_of(text, found.line, found.column) if _OF_POLICIES.search(text) else ""


def problems_of(file: str, found: Sequence[Found]) -> list[Problem]:
    """The mistakes found in a file's text."""
    return [Problem(file, one.line, one.column, one.message, one.hint, kind="reference") for one in found]
