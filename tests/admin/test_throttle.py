"""Failed logins are bounded, in number and in memory, and nobody is locked out by strangers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.problems import Failure
from gateway.admin.throttle import ALL_BURST, MOST_PEERS, PEER_BURST, PEER_RATE, WELCOME, Throttle


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def tries(throttle: Throttle, peer: str, most: int = 1_000) -> int:
    """How many attempts of a peer fail before it is told to wait."""
    for number in range(most):
        try:
            throttle.take(peer)
        except Failure as failure:
            assert failure.status == 429
            assert failure.retry_after is not None
            assert failure.retry_after > 0
            return number
    return most


def test_a_peer_that_fails_too_often_waits_and_may_then_try_again() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    assert tries(throttle, "192.0.2.1") == PEER_BURST
    with pytest.raises(Failure) as caught:
        throttle.take("192.0.2.1")
    assert caught.value.retry_after is not None
    clock.now += caught.value.retry_after
    assert tries(throttle, "192.0.2.1") == 1
    assert tries(throttle, "192.0.2.2") == PEER_BURST, "others are not meant"


def test_logins_that_pass_cost_nothing() -> None:
    throttle = Throttle(Clock())
    for _ in range(1_000):
        throttle.take("192.0.2.1")
        throttle.passed("192.0.2.1")
    assert tries(throttle, "192.0.2.1") == PEER_BURST


def test_many_peers_together_meet_the_bucket_for_all_and_known_ones_do_not() -> None:
    throttle = Throttle(Clock())
    throttle.take("198.51.100.7")
    throttle.passed("198.51.100.7")
    failed = sum(tries(throttle, f"10.0.{number}.1") for number in range(200))
    assert failed == ALL_BURST
    assert tries(throttle, "203.0.113.5") == 0
    assert tries(throttle, "198.51.100.7") == PEER_BURST, "somebody was let in from there before"


def test_a_peer_is_not_known_for_ever() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    throttle.passed("198.51.100.7")
    clock.now += WELCOME + 1
    for number in range(200):
        tries(throttle, f"10.0.{number}.1")
    assert tries(throttle, "198.51.100.7") == 0


def test_an_ipv6_network_is_one_peer_and_a_mapped_address_is_its_ipv4_one() -> None:
    throttle = Throttle(Clock())
    assert sum(tries(throttle, f"2001:db8::{number:x}") for number in range(1, 50)) == PEER_BURST
    assert tries(throttle, "2001:db8:0:1::1") == PEER_BURST
    tries(throttle, "192.0.2.9")
    assert tries(throttle, "::ffff:192.0.2.9") == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 30), st.booleans()), max_size=60))
def test_no_peer_fails_more_often_than_its_bucket_lets_it(steps: list[tuple[int, float, bool]]) -> None:
    clock, failed = Clock(), [0] * 6
    throttle, begun = Throttle(clock), clock.now
    for peer, pause, good in steps:
        clock.now += pause
        try:
            throttle.take(f"192.0.2.{peer}")
        except Failure:
            continue
        if good:
            throttle.passed(f"192.0.2.{peer}")
        else:
            failed[peer] += 1
    assert max(failed) <= PEER_BURST + (clock.now - begun) * PEER_RATE + 1e-6


def test_memory_is_bounded_whatever_addresses_come() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    for number in range(3 * MOST_PEERS):
        clock.now += 1
        throttle.passed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        tries(throttle, f"11.{number >> 16}.{number >> 8 & 255}.{number & 255}", 1)
    assert len(throttle) <= 2 * MOST_PEERS
