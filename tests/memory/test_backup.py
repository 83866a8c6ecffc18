"""What was exported can be put back, whole or not at all, and begins a new life."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from gateway.model.shelf import Item, Provenance, Put, ShelfLimits
from gateway.stores.shelf_lines import exported, items_in
from tests.memory.support import World

WHO = Provenance("ada", "r1", "c1", ("private",))


async def lines_of(parts: Sequence[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def filled() -> World:
    world = World()
    puts = [Put("a", b'{"x": 1}'), Put("b", "grüße\n".encode(), "text"), Put("c", b"1", ttl=60)]
    await world.shelf.commit("team", puts, WHO, ShelfLimits())
    return world


async def test_items_come_back_with_their_writers_and_times_and_other_versions() -> None:
    world = await filled()
    before = await world.shelf.scan("team")
    lines = [line async for line in exported(world.shelf, "team")]
    world.now += 10
    await world.shelf.load("team", items_in(lines_of(lines), "team", world.now))
    after = await world.shelf.scan("team")
    assert after.epoch != before.epoch

    def plain(items: Sequence[Item]) -> list[object]:
        return [
            (one.key, (one.value or b"").replace(b" ", b""), one.kind, one.created, one.ends, one.by) for one in items
        ]

    assert plain(after.items) == plain(before.items)


async def test_what_has_ended_meanwhile_stays_away() -> None:
    world = await filled()
    lines = [line async for line in exported(world.shelf, "team")]
    found = [item.key async for item in items_in(lines_of(lines), "team", world.now + 60) if item.value is not None]
    assert found == ["a", "b"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[:-1], "not whole"),
        (lambda lines: [*lines[:2], *lines[3:]], "line 4: 2 items"),
        (lambda lines: lines[1:], "line 1"),
        (lambda lines: [*lines, lines[1]], "line 6: the export has ended"),
        (lambda lines: [lines[0], lines[1][:-9], *lines[2:]], "line 2"),
        (lambda lines: [lines[0], lines[1].replace(b'"json"', b'"text"'), *lines[2:]], "line 2"),
        (lambda lines: [lines[0], lines[1].replace(b'"a"', b'""', 1), *lines[2:]], "line 2"),
        (lambda lines: [b'{"format": "other"}\n', *lines[1:]], "no export"),
        (lambda _: [], "not whole"),
    ],
)
async def test_what_is_not_whole_changes_nothing(change, said: str) -> None:
    world = await filled()
    before = await world.shelf.scan("team")
    lines = change([line async for line in exported(world.shelf, "team")])
    with pytest.raises(ValueError, match=said):
        await world.shelf.load("team", items_in(lines_of(lines), "team", world.now))
    assert await world.shelf.scan("team") == before
