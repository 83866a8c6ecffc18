"""Durations, sizes, rates and percents as people write them. Every function raises ValueError with what to write."""

from __future__ import annotations

import re
from math import isfinite

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "": 1,
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)?")
_SIZE = re.compile(r"([0-9]+)\s?([KMG]i?B|B)?")
_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)/(s|m|h|d)")
_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s?%")


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if isfinite(value) and value >= 0 else None


def duration(text: object) -> float:
    """Seconds from ``250ms``, ``10s``, ``5m``, ``1h``, ``1d``, or from a number of seconds (0 or more)."""
    number = _number(text)
    if number is not None:
        return number
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"not a duration: {text!r}; write 250ms, 10s, 5m, 1h, 1d or a number of seconds")
    return float(found[1]) * _SECONDS[found[2] or "s"]


def size(text: object) -> int:
    """Bytes from ``64KiB``, ``1MiB``, ``10MB``, or from a number of bytes (0 or more)."""
    number = _number(text)
    if number is not None and number == int(number):
        return int(number)
    found = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"not a size: {text!r}; write 64KiB, 1MiB, 10MB or a number of bytes")
    return int(found[1]) * _BYTES[found[2] or ""]


def rate(text: object) -> tuple[float, str]:
    """Tokens a second from ``10/s``, ``100/m``, ``1000/h`` or ``5000/d``, and the text as it was written."""
    found = _RATE.fullmatch(text) if isinstance(text, str) else None
    if found is None or not isinstance(text, str):
        raise ValueError(f"not a rate: {text!r}; write 10/s, 100/m, 1000/h or 5000/d")
    tokens = float(found[1])
    if tokens <= 0:
        raise ValueError(
            f"a rate must be above 0, not {text!r}; to forbid calls altogether write a rule that denies them"
        )
    return tokens / _SECONDS[found[2]], text


def fraction(text: object) -> float:
    """0..1 from ``50%`` or from a number between 0 and 1."""
    number = _number(text)
    if number is None and isinstance(text, str):
        found = _PERCENT.fullmatch(text)
        number = float(found[1]) / 100 if found else None
    if number is None or number > 1:
        raise ValueError(f"not a fraction: {text!r}; write 50% or a number between 0 and 1")
    return number
