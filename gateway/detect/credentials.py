"""Credentials in texts, by their shapes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from gateway.detect.finding import Finding, listed, masked
from gateway.detect.patterns import Patterns
from gateway.detect.shapes import SHAPES, is_word
from gateway.detect.texts import texts_of

LEAST = 12
"""Characters of the shortest text that can hold one."""
SURE, LIKELY = 0.95, 0.6
"""Scores of what begins as nothing else does, and of what stands where a secret is told (``password=``)."""
_MOST_EACH = 16


def secrets(value: Any) -> list[dict[str, Any]]:
    """What looks like a credential in a value's texts: ``kind`` is whose (``github``, ``private-key``, ...).

    Raises:
        TooMuchError: the value is larger than what is looked through.
    """
    return listed(
        Finding(kind, score, masked(data[start:end].decode("latin-1")), path)
        for path, text in texts_of(value)
        if len(text) >= LEAST
        for data in (text.encode("utf-8", "replace"),)
        for kind, score, start, end in secrets_in(data, _MOST_EACH)
    )


def secrets_in(data: bytes, most: int) -> Iterator[tuple[str, float, int, int]]:
    """Kind, score, begin and end of credentials in a text: at most ``most`` of each shape."""
    for number in shapes().which(data):
        shape = SHAPES[number]
        for match in shapes().found(number, data, most):
            start, end = _place(match)
            if shape.sure or not is_word(data[start:end]):
                yield shape.name, SURE if shape.sure else LIKELY, start, end


def _place(match: Any) -> tuple[int, int]:
    """Where the secret stands: the first group that fits, or all that was found."""
    group = next((number for number, text in enumerate(match.groups(), 1) if text), 0)
    return int(match.start(group)), int(match.end(group))


@lru_cache(maxsize=1)
def shapes() -> Patterns:
    """All shapes, compiled when they are first looked for."""
    return Patterns([shape.pattern for shape in SHAPES], latin=True)
