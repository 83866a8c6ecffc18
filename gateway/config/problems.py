"""Mistakes and where they stand."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from gateway.errors import Problem

WIDEST = 160
"""Characters of a line that an excerpt shows."""
_BREAK = re.compile(r"\r\n|[\r\n\x85\u2028\u2029]")


class Found(Struct, frozen=True):
    """A mistake in a text whose file is known elsewhere. ``line`` and ``column`` count from 1."""

    line: int
    column: int
    message: str
    hint: str


class ShownProblem(Problem):
    """A problem with the line that it is about and a caret below the place, where showing that line betrays nothing."""

    __slots__ = ("excerpt",)

    def __init__(
        self,
        file: str,
        line: int,
        column: int,
        message: str,
        hint: str = "",
        excerpt: str = "",
        *,
        kind: str = "unreadable",
    ) -> None:
        super().__init__(file, line, column, message, hint, kind=kind)
        self.excerpt = excerpt


def excerpt_of(text: str, line: int, column: int) -> str:
    """The line with its number and a caret below ``column``, or empty where there is no such line."""
    lines = lines_of(text)
    if not 0 < line <= len(lines):
        return ""
    shown = lines[line - 1].replace("\t", " ")
    begin = max(0, column - WIDEST // 2) if len(shown) > WIDEST else 0
    shown = shown[begin : begin + WIDEST].rstrip()
    return f"  {line} | {shown}\n  {' ' * len(str(line))} | {' ' * (column - 1 - begin)}^"


def lines_of(text: str) -> list[str]:
    """The text's lines, broken where YAML breaks them."""
    return _BREAK.split(text)


def in_order(problems: Sequence[Problem], first: str) -> list[Problem]:
    """The problems of the file ``first``, then of the others by name; in each by place, and each once."""
    unique = {str(problem): problem for problem in problems}
    return sorted(unique.values(), key=lambda one: (one.file != first, one.file, one.line, one.column))
