"""``json()``, ``glob()``, ``texts()`` and ``text_of()``: texts within arguments."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import jiter

from gateway.policy.globs import check_glob, glob_regex

JSON_CAP = 65_536
GLOB_TEXT_CAP = 65_536
GLOB_PATTERN_CAP = 256
TEXTS_CAP = 4096
"""Different texts in one value: a rule has a loop over them, and engines end loops of about 10,000 steps."""
DEEPEST = 64
LARGEST = 2**53


class FunctionError(ValueError):
    """A function has no value for these arguments; the message says why, and where."""


def bounded(text: str, cap: int) -> str:
    """The text, or FunctionError where it has more than ``cap`` characters."""
    if len(text) > cap:
        raise FunctionError(f"the text has {len(text)} characters, more than {cap}")
    return text


def json(text: str) -> Any:
    """The value of one JSON text (RFC 8259), read as strictly as a body is: what parsers read differently is an error.

    Raises:
        FunctionError: it is no JSON, has a name twice, NaN, an integer beyond 2^53, U+0000, a lone surrogate, or is
            nested deeper than 64.
    """
    try:
        value = jiter.from_json(bounded(text, JSON_CAP).encode(), allow_inf_nan=False, catch_duplicate_keys=True)
    except FunctionError:
        raise
    except ValueError as error:
        raise FunctionError(f"not JSON that reads in one way: {error}") from None
    _check(value)
    return value


def _check(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict | list) and depth > DEEPEST:
                raise FunctionError(f"nested deeper than {DEEPEST} levels")
            if isinstance(item, dict):
                below += item
                below += item.values()
            elif isinstance(item, list):
                below += item
            else:
                _check_scalar(item)
        level = below


def _check_scalar(item: Any) -> None:
    if isinstance(item, str):
        if "\0" in item:
            raise FunctionError("a text in it has the character U+0000")
    elif isinstance(item, int) and abs(item) > LARGEST:
        raise FunctionError("an integer in it is beyond 2^53")
    elif isinstance(item, float) and item in (float("inf"), float("-inf")):
        raise FunctionError("a number in it is beyond the range of a double")


def glob(text: str, pattern: str) -> bool:
    """Whether the whole text matches: ``*`` is any run of characters (``/`` too), ``?`` is one, case matters.

    Raises:
        FunctionError: the pattern has a ``[``, or one of the two is too long.
    """
    return check_pattern(pattern).fullmatch(bounded(text, GLOB_TEXT_CAP)) is not None


@lru_cache(maxsize=1024)
def check_pattern(pattern: str) -> re.Pattern[str]:
    """The pattern compiled. Raises FunctionError; see ``glob``."""
    if len(pattern) > GLOB_PATTERN_CAP:
        raise FunctionError(f"the pattern has {len(pattern)} characters, more than {GLOB_PATTERN_CAP}")
    try:
        check_glob(pattern)
    except ValueError as error:
        raise FunctionError(str(error)) from None
    return glob_regex(pattern)


def texts(value: Any) -> list[str]:
    """Every text in a value, at any depth, names too, and whole numbers in digits: each once, sorted.

    Raises:
        FunctionError: there are more than TEXTS_CAP.
    """
    found: set[str] = set()
    level = [value]
    while level:
        below: list[Any] = []
        for item in level:
            if isinstance(item, str):
                found.add(item)
            elif isinstance(item, dict):
                below += item
                below += item.values()
            elif isinstance(item, list):
                below += item
            elif not isinstance(item, bool) and isinstance(item, int | float) and item == item // 1:
                found.add(str(int(item)))
        if len(found) > TEXTS_CAP:
            raise FunctionError(f"more than {TEXTS_CAP} texts")
        level = below
    return sorted(found)


def text_of(value: Any) -> str:
    """The ``texts`` of a value in one, each on a line of its own: so one regular expression sees all of them.

    Raises:
        FunctionError: as for ``texts``.
    """
    return "\n".join(texts(value))
