"""Memories that tools keep, as several replicas know them through one Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from msgspec import structs

from gateway.errors import BusyError, MovedError, StoreUnavailable
from gateway.model import Agent, Call, Change, Glance, How, Learnt, Run, Seen, Touch
from gateway.model.state_url import read_state_url
from gateway.stores.redis_coherence import RedisCoherence
from gateway.stores.redis_coherence_scripts import LOOK, STEP
from gateway.stores.redis_link import RedisLink
from tests.builders import call as a_call
from tests.coherence.test_lives import World
from tests.stores.redis_server import RedisServer

PLAN = Touch("notes", "plan", writes=True)


class Replicas:
    """Two replicas of the book; each thing that is asked goes to either."""

    def __init__(self, link: RedisLink, prefix: str, wall: Callable[[], float], pick: Callable[[int], int], most: int):
        self.books = [RedisCoherence(link, prefix, wall, most) for _ in range(2)]
        self._pick = pick

    def glance(self, call: Call, touches: Sequence[Touch]) -> Any:
        return self.books[self._pick(2)].glance(call, touches)

    def claim(self, call: Call, glances: Sequence[Glance], seconds: float) -> Any:
        return self.books[self._pick(2)].claim(call, glances, seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.books[self._pick(2)], name)


class Loop:
    """An event loop with one link to Redis, that runs what is asked and lets the rest go on meanwhile."""

    def __init__(self, url: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.link = RedisLink(read_state_url(url))
        self.link.open()

    async def _rest(self) -> None:
        """Let what is still being written down end."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=5.0)

    def run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    def close(self) -> None:
        self.run(self._rest())
        self.run(self.link.close())
        self.loop.close()


@pytest.fixture
def loop(redis_server: RedisServer) -> Iterator[Loop]:
    opened = Loop(redis_server.url)
    yield opened
    opened.close()


class Sync:
    """Lets the methods that only begin something do so within the loop."""

    def __init__(self, loop: Loop, replicas: Replicas) -> None:
        self._loop, self._replicas = loop, replicas

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._replicas, name)
        if name in ("glance", "claim"):
            return method

        async def begun(*given: Any) -> None:
            method(*given)

        return lambda *given: self._loop.run(begun(*given))


@pytest.mark.parametrize("evidence", ["none", "etag", "digest"])
def test_no_update_is_lost_over_two_replicas(loop: Loop, evidence: str) -> None:
    written = 0
    for seed in range(16):

        def book(world: World, most: int, seed: int = seed) -> Sync:
            prefix = f"lives-{evidence}-{seed}:"
            return Sync(loop, Replicas(loop.link, prefix, lambda: world.now, world.dice.randrange, most))

        world = World(seed, evidence, book=book, run=loop.run)
        world.live()
        assert not world.lost, f"seed {seed}: {world.lost}"
        written += world.written
    assert written > 20


def _call(ident: str, agent: str) -> Call:
    return structs.replace(a_call("PUT /plan"), id=ident, agent=Agent(agent), run=Run("r"))


def test_two_replicas_never_let_two_write_at_once(loop: Loop) -> None:
    """Both have read the same, both write at the same moment: one of them is told that it is busy, or has moved."""
    books = [RedisCoherence(loop.link, "two:", lambda: 1000.0) for _ in range(2)]

    async def race() -> list[Any]:
        reader = [_call("read-a", "a"), _call("read-b", "b")]
        for book, call in zip(books, reader, strict=True):
            _, glances = await book.glance(call, (PLAN,))
            book.learn(call, glances, (Learnt(PLAN.place, {"etag": "1"}),), Change(call.id, How.FOUND, at=1000.0))
            await book.close()
        writers = [_call("write-a", "a"), _call("write-b", "b")]
        seen = [(await book.glance(call, (PLAN,)))[1] for book, call in zip(books, writers, strict=True)]
        assert not any(glance.stale or glance.unread for (glance,) in seen)
        claims = [book.claim(call, glances, 60.0) for book, call, glances in zip(books, writers, seen, strict=True)]
        return await asyncio.gather(*claims, return_exceptions=True)

    ended = loop.run(race())
    assert sorted(type(each) for each in ended if each is not None) in ([BusyError], [MovedError])
    assert ended.count(None) == 1


def test_drift_tells_what_another_replica_has_written(loop: Loop) -> None:
    books = [RedisCoherence(loop.link, "drift:", lambda: 1000.0) for _ in range(2)]

    async def story() -> list[Any]:
        reads, writes = _call("read", "a"), _call("write", "b")
        _, glances = await books[0].glance(reads, (PLAN,))
        books[0].learn(reads, glances, (Learnt(PLAN.place),), Change("read", How.FOUND, at=1000.0))
        before = await books[0].drift(_call("later", "a"))
        _, other = await books[1].glance(writes, (PLAN,))
        await books[1].claim(writes, other, 60.0)
        books[1].settle(writes, other, Change("write", How.WRITTEN, "b", at=1000.0))
        await books[1].close()
        return [before, await books[0].drift(_call("later", "a"))]

    assert loop.run(story()) == [(), (("notes", "plan"),)]


def test_a_claim_whose_answer_was_lost_is_given_back(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    book = RedisCoherence(loop.link, "lost:", lambda: 1000.0)
    real = loop.link.run

    async def lost(*given: Any, **named: Any) -> Any:
        await real(*given, **named)
        raise StoreUnavailable("no answer")

    async def story() -> Any:
        _, glances = await book.glance(_call("first", "a"), (PLAN,))
        looked = book._look

        async def then_lost(*given: Any) -> Any:
            found = await looked(*given)
            monkeypatch.setattr(loop.link, "run", lost)
            return found

        monkeypatch.setattr(book, "_look", then_lost)
        with pytest.raises(StoreUnavailable):
            await book.claim(_call("first", "a"), glances, 60.0)
        monkeypatch.undo()
        _, again = await book.glance(_call("second", "b"), (PLAN,))
        await book.claim(_call("second", "b"), again, 60.0)

    loop.run(story())


def test_what_nobody_uses_is_forgotten_and_then_nobody_has_seen_it(loop: Loop) -> None:
    now = [1000.0]
    book = RedisCoherence(loop.link, "forgotten:", lambda: now[0], most=2)

    async def story() -> Glance:
        for key in ("one", "two", "three"):
            touch = Touch("notes", key)
            call = _call(f"read-{key}", "a")
            _, glances = await book.glance(call, (touch,))
            book.learn(call, glances, (Learnt(touch.place),), Change(call.id, How.FOUND, at=now[0]))
            await book.close()
            now[0] += 1
        _, (glance,) = await book.glance(_call("write", "a"), (Touch("notes", "one", writes=True),))
        return glance

    glance = loop.run(story())
    assert glance.standing is None
    assert glance.stale


def test_a_writer_that_has_gone_is_drift(loop: Loop) -> None:
    """Nobody knows what it did; so what others had seen may not stand any more."""
    now = [1000.0]
    book = RedisCoherence(loop.link, "gone:", lambda: now[0])

    async def story() -> list[Any]:
        reads, writes = _call("read", "a"), _call("write", "b")
        _, glances = await book.glance(reads, (Touch("notes", "plan"),))
        book.learn(reads, glances, (Learnt(PLAN.place),), Change("read", How.FOUND, at=1000.0))
        _, other = await book.glance(writes, (PLAN,))
        await book.claim(writes, other, 60.0)
        during = await book.drift(_call("later", "a"))
        now[0] += 61
        return [during, await book.drift(_call("later", "a"))]

    assert loop.run(story()) == [(), (("notes", "plan"),)]


def test_a_read_across_which_something_was_forgotten_has_seen_nothing_certain(loop: Loop) -> None:
    """Nothing was known of the key when it began, nothing is when it ends: it may have been written in between."""
    book = RedisCoherence(loop.link, "across:", lambda: 1000.0, most=2)

    async def story() -> Glance:
        reads = _call("read", "a")
        edition, glances = await book.glance(reads, (Touch("notes", "plan"),))
        reads = structs.replace(reads, edition=edition)
        for name in ("one", "two", "three"):
            other = _call(name, "b")
            book.learn(other, (), (Learnt(("notes", name)),), Change(name, How.FOUND, at=1000.0))
            await book.close()
        book.learn(reads, glances, (Learnt(PLAN.place),), Change("read", How.FOUND, at=1000.0))
        _, (glance,) = await book.glance(_call("write", "a"), (PLAN,))
        return glance

    assert loop.run(story()).stale


def test_a_claim_that_is_asked_for_twice_is_had(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer was lost with the connection, and the link asks again: the writer is this very call."""
    book, real, asked = RedisCoherence(loop.link, "twice:", lambda: 1000.0), loop.link.run, []

    async def twice(script: Any, *given: Any) -> Any:
        if script is STEP and not asked:
            asked.append(await real(script, *given))
        return await real(script, *given)

    async def story() -> None:
        call = _call("first", "a")
        _, glances = await book.glance(call, (PLAN,))
        monkeypatch.setattr(loop.link, "run", twice)
        await book.claim(call, glances, 60.0)

    loop.run(story())
    assert asked == [1]


def test_what_still_stands_of_what_a_run_has_seen_is_known_at_any_replica(loop: Loop) -> None:
    books = [RedisCoherence(loop.link, "held:", lambda: 1000.0) for _ in range(2)]

    async def held() -> Any:
        read = _call("read", "a")
        for place, again in ((("notes", "plan"), "notes /plan"), (("notes", "old"), ""), (("wiki", "home"), "")):
            learnt = Learnt(place, {"etag": "1"}, again=again)
            books[0].learn(read, (), (learnt,), Change("read", How.FOUND, at=1000.0))
        await books[0].close()
        other = structs.replace(_call("other", "b"), edition=1000)
        books[0].learn(other, (), (Learnt(("notes", "old"), {"etag": "2"}),), Change("other", How.FOUND, at=1010.0))
        await books[0].close()
        return await books[1].held(_call("pay", "a"), {"notes"})

    assert loop.run(held()) == ((("notes", "plan"), Seen("read", 1000.0, again="notes /plan")),)


def test_what_was_looked_at_is_not_looked_at_again_unless_it_has_changed(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read and a write of what is known take as few questions as they can."""
    book, real, asked = RedisCoherence(loop.link, "few:", lambda: 1000.0), loop.link.run, []

    async def counted(script: Any, *given: Any) -> Any:
        asked.append(script)
        return await real(script, *given)

    async def read(ident: str, agent: str) -> None:
        call = _call(ident, agent)
        edition, glances = await book.glance(call, (Touch("notes", "plan"),))
        call = structs.replace(call, edition=edition)
        book.learn(call, glances, (Learnt(PLAN.place, {"etag": "1"}),), Change(ident, How.FOUND, at=1000.0))
        await book.close()

    async def story() -> list[list[Any]]:
        found = []
        monkeypatch.setattr(loop.link, "run", counted)
        await read("first", "b")
        for ident in ("read", "write"):
            asked.clear()
            if ident == "read":
                await read(ident, "a")
            else:
                call = _call(ident, "a")
                _, glances = await book.glance(call, (PLAN,))
                await book.claim(call, glances, 60.0)
                book.settle(call, glances, Change(ident, How.WRITTEN, "a", at=1000.0))
                await book.close()
            found.append([*asked])
        _, (glance,) = await book.glance(_call("later", "a"), (PLAN,))
        assert glance.standing is not None
        assert (glance.standing.writer, glance.stale, glance.standing.newest.id) == ("", False, "write")
        _, (glance,) = await book.glance(_call("other", "b"), (PLAN,))
        assert glance.stale
        return found

    assert loop.run(story()) == [[LOOK, STEP], [LOOK, STEP, STEP]]


def test_what_has_changed_since_it_was_looked_at_is_looked_at_again(loop: Loop) -> None:
    """By another replica, while the call is decided upon; and while it is under way, by a read that finds it changed
    past the gateway."""
    books = [RedisCoherence(loop.link, "since:", lambda: 1000.0) for _ in range(2)]

    async def found(book: RedisCoherence, ident: str, agent: str, etag: str) -> None:
        call = _call(ident, agent)
        _, glances = await book.glance(call, (Touch("notes", "plan"),))
        book.learn(call, glances, (Learnt(PLAN.place, {"etag": etag}),), Change(ident, How.FOUND, at=1010.0))
        await book.close()

    async def story() -> Glance:
        await found(books[0], "first", "a", "1")
        write = _call("write", "a")
        _, glances = await books[0].glance(write, (PLAN,))
        assert glances[0].edition
        await found(books[1], "second", "b", "2")
        with pytest.raises(MovedError):
            await books[0].claim(write, glances, 60.0)
        await found(books[0], "third", "a", "2")
        _, glances = await books[0].glance(write, (PLAN,))
        await books[0].claim(write, glances, 60.0)
        await found(books[1], "fourth", "b", "3")
        books[0].settle(write, glances, Change("write", How.WRITTEN, "a", at=1020.0))
        await books[0].close()
        _, (glance,) = await books[1].glance(_call("fifth", "b"), (PLAN,))
        return glance

    glance = loop.run(story())
    assert glance.stale
    assert glance.standing is not None
    assert (glance.standing.newest.id, glance.standing.writer) == ("write", "")


def test_who_floods_a_memory_does_not_wash_what_it_has_written_there(loop: Loop) -> None:
    """What a run with labels wrote is pushed out by its own flood; whoever reads it then is marked all the same."""
    now = [1000.0]
    book = RedisCoherence(loop.link, "flood:", lambda: now[0], most=3)

    async def story() -> tuple[Glance, Glance]:
        writes = _call("write", "poisoner")
        _, glances = await book.glance(writes, (PLAN,))
        await book.claim(writes, glances, 60.0)
        book.settle(writes, glances, Change("write", How.WRITTEN, "poisoner", at=now[0], labels=("untrusted",)))
        for number in range(6):
            now[0] += 100.0
            flood = _call(f"flood-{number}", "poisoner")
            edition, _ = await book.glance(flood, ())
            flood = structs.replace(flood, edition=edition)
            book.learn(flood, (), (Learnt(("notes", str(number))),), Change(flood.id, How.FOUND, at=now[0]))
        await book.close()
        reads = _call("read", "victim")
        edition, glances = await book.glance(reads, (Touch("notes", "plan"),))
        reads = structs.replace(reads, edition=edition)
        book.learn(reads, glances, (Learnt(PLAN.place),), Change("read", How.FOUND, at=now[0]))
        _, again = await book.glance(_call("again", "other"), (Touch("notes", "plan"),))
        return glances[0], again[0]

    first, again = loop.run(story())
    assert (first.standing, first.labels) == (None, ("untrusted",))
    assert again.standing is not None
    assert again.standing.newest.labels == ("untrusted",)
