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
        Finding(kind, score, masked(secret.decode("latin-1")), path)
        for path, text in texts_of(value)
        if len(text) >= LEAST
        for kind, score, secret in secrets_in(text.encode("utf-8", "replace"))
    )


def secrets_in(data: bytes) -> Iterator[tuple[str, float, bytes]]:
    """Kind, score and the secret itself, of each credential in a text."""
    seen: set[bytes] = set()
    for number in shapes().which(data):
        shape = SHAPES[number]
        for match in shapes().found(number, data, _MOST_EACH):
            secret = next((group for group in match.groups() if group), match[0])
            if secret in seen or (not shape.sure and is_word(secret)):
                continue
            seen.add(secret)
            yield shape.name, SURE if shape.sure else LIKELY, secret


@lru_cache(maxsize=1)
def shapes() -> Patterns:
    """All shapes, compiled when they are first looked for."""
    return Patterns([shape.pattern for shape in SHAPES], latin=True)
