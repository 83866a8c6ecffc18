"""Durations, sizes, rates and percents as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.units import duration, fraction, rate, size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("10s", 10), ("5m", 300), ("1.5h", 5400), ("1d", 86400), (3, 3), (0.5, 0.5), ("7", 7)],
)
def test_durations_are_seconds(text: object, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(("text", "count"), [("64KiB", 65536), ("1MiB", 1 << 20), ("10MB", 10**7), (12, 12), ("5", 5)])
def test_sizes_are_bytes(text: object, count: int) -> None:
    assert size(text) == count


@pytest.mark.parametrize(("text", "tokens"), [("10/s", 10), ("60/m", 1), ("3600/h", 1), ("86400/d", 1), ("0.5/s", 0.5)])
def test_rates_are_tokens_a_second_and_keep_their_text(text: str, tokens: float) -> None:
    assert rate(text) == (pytest.approx(tokens), text)


@pytest.mark.parametrize(("text", "share"), [("50%", 0.5), (0.25, 0.25), ("0%", 0), ("100%", 1), (1, 1)])
def test_fractions_are_between_0_and_1(text: object, share: float) -> None:
    assert fraction(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "10 parsecs", "-1s", "1e3s", None, True, [], -1, float("nan"), float("inf"), "s"])
def test_no_duration_says_what_to_write(text: object) -> None:
    with pytest.raises(ValueError, match=r"write 250ms, 10s"):
        duration(text)


@pytest.mark.parametrize("text", ["1.5MiB", "ten", "-1", 1.5, True, "1TiB", ""])
def test_no_size_says_what_to_write(text: object) -> None:
    with pytest.raises(ValueError, match=r"write 64KiB"):
        size(text)


@pytest.mark.parametrize("text", ["10", "10/w", "/s", "ten/s", 10, None, "1/s/s"])
def test_no_rate_says_what_to_write(text: object) -> None:
    with pytest.raises(ValueError, match=r"write 10/s"):
        rate(text)


def test_a_rate_of_nothing_points_to_a_rule_instead() -> None:
    with pytest.raises(ValueError, match="write a rule"):
        rate("0/s")


@pytest.mark.parametrize("text", ["150%", 1.01, -0.1, "half", True, "50 percent"])
def test_no_fraction_says_what_to_write(text: object) -> None:
    with pytest.raises(ValueError, match="write 50%"):
        fraction(text)


@given(st.text() | st.floats() | st.integers() | st.none() | st.lists(st.integers()))
def test_anything_else_is_a_value_error(value: object) -> None:
    for parse in (duration, size, rate, fraction):
        try:
            parse(value)
        except ValueError as error:
            assert "write" in str(error)
