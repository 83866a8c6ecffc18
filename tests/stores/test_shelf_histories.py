"""Shelves that many share at once: no history of theirs has anything wrong with it, and the checks find what would be.

``TOOLGATE_HISTORIES=50`` looks at so many times more.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.model.shelf import Committed, Item, Mismatch, Page, Provenance, Put, ShelfLimits
from gateway.ports import Shelf
from gateway.stores.memory_shelf import MemoryShelf
from tests.stores import sharers
from tests.stores.linearizable import FOREVER, Operation, linearizable
from tests.stores.opening import Place, Wall
from tests.stores.redis_server import RedisServer
from tests.stores.shared_history import NOTHING, operations, problems, step
from tests.stores.sharers import NAMESPACE, REGISTERS, Client, open_accounts
from tests.stores.test_crashes import DURABLE, Child

HISTORIES = int(os.environ.get("TOOLGATE_HISTORIES", "1"))
_EPOCHS = itertools.count()


# -- the checker ------------------------------------------------------------------------------------------------


def write(start: float, end: float, value: bytes, expect: int, *said: Any) -> Operation:
    epoch = "e" if expect else ""
    return Operation(("write", "r0", value, epoch, expect), start, said or None, end if said else FOREVER)


def read(start: float, end: float, revision: int, value: bytes | None) -> Operation:
    return Operation(("read", "r0"), start, ("e", revision, value), end)


RIGHT = [
    [write(0, 1, b"a", 0, "done", "e", 1), read(2, 3, 1, b"a")],
    [write(0, 9, b"a", 0, "done", "e", 1), read(2, 3, 0, None), read(4, 5, 1, b"a")],
    [write(0, 5, b"a", 0, "done", "e", 1), write(0, 5, b"b", 0, "no", "e", 1, b"a")],
    [write(0, 1, b"a", 0, "done", "e", 1), write(2, 0, b"b", 1), read(3, 4, 1, b"a"), read(5, 6, 2, b"b")],
    [write(0, 1, b"a", 0, "done", "e", 1), write(2, 0, b"b", 1), read(3, 4, 1, b"a")],
]
WRONG = {
    "a lost update": [
        write(0, 1, b"a", 0, "done", "e", 1),
        write(2, 9, b"b", 1, "done", "e", 2),
        write(2, 9, b"c", 1, "done", "e", 3),
    ],
    "a stale read": [write(0, 1, b"a", 0, "done", "e", 1), write(2, 3, b"b", 1, "done", "e", 2), read(4, 5, 1, b"a")],
    "a read that goes back": [
        write(0, 9, b"a", 0, "done", "e", 1),
        read(1, 2, 1, b"a"),
        read(3, 4, 0, None),
    ],
    "a refusal that nothing explains": [
        write(0, 1, b"a", 0, "done", "e", 1),
        write(2, 3, b"b", 1, "no", "e", 1, b"a"),
    ],
    "a write of which nobody heard that comes and goes": [
        write(0, 1, b"a", 0, "done", "e", 1),
        write(2, 0, b"b", 1),
        read(3, 4, 2, b"b"),
        read(5, 6, 1, b"a"),
    ],
    "a write that was told and is not there": [write(0, 1, b"a", 0, "done", "e", 1), read(2, 3, 0, None)],
}


@pytest.mark.parametrize("history", RIGHT)
def test_what_some_order_explains_is_linearizable(history: list[Operation]) -> None:
    assert linearizable(history, NOTHING, step)


@pytest.mark.parametrize("history", WRONG.values(), ids=WRONG)
def test_what_no_order_explains_is_not(history: list[Operation]) -> None:
    assert not linearizable(history, NOTHING, step)


def test_the_search_agrees_with_all_orders_tried_one_by_one() -> None:
    """On small histories at random, most of them wrong."""
    chance, found = random.Random(4), {True: 0, False: 0}
    for _ in range(400):
        history = [_any_operation(chance) for _ in range(chance.randint(1, 5))]
        expected = any(_explains(order) for order in itertools.permutations(history))
        assert linearizable(history, NOTHING, step) == expected
        found[expected] += 1
    assert min(found.values()) > 30


def _any_operation(chance: random.Random) -> Operation:
    start = chance.randint(0, 8)
    end, revision = start + chance.randint(1, 6), chance.randint(0, 2)
    value = (None, b"a", b"b")[revision]
    if chance.random() < 0.5:
        return read(start, end, revision, value)
    how = chance.choice([("done", "e", revision + 1), ("no", "e", revision, value), ()])
    return write(start, end, b"ab"[:1] if revision == 0 else b"b", revision, *how)


def _explains(order: Sequence[Operation]) -> bool:
    if any(later.end < earlier.start for earlier, later in itertools.combinations(order, 2)):
        return False
    states = {NOTHING}
    for operation in order:
        states = {new for state in states for new in step(state, operation)}
    return bool(states)


# -- stores with mistakes ---------------------------------------------------------------------------------------


class Right(MemoryShelf):
    """Others get their turn before and after each question."""

    def __init__(self) -> None:
        super().__init__(Wall(), lambda: f"epoch{next(_EPOCHS)}")

    async def get(self, namespace: str, key: str, at: int | None = None) -> Page:
        await asyncio.sleep(0)
        page = await super().get(namespace, key, at)
        await asyncio.sleep(0)
        return page

    async def commit(
        self, namespace: str, puts: Sequence[Put], by: Provenance, limits: ShelfLimits, **how: Any
    ) -> Committed | Mismatch:
        await asyncio.sleep(0)
        said = await self.written(namespace, puts, by, limits, **how)
        await asyncio.sleep(0)
        return said

    async def written(self, *args: Any, **how: Any) -> Committed | Mismatch:
        return await super().commit(*args, **how)


class Blind(Right):
    """Writes without the compare."""

    async def written(
        self, namespace: str, puts: Sequence[Put], by: Provenance, limits: ShelfLimits, **how: Any
    ) -> Committed | Mismatch:
        blind = [Put(put.key, put.value, put.kind, put.ttl) for put in puts]
        return await super().written(namespace, blind, by, limits, **how)


class Hasty(Blind):
    """Compares first and writes then."""

    async def written(
        self, namespace: str, puts: Sequence[Put], by: Provenance, limits: ShelfLimits, **how: Any
    ) -> Committed | Mismatch:
        compares = [(put.key, put.expect) for put in puts if put.expect is not None]
        said = await MemoryShelf.commit(self, namespace, [], by, limits, compares=compares, **how)
        if isinstance(said, Mismatch):
            return said
        await asyncio.sleep(0)
        return await super().written(namespace, puts, by, limits, **how)


class Stale(Right):
    """Shows now and then what it has shown before."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: dict[str, Page] = {}
        self._turns = itertools.count()

    async def get(self, namespace: str, key: str, at: int | None = None) -> Page:
        page = await super().get(namespace, key, at)
        return self._shown.setdefault(key, page) if next(self._turns) % 7 == 0 else page


class Torn(Right):
    """Writes several keys one after another."""

    async def written(
        self, namespace: str, puts: Sequence[Put], by: Provenance, limits: ShelfLimits, **how: Any
    ) -> Committed | Mismatch:
        for put in puts:
            said = await super().written(namespace, [put], by, limits, **how)
            if isinstance(said, Mismatch):
                break
            await asyncio.sleep(0)
        return said


class Forgetful(Right):
    """Says that it has written, and now and then has not."""

    def __init__(self) -> None:
        super().__init__()
        self._turns = itertools.count()

    async def written(
        self, namespace: str, puts: Sequence[Put], by: Provenance, limits: ShelfLimits, **how: Any
    ) -> Committed | Mismatch:
        if len(puts) == 1 and next(self._turns) % 9 == 8:
            page = await MemoryShelf.get(self, namespace, puts[0].key)
            return Committed(page.epoch, page.revision + 1, (Item(namespace, puts[0].key, 0, b""),))
        return await super().written(namespace, puts, by, limits, **how)


async def history_of(shelf: Shelf, seed: int) -> list[Operation]:
    told: list[tuple[Any, ...]] = []
    await open_accounts(shelf)
    clients = [Client(shelf, f"{seed}.{number}", told.append) for number in range(4)]
    await asyncio.gather(*[client.go(40) for client in clients])
    return operations(told)


async def test_of_a_store_that_is_right_nothing_is_said_to_be_wrong() -> None:
    for seed in range(10 * HISTORIES):
        assert problems(await history_of(Right(), seed)) == []


@pytest.mark.parametrize(
    ("store", "found"),
    [
        (Blind, "not linearizable"),
        (Hasty, "not linearizable"),
        (Stale, "not linearizable"),
        (Forgetful, "not linearizable"),
        (Torn, "half moved"),
        (Blind, "half moved"),
    ],
)
async def test_of_a_store_with_a_mistake_it_is_found(store: Callable[[], Shelf], found: str) -> None:
    said = [problem for seed in range(5) for problem in problems(await history_of(store(), seed))]
    assert any(found in problem for problem in said)


# -- real ones --------------------------------------------------------------------------------------------------


class Crowd:
    """Processes that share a namespace, and all that they tell."""

    def __init__(self, url: str) -> None:
        self.url, self.told = url, list[tuple[Any, ...]]()
        self._names = itertools.count()

    def start(self, times: int) -> Child:
        child = Child(sharers.share, self.url, f"p{next(self._names)}", 2, times)
        assert child.hear() == ("ready",)
        return child

    def hear(self, child: Child, lines: int) -> None:
        """So much of what it tells, or all."""
        for _ in range(lines):
            line = child.hear()
            if line == ("done",):
                child.process.join(10)
                return
            self.told.append(line)

    def kill(self, child: Child) -> None:
        self.told += [line for line in child.kill() if line != ("done",)]


async def ended(place: Place, crowd: Crowd) -> list[Operation]:
    """The whole history, with what one finds who comes when all are gone."""
    shelf = (await place.open(time.time)).shelf
    last = Client(shelf, "last", crowd.told.append)
    for key in REGISTERS:
        last.call("read", key)
        page = await shelf.get(NAMESPACE, key)
        last.end(*last.learn(key, page.epoch, page.item))
    await last.audit()
    history = operations(crowd.told)
    counted = [
        one.said is None for one in history if one.asked[0] == "count" and (not one.said or one.said[0] == "done")
    ]
    item = (await shelf.get(NAMESPACE, "n")).item
    number = int(item.value or 0) if item else 0
    assert counted.count(False) <= number <= len(counted), "no count is lost, and none is made twice"
    return history


@pytest.fixture
async def accounts(place: Place) -> AsyncIterator[Place]:
    await open_accounts((await place.open(time.time)).shelf)
    yield place


@DURABLE
async def test_processes_that_share_a_shelf_and_are_killed_find_nothing_wrong(accounts: Place) -> None:
    """Two at once; one of them is killed now and then, and another takes its place."""

    def play(chance: random.Random) -> Crowd:
        crowd = Crowd(accounts.url)
        steady = crowd.start(120)
        for _ in range(3):
            child = crowd.start(1_000)
            crowd.hear(child, chance.randint(20, 120))
            crowd.kill(child)
        crowd.hear(steady, 10_000)
        return crowd

    for seed in range(HISTORIES):
        crowd = await asyncio.to_thread(play, random.Random(seed))
        history = await ended(accounts, crowd)
        assert problems(history) == []
        assert len(history) > 250
        assert any(one.said and one.said[0] == "no" for one in history), "they got into each other's way"
        await accounts.close()
        if HISTORIES > 1:
            shelf = (await accounts.open(time.time)).shelf
            await shelf.drop(NAMESPACE)
            await open_accounts(shelf)


@DURABLE
async def test_when_all_are_killed_what_they_were_told_stands(accounts: Place) -> None:
    def play() -> Crowd:
        crowd, chance = Crowd(accounts.url), random.Random(3)
        for _ in range(3 * HISTORIES):
            children = [crowd.start(1_000) for _ in range(2)]
            for child in children:
                crowd.hear(child, chance.randint(20, 60))
            for child in children:
                crowd.kill(child)
        return crowd

    await accounts.close()
    crowd = await asyncio.to_thread(play)
    assert problems(await ended(accounts, crowd)) == []


async def test_two_replicas_find_nothing_wrong_when_redis_is_killed_and_comes_back(tmp_path: Path) -> None:
    """It keeps on disk what it answers."""
    server = RedisServer(tmp_path)
    place = Place("redis", tmp_path, lambda: server.url, "h")
    try:
        await open_accounts((await place.open(time.time)).shelf)

        def play() -> Crowd:
            crowd = Crowd(place.url)
            children = [crowd.start(150 * HISTORIES) for _ in range(2)]
            for _ in range(2 * HISTORIES):
                for child in children:
                    crowd.hear(child, 60)
                server.stop()
                server.start()
            for child in children:
                crowd.hear(child, 10_000)
            return crowd

        crowd = await asyncio.to_thread(play)
        assert problems(await ended(place, crowd)) == []
    finally:
        await place.close()
        server.stop()
