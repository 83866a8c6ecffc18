"""What a guard had left, in the words of a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LOOPS = ("near", "repeats", "errors", "pending", "cycle", "stalled", "streak")
_CIRCUITS = ("closed", "half-open", "open", "probe", "held open", "held closed")
_NO_AMOUNT = frozenset((*_LOOPS, *_CIRCUITS))
"""Nothing is used up in these states, and ``left`` tells something else, or nothing."""


def left_text(guard: Mapping[str, Any]) -> str:
    """``", 3 left"`` or, of a budget, ``", 0.25 USD left"``; empty where nothing can be left.

    ``guard`` is one of the ``guards`` of a record.
    """
    if guard["state"] in _NO_AMOUNT:
        return ""
    budget = guard.get("budget")  # records of older versions have none
    unit = {"usd": " USD", "tokens": " tokens", "calls": " calls"}[budget["unit"]] if budget else ""
    return f", {guard['left']:g}{unit} left"
