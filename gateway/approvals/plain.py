"""Whether a value is JSON that every tool reads in the same way. Quiet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

LARGEST = 1 << 53
"""Integers beyond it are read as others by some (RFC 8259, section 6)."""
DEEPEST = 64


class NotPlain(ValueError):  # noqa: N818 - a finding
    """The text names the place of the first thing that is no JSON, or JSON that is read in two ways."""


def check_plain(value: Any, path: str, depth: int = 0) -> None:
    """Raises NotPlain unless every tool reads this the same way. ``path`` is the place, for the text."""
    if depth > DEEPEST:
        raise NotPlain(f"{path[:200]}: nested more than {DEEPEST} deep")
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if not isinstance(name, str):
                raise NotPlain(f"{path[:200]}: {name!r} is no name of a member")
            _check_text(name, path)
            check_plain(inner, f"{path}.{name}", depth + 1)
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            check_plain(inner, f"{path}[{number}]", depth + 1)
    elif isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, float) and not math.isfinite(value):
        raise NotPlain(f"{path[:200]}: {value} is no number of JSON")
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST:
        raise NotPlain(f"{path[:200]}: {value} is beyond 2^53, where numbers are read differently; send it as a text")
    elif value is not None and not isinstance(value, bool | int | float):
        raise NotPlain(f"{path[:200]}: {type(value).__name__} is no JSON")


def _check_text(text: str, path: str) -> None:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise NotPlain(f"{path[:200]}: half a character (a lone surrogate)")
