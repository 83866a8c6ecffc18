"""What a guard had left, as commands tell it."""

from __future__ import annotations

import pytest

from gateway.cli.guard_text import left_text


@pytest.mark.parametrize(
    ("left", "state", "budget", "text"),
    [
        (2.5, None, None, ", 2.5 left"),
        (0, "exhausted", None, ", 0 left"),
        (0.01, "warn", {"unit": "usd"}, ", 0.01 USD left"),
        (70, None, {"unit": "tokens"}, ", 70 tokens left"),
        (3, "repeats", None, ""),
        (7, "probe", None, ""),
    ],
)
def test_only_what_can_be_used_up_is_left(left: float, state: str | None, budget: object, text: str) -> None:
    """``left`` of a loop guard is how often a call was made, of a probe it is a number of the circuit's."""
    assert left_text({"guard": "g", "left": left, "state": state, "budget": budget}) == text
    if budget is None:
        assert left_text({"guard": "g", "left": left, "state": state}) == text
