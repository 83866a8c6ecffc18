"""What every board keeps: memory, SQLite, Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gateway.errors import StoreUnavailable
from gateway.stores import board_copy
from tests.stores.opening import Place


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that others cause; a second is what replicas are promised, five are for slow machines."""
    for _ in range(500):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to be so")


async def test_what_is_posted_is_there_at_once(place: Place) -> None:
    board = (await place.open()).board
    await board.post("quarantine", "agent a\x00é", b"\x00 why")
    assert dict(board.entries("quarantine")) == {"agent a\x00é": b"\x00 why"}
    assert dict(board.entries("circuit")) == {}
    await board.post("quarantine", "agent a\x00é", b"other")
    assert dict(board.entries("quarantine")) == {"agent a\x00é": b"other"}


async def test_what_is_removed_is_gone_at_once(place: Place) -> None:
    board = (await place.open()).board
    await board.post("quarantine", "a", b"1")
    assert await board.remove("quarantine", "a") is True
    assert await board.remove("quarantine", "a") is False
    assert dict(board.entries("quarantine")) == {}


async def test_others_see_what_is_posted_and_removed(place: Place) -> None:
    one, other = (await place.open()).board, (await place.open()).board
    told: list[tuple[str, bytes | None]] = []
    other.watch("quarantine", lambda key, value: told.append((key, value)))
    await one.post("quarantine", "a", b"1")
    await until(lambda: other.entries("quarantine").get("a") == b"1")
    await one.post("quarantine", "a", b"2")
    await until(lambda: other.entries("quarantine").get("a") == b"2")
    await one.remove("quarantine", "a")
    await until(lambda: not other.entries("quarantine"))
    assert told == [("a", b"1"), ("a", b"2"), ("a", None)]


async def test_one_hears_of_ones_own_changes_too_and_not_of_those_that_change_nothing(place: Place) -> None:
    board = (await place.open()).board
    told: list[tuple[str, bytes | None]] = []
    board.watch("circuit", lambda key, value: told.append((key, value)))
    await board.post("quarantine", "a", b"1")
    for _ in range(2):
        await board.post("circuit", "c", b"1")
    await board.remove("circuit", "c")
    await board.remove("circuit", "c")
    assert told == [("c", b"1"), ("c", None)]


async def test_what_has_ended_is_gone_and_said_to_be(place: Place) -> None:
    board = (await place.open()).board
    told: list[tuple[str, bytes | None]] = []
    board.watch("circuit", lambda key, value: told.append((key, value)))
    await board.post("circuit", "c", b"1", 30.0)
    await board.post("circuit", "d", b"1")
    place.wall.now += 29
    assert set(board.entries("circuit")) == {"c", "d"}
    place.wall.now += 1
    assert set(board.entries("circuit")) == {"d"}
    assert await board.remove("circuit", "c") is False
    await until(lambda: ("c", None) in told)


async def test_a_replica_that_starts_later_knows_what_stands(place: Place) -> None:
    one = (await place.open()).board
    await one.post("quarantine", "a", b"1")
    await one.post("circuit", "c", b"1", 30.0)
    place.wall.now += 31
    other = (await place.open()).board
    assert dict(other.entries("quarantine")) == {"a": b"1"}
    assert dict(other.entries("circuit")) == {}


async def test_only_one_of_all_replicas_seizes(place: Place) -> None:
    boards = [(await place.open()).board for _ in range(3)]
    seized = await asyncio.gather(*[boards[each % 3].seize("probe of a tool", 60.0) for each in range(12)])
    assert sum(seized) == 1
    assert await boards[0].seize("probe of another", 60.0) is True


async def test_what_was_seized_can_be_seized_again_after_its_time(place: Place) -> None:
    """Redis goes by its own clock, the others by the one they are given."""
    board = (await place.open()).board
    assert await board.seize("probe", 0.05) is True
    place.wall.now += 0.06
    await asyncio.sleep(0.1)
    assert await board.seize("probe", 0.05) is True


async def test_a_full_board_takes_no_new_keys_but_changes_of_old_ones(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_copy, "MOST", 3)
    board = (await place.open()).board
    for key in "abc":
        await board.post("quarantine", key, b"1")
    with pytest.raises(StoreUnavailable, match="full of quarantine"):
        await board.post("quarantine", "d", b"1")
    await board.post("quarantine", "a", b"2")
    await board.post("circuit", "d", b"1")
    assert board.entries("quarantine")["a"] == b"2"
