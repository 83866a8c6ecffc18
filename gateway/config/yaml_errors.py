"""What libyaml says of a text, in words that tell what to write instead."""

from __future__ import annotations

import yaml

from gateway.config.problems import Found, lines_of

_QUOTES = "put the text in quotes"
_REFERENCE = "inside [ ] and { } write ${...} in quotes"

_KNOWN = {
    "did not find expected alphabetic or numeric character": (
        "YAML takes a * or & at the beginning for an alias",
        'text that begins with * or & must be in quotes: "*"',
    ),
    "mapping values are not allowed in this context": (
        "a colon is not allowed here",
        "check the indentation; text that contains ': ' must be in quotes",
    ),
    "did not find expected key": (
        "this does not line up with the keys above",
        "give keys of one mapping the same indentation",
    ),
    "did not find expected '-' indicator": (
        "this does not line up with the list above",
        "begin entries with - at the same indentation, and their keys below the first one",
    ),
    "could not find expected ':'": ("there is no colon after this key", "write key: value"),
    "did not find expected ',' or ']'": (
        "the list that opens with [ goes wrong here",
        "separate entries by commas; close it with ]",
    ),
    "did not find expected ',' or '}'": (
        "the mapping that opens with { goes wrong here",
        "separate entries by commas; close it with }",
    ),
    "did not find expected node content": ("a value is missing here", "write one, or close the [ or { above"),
    "found unexpected end of stream": ("a quote is never closed", "close it, or double a ' inside '...'"),
    "found unexpected document indicator": ("a quote is never closed", "close it, or double a ' inside '...'"),
    "found unknown escape character": (
        "unknown escape in a double-quoted text",
        r"use single quotes, or write \\ for a backslash",
    ),
    "did not find expected <document start>": (
        "this does not belong to what stands above",
        "separate documents by ---",
    ),
    "found a tab character that violates indentation": ("a tab is used for indentation", "use spaces"),
    "found a tab character where an indentation space is expected": ("a tab is used for indentation", "use spaces"),
    "exceeded maximum nesting depth": ("lists and mappings are nested too deep", "nothing here needs that"),
}
_OPENING = {
    "found unexpected end of stream",
    "found unexpected document indicator",
    "did not find expected ',' or ']'",
    "did not find expected ',' or '}'",
}
"""Problems that show where they begin better than where they were noticed."""


def explained(error: yaml.YAMLError, text: str) -> Found:
    """The mistake, with its place."""
    if isinstance(error, yaml.MarkedYAMLError):
        return _marked(error, text)
    position = getattr(error, "position", 0)
    # The reader counts bytes.
    before = lines_of(text.encode()[:position].decode(errors="ignore"))
    code = getattr(error, "character", 0)
    what = f"the character U+{code:04X} is not allowed in YAML" if isinstance(code, int) else "this is not UTF-8 text"
    return Found(len(before), len(before[-1]) + 1, what, r'write it as an escape in double quotes: "\u0000"')


def _marked(error: yaml.MarkedYAMLError, text: str) -> Found:
    problem = error.problem or "this is not YAML"
    mark = error.context_mark if problem in _OPENING and error.context_mark else error.problem_mark
    if mark is None:
        return Found(1, 1, problem, "")
    line, column = mark.line + 1, mark.column + 1
    lines = lines_of(text)
    here = lines[mark.line] if mark.line < len(lines) else ""
    if problem in _OPENING and error.problem_mark and text[error.problem_mark.index - 1 :].startswith("${"):
        stands = error.problem_mark
        return Found(stands.line + 1, stands.column, "YAML takes the { of ${...} for a mapping here", _REFERENCE)
    if problem == "found character that cannot start any token":
        return Found(line, column, *_cannot_start(here[mark.column : mark.column + 1]))
    message, hint = _KNOWN.get(problem, (problem, ""))
    return Found(line, column, message, hint)


def _cannot_start(character: str) -> tuple[str, str]:
    if character == "\t":
        return "a tab is used for indentation", "use spaces"
    return f"text cannot begin with {character}", _QUOTES
