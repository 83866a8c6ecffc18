"""Writes of a turn go out together, in order, and closing loses none of them."""

from gateway.wire.outbox import Outbox, Outgoing
from tests.wire.rig import Transport


class Turn:
    """An end of turn that the test brings about."""

    def __init__(self) -> None:
        self.asked: list = []

    def ends(self) -> None:
        asked = list(self.asked)
        self.asked.clear()
        for flush in asked:
            flush()


def _two(turn: Turn) -> tuple[Transport, Outgoing, Transport, Outgoing]:
    outbox = Outbox(turn.asked.append)
    one, two = Transport(), Transport()
    return one, Outgoing(one, outbox), two, Outgoing(two, outbox)


def test_writes_wait_for_the_end_of_the_turn_and_keep_their_order():
    turn = Turn()
    one, out, two, other = _two(turn)
    out.write(b"a")
    other.write(b"x")
    out.writelines([b"b", b"c"])
    out.write(b"d")
    assert (one.taken(), two.taken()) == (b"", b"")
    assert len(turn.asked) == 1, "one call at the end of the turn for all"
    turn.ends()
    assert (one.taken(), two.taken()) == (b"abcd", b"x")


def test_the_next_turn_is_a_turn_of_its_own():
    turn = Turn()
    one, out, *_ = _two(turn)
    out.writelines([b"a"])
    turn.ends()
    out.write(b"b")
    assert one.taken() == b"a"
    turn.ends()
    assert one.taken() == b"b"


def test_closing_sends_what_waits_first():
    turn = Turn()
    one, out, two, other = _two(turn)
    out.write(b"last words")
    out.close()
    other.write(b"bye")
    other.write_eof()
    assert (one.taken(), one.closing) == (b"last words", True)
    assert (two.taken(), two.eof) == (b"bye", True)
    turn.ends()
    assert (one.taken(), two.taken()) == (b"", b"")


def test_aborting_loses_what_waits():
    turn = Turn()
    one, out, *_ = _two(turn)
    out.write(b"never")
    out.abort()
    turn.ends()
    assert (one.taken(), one.aborted) == (b"", True)


def test_nothing_is_written_to_a_transport_that_closed_in_between():
    turn = Turn()
    one, out, *_ = _two(turn)
    out.write(b"too late")
    one.closing = True
    turn.ends()
    assert one.taken() == b""


def test_large_writes_are_handed_over_part_by_part():
    turn = Turn()
    one, out, *_ = _two(turn)
    out.writelines([b"x" * 50_000, b"y" * 50_000])
    turn.ends()
    assert one.taken() == b"x" * 50_000 + b"y" * 50_000


def test_what_waits_is_bounded_so_that_backpressure_counts_it():
    turn = Turn()
    one, out, *_ = _two(turn)
    for _ in range(10):
        out.write(b"x" * 10_000)
    assert len(one.out) >= 64 * 1024, "more than that does not wait for the end of the turn"
    assert out.unsent() < 64 * 1024
    turn.ends()
    assert one.taken() == b"x" * 100_000


def test_one_that_cannot_be_written_to_does_not_silence_the_others(caplog):
    turn = Turn()
    one, out, two, other = _two(turn)
    one.eof = True  # writing to it raises now
    out.write(b"a")
    other.write(b"b")
    turn.ends()
    assert (two.taken(), one.aborted) == (b"b", True)
    other.write(b"c")
    turn.ends()
    assert two.taken() == b"c"
