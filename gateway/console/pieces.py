"""Small things that several pages need."""

from __future__ import annotations

from gateway.console.errors import Mistaken


def number_of(text: str | None, default: int, most: int) -> int:
    """A number of a query, from 1 to ``most``.

    Raises:
        Mistaken: it is none.
    """
    if not text:
        return default
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text[:9]) <= most:
        raise Mistaken(f"a number from 1 to {most} is meant, not {text[:40]!r}")
    return int(text)
