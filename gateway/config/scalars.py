"""From a place inside a value to its place in the file: where in the YAML does the expression go wrong?

Quotes, escapes, indentation and folding move characters, but none of them moves what is not white space out of its
order. So the n-th visible character of the value is the n-th visible unit of what the file says.
"""

from __future__ import annotations

import re

from gateway.config.marks import Node
from gateway.config.problems import lines_of

_ESCAPE = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|\r\n|[\s\S])")
_WHITE_ESCAPES = frozenset("nrtvfNLP_e0ab \t\r\n")
_BREAKS = frozenset("\r\n\x85\u2028\u2029")


def place_in(text: str, node: Node, line: int, column: int) -> tuple[int, int]:
    """Line and column in the file of a place in a scalar's value (all from 1).

    A place on white space becomes that of the next visible character; one behind the end, the end of the scalar.
    """
    if not isinstance(node.value, str) or node.raw is not None:
        return node.line, node.column
    before = node.value.split("\n")[: line - 1]
    offset = sum(len(part) + 1 for part in before) + column - 1
    nth = sum(not character.isspace() for character in node.value[:offset])
    units = _visible(text[node.start : node.end], node.style)
    inside = units[nth] if nth < len(units) else (units[-1] + 1 if units else 0)
    lines = lines_of(text[: node.start + inside])
    return len(lines), len(lines[-1]) + 1


def _visible(raw: str, style: str) -> list[int]:
    """Offsets in ``raw`` of everything that became a visible character of the value."""
    if style in ("|", ">"):
        return _of_block(raw)
    at, end = (1, len(raw) - 1) if style else (0, len(raw))
    found = []
    while at < end:
        unit = 1
        visible = not raw[at].isspace()
        if style == '"' and raw[at] == "\\" and (escape := _ESCAPE.match(raw, at)):
            unit = len(escape[0])
            visible = escape[0][1] not in _WHITE_ESCAPES
        elif style == "'" and raw.startswith("''", at):
            unit = 2
        if visible:
            found.append(at)
        at += unit
    return found


def _of_block(raw: str) -> list[int]:
    """Below the header (``|-``, ``>2``, with its comment)."""
    header = next((at for at, character in enumerate(raw) if character in _BREAKS), len(raw))
    return [at for at in range(header, len(raw)) if not raw[at].isspace()]
