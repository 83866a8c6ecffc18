"""The order of the inbox on queues of which the truth is known: what a person's looks avert, beside other orders."""

from __future__ import annotations

from random import Random

import pytest

from benchmarks.attention import ORDERS, played, world


def share(order: str, timeout: str, *, told: bool) -> float:
    shifts = [played(world(Random(seed), timeout, told=told), ORDERS[order], timeout) for seed in (1, 2)]
    return sum(shift.share for shift in shifts) / len(shifts)


@pytest.mark.parametrize("timeout", ["allow", "deny"])
def test_a_look_is_worth_more_than_in_the_order_of_arrival_also_where_nobody_says_what_is_at_stake(
    timeout: str,
) -> None:
    first_come = share("first come, first served", timeout, told=False)
    assert share("value of a look", timeout, told=False) > 1.15 * first_come
    assert share("value of a look", timeout, told=True) > 1.5 * first_come


def test_it_is_no_worse_than_the_gravest_first_where_that_is_said() -> None:
    assert share("value of a look", "allow", told=True) > share("gravest first", "allow", told=True)
