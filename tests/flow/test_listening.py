"""What is told of answers on their way to the agent."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.flow.listening import MOST_HEARD, MOST_TRIES, Listening


class Learns:
    """Hears all it is told, and is content with what ends so."""

    def __init__(self, wants: bytes = b"") -> None:
        self.wants = wants
        self.told: list[tuple[bytes | None, bool]] = []

    def __call__(self, body: bytes | None, ended: bool) -> bool:
        self.told.append((body, ended))
        return ended or (body is not None and self.wants in body)


class Rewrites:
    """A reader that gives the agent something else, all of it at the end."""

    rewrites = True

    def __init__(self, *, whole: bool) -> None:
        self.whole = whole

    def feed(self, data: bytes) -> bytes:
        return b""

    def end(self) -> bytes:
        return b"other"


def through(listening: Listening, *pieces: bytes) -> bytes:
    return b"".join([listening.feed(piece) for piece in pieces]) + listening.end()


@pytest.mark.parametrize("pieces", [(b"ab", b"c"), (), (b"",)])
def test_a_whole_answer_is_learnt_once_an_empty_one_too(pieces: tuple[bytes, ...]) -> None:
    learns, heard = Learns(), []
    listening = Listening(None, heard.append, learns)
    assert through(listening, *pieces) == b"".join(pieces)
    listening.heard()
    assert learns.told == [(b"".join(pieces), True)]
    assert heard == [b"abc"] * bool(b"".join(pieces))


def test_of_an_answer_that_was_broken_off_nothing_is_learnt() -> None:
    learns, heard = Learns(), []
    listening = Listening(None, heard.append, learns)
    listening.feed(b"half of i")
    listening.heard()
    assert learns.told == []
    assert heard == [b"half of i"]


@pytest.mark.parametrize("more", [0, 1])
def test_an_answer_that_is_too_long_is_learnt_as_such(more: int) -> None:
    learns, heard = Learns(), []
    listening = Listening(None, heard.append, learns)
    through(listening, b"x" * (MOST_HEARD - 1), b"y" * (1 + more))
    ((body, ended),) = learns.told
    assert ended
    assert (body is None) == bool(more)
    assert len(heard[0]) == MOST_HEARD


def test_a_stream_of_events_is_learnt_as_soon_as_it_holds_the_answer() -> None:
    learns = Learns(wants=b"result")
    listening = Listening(None, None, learns, events=True)
    for piece in (b"data: wait\n\n", b"data: resu", b"lt\n\n", b"data: more\n\n"):
        listening.feed(piece)
    assert learns.told == [(b"data: wait\n\n", False), (b"data: wait\n\ndata: result\n\n", False)]
    through(listening)
    assert len(learns.told) == 2


def test_a_stream_that_never_holds_it_is_not_looked_at_without_end() -> None:
    learns = Learns(wants=b"never")
    listening = Listening(None, None, learns, events=True)
    for _ in range(10 * MOST_TRIES):
        listening.feed(b"data: x\n\n")
    assert len(learns.told) == MOST_TRIES
    listening.heard()  # the agent has left
    assert [ended for _, ended in learns.told] == [False] * (MOST_TRIES + 1)


@pytest.mark.parametrize("whole", [True, False])
def test_what_the_agent_gets_is_learnt_and_not_what_came(whole: bool) -> None:
    learns = Learns()
    inner: Any = Rewrites(whole=whole)
    listening = Listening(inner, None, learns)
    assert through(listening, b"secret") == b"other"
    if whole:  # it may still be refused
        assert learns.told == []
        listening.heard()
    assert learns.told == [(b"other", True)]
