"""How long a connection that ends may take. Time is an argument."""

from __future__ import annotations

from time import monotonic

import pytest

from gateway.wire.ending import Ending


class Slow:
    """A transport whose agent takes what is written as the test says."""

    def __init__(self, left: int) -> None:
        self.left, self.closed, self.aborted, self.ended = left, False, False, False

    def unsent(self) -> int:
        return self.left

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True


def ending(left: int = 0) -> tuple[Ending, Slow]:
    transport = Slow(left)
    return Ending(transport), transport  # type: ignore[arg-type]


def test_a_connection_that_does_not_end_is_left_alone() -> None:
    ends, transport = ending(100)
    assert not ends.check(monotonic() + 1000)
    assert not transport.aborted


@pytest.mark.parametrize("lingers", [False, True])
def test_an_agent_that_takes_nothing_more_is_cut(lingers: bool) -> None:
    ends, transport = ending(100)
    began = monotonic()
    ends.linger() if lingers else ends.shut()
    assert (transport.ended, transport.closed) == (lingers, not lingers)
    assert ends.check(began + 9)
    assert not transport.aborted
    assert ends.check(began + 11)
    assert transport.aborted


def test_an_agent_that_takes_a_little_has_time_for_more() -> None:
    ends, transport = ending(100)
    began = monotonic()
    ends.shut()
    for second in range(0, 60, 9):
        transport.left -= 1
        ends.check(began + second)
    assert not transport.aborted
    ends.check(began + 54 + 11)
    assert transport.aborted


def test_it_is_drained_for_a_while_once_all_has_gone_out() -> None:
    ends, transport = ending()
    began = monotonic()
    ends.linger()
    assert ends.lingers
    ends.check(began + 1)
    assert not transport.aborted
    ends.check(began + 3)
    assert transport.aborted
