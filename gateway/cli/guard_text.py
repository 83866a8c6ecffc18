"""What a guard had left, in the words of a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.observe.guards import counts


def left_text(guard: Mapping[str, Any]) -> str:
    """``", 3 left"`` or, of a budget, ``", 0.25 USD left"``; empty where nothing can be left.

    ``guard`` is one of the ``guards`` of a record.
    """
    if not counts(guard):
        return ""
    budget = guard.get("budget")  # records of older versions have none
    unit = {"usd": " USD", "tokens": " tokens", "calls": " calls"}[budget["unit"]] if budget else ""
    return f", {guard['left']:g}{unit} left"
