"""Replicas on one board sign with one key."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import structs

from gateway.model import Agent, Run
from gateway.stores import lineage_key
from gateway.stores.lineage import TracedRuns
from gateway.stores.lineage_key import SharedKey
from tests.builders import call
from tests.stores.boards import Board

NOW = 1_700_000_000.0


def replica(board: Board, number: int) -> tuple[TracedRuns, SharedKey]:
    """One that begins with a key of its own."""
    runs = TracedRuns(bytes([number]) * 32, lambda: NOW, lambda size: bytes([number]) * size)
    return runs, SharedKey(board, runs)


def token(of: TracedRuns) -> bytes:
    """What a tool is told of a call."""
    made = structs.replace(call(), agent=Agent("planner"), run=Run("r1"))
    return dict(of.onward(made))[b"baggage"]


def knows(one: TracedRuns, of: bytes) -> bool:
    return one.place({b"baggage": of}, Agent("searcher"), Run("s1")).depth == 1


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage_key, "RETRY", 0.001)


async def agreed(*replicas: TracedRuns) -> None:
    """Until each knows what the others sign, at most five seconds."""
    async with asyncio.timeout(5):
        while not all(knows(one, token(other)) for one in replicas for other in replicas):
            await asyncio.sleep(0.001)


async def test_replicas_that_begin_together_agree_on_one_key():
    board = Board(lambda: NOW)
    made = [replica(board, number) for number in range(3)]
    assert not knows(made[0][0], token(made[1][0]))
    await asyncio.gather(*[key.start() for _, key in made])
    everyone = [runs for runs, _ in made]
    assert all(knows(one, token(other)) for one in everyone for other in everyone), "before the first call"
    for _, key in made:
        await key.close()
    assert len(board.entries("key")) == 1


async def test_one_that_comes_later_takes_the_key_that_there_is():
    board = Board(lambda: NOW)
    (first, one), (second, two) = replica(board, 1), replica(board, 2)
    await one.start()
    told = token(first)
    await two.start()
    assert knows(second, told)
    await agreed(first, second)
    for key in (one, two):
        await key.close()


async def test_a_board_that_is_away_is_asked_again(caplog: pytest.LogCaptureFixture):
    board = Board(lambda: NOW)
    board.away = True
    (first, one), (second, two) = replica(board, 1), replica(board, 2)
    await one.start(patience=0.02)
    await two.start(patience=0.02)
    assert knows(first, token(first)), "it signs with its own meanwhile"
    assert len(caplog.records) == 2, "each says so once"
    board.away = False
    await agreed(first, second)
    for key in (one, two):
        await key.close()
