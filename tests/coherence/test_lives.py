"""Lives of several agents on one key of a naive store, in every order of what overlaps: no update is lost.

The store knows nothing of versions. A read and a write take effect at some moment between beginning and end. What an
agent writes is based on what its last read gave it. Each write that the gateway lets through must find the store as its
agent had read it; with nobody in between, that is not so (the last test shows it).
"""

from __future__ import annotations

import random
from collections.abc import Generator
from functools import cache
from typing import Any

import pytest
from msgspec import structs

from gateway.coherence.steps import LAG
from gateway.errors import BusyError, MovedError
from gateway.model import Agent, Call, Change, Glance, How, Learnt, Run, Touch
from gateway.stores.coherence import CoherenceBook
from tests.builders import call as a_call

READ, WRITE = Touch("notes", "plan"), Touch("notes", "plan", writes=True)
SECONDS = 60.0
"""After which a writer of which nothing was heard counts as gone."""
Steps = Generator[None, None, None]


@cache
def _template() -> Call:
    return a_call("GET /plan")


class World:
    """A store that holds one text, a gateway's book before it, and a clock."""

    def __init__(self, seed: int, evidence: str, *, guarded: bool = True, book: Any = None, run: Any = None) -> None:
        """``run`` gives what a coroutine of the book gives."""
        self.dice = random.Random(seed)
        self.evidence, self.guarded = evidence, guarded
        self.now = 1000.0
        self.lags = evidence != "none" and self.dice.random() < 0.3
        """Whether reads may be given the state before the last, for a moment, as by a replica of the store."""
        most = 500 if self.lags else self.dice.choice((1, 3, 50))
        self.book = CoherenceBook(lambda: self.now, most=most) if book is None else book(self, most)
        self.run = run or _now
        self.state = 0
        """Identity of what the store holds: each write makes a new one."""
        self.texts = {0: "0"}
        self.calls = self.written = self.refused = self.step = 0
        self.late: dict[int, float] = {}
        """States made by writers that had been given up, and when the gateway heard of them after all."""
        self.hears = book is None
        """That, at once: to replicas it is on its way for a moment, in which others may write."""
        self.lost: list[str] = []
        self.landed, self.before = -100.0, 0

    def call(self, agent: str, key: str = "plan") -> Call:
        self.calls += 1
        run = Run(f"run-{agent}")
        return structs.replace(_template(), id=f"{key}-{self.calls}", agent=Agent(agent), run=run)

    def versions(self, state: int) -> dict[str, str]:
        """What the store's answer tells of this state: nothing, an ETag, or what a digest of its text would be."""
        return {"none": {}, "etag": {"etag": str(state)}, "digest": {"digest": self.texts[state]}}[self.evidence]

    def read(self, agent: str) -> Generator[None, None, int | None]:
        """What the agent has in hand after it."""
        call = self.call(agent)
        edition, glances = self.run(self.book.glance(call, (READ,)))
        call = structs.replace(call, edition=edition)
        yield from self._wait()
        state = self.state
        yield from self._wait()
        if self.lags and self.now - self.landed < LAG and self.dice.random() < 0.3:
            state = self.before
        learnt = Learnt(READ.place, self.versions(state), self.texts[state])
        self.book.learn(call, glances, (learnt,), Change(call.id, How.FOUND, at=self.now))
        return state

    def write(self, agent: str, based: int | None) -> Generator[None, None, int | None]:
        """What the agent has in hand after it: its own state, or nothing."""
        call = self.call(agent)
        _, (glance,) = self.run(self.book.glance(call, (WRITE,)))
        if self.guarded and (glance.stale or glance.unread):
            self.refused += 1
            return None
        yield
        if self.guarded:
            try:
                self.run(self.book.claim(call, (glance,), SECONDS))
            except (BusyError, MovedError):
                self.refused += 1
                return None
        return (yield from self._carried_out(call, glance, based, (self.step, self.now + SECONDS)))

    def _carried_out(
        self, call: Call, glance: Glance, based: int | None, claimed: tuple[int, float]
    ) -> Generator[None, None, int | None]:
        yield from self._wait()
        fate = self.dice.random()
        if fate < 0.15:  # the store refuses it
            self.book.release(call, (glance,))
            return None
        if fate < 0.35 and not self.lags:  # an old state that nobody had heard of yet looks like a new one
            self.now += 100.0  # so long that it counts as gone, and others may write
            yield from self._wait()
        intended = len(self.texts)
        self.texts[intended] = str(self.dice.randrange(4) if self.evidence != "digest" else intended)
        lands = self.dice.random() > 0.1
        began, until = claimed
        late = self.now >= until
        if lands:
            unheard = self.late.get(self.state, 0) > began
            if self.state != based and not late and not unheard:  # of which nobody could know
                self.lost.append(f"{call.id} was based on {based}, and overwrote {self.state}")
            self.before, self.landed = self.state, self.now
            self.state = intended
            self.written += 1
        if late and lands:
            self.late[intended] = float("inf")
        yield from self._wait()
        known = lands and self.dice.random() < 0.8
        change = Change(call.id, How.WRITTEN if known else How.UNKNOWN, call.agent.id, at=self.now)
        told = known and (self.lags or self.dice.random() < 0.5)
        self.book.settle(call, (glance,), change, (Learnt(WRITE.place, self.versions(intended)),) if told else ())
        if late and self.hears:
            self.late[intended] = self.step
        return intended  # for all that it knows

    def _wait(self) -> Steps:
        for _ in range(self.dice.choice((1, 1, 2, 8))):
            yield

    def outsider(self) -> Steps:
        """Keys that others touch push this one out."""
        name = f"outsider-{self.dice.random()}"
        for number in range(self.dice.randrange(20)):
            call = self.call(name, f"other-{number}")
            place = ("notes", f"{name}-{number}")
            yield
            self.book.learn(call, (), (Learnt(place),), Change(call.id, How.FOUND, at=self.now))

    def agent(self, name: str) -> Steps:
        """Reads, writes, and writes again on the strength of what it has written."""
        hand: int | None = None
        for _ in range(10):
            if hand is None or self.dice.random() < 0.4:
                hand = yield from self.read(name)
            else:
                hand = yield from self.write(name, hand)
            yield

    def live(self) -> None:
        lives: list[Steps] = [self.agent(name) for name in ("a", "b", "c")]
        lives += [self.outsider() for _ in range(3)]
        while lives:
            chosen = self.dice.choice(lives)
            self.step += 1
            self.now += self.dice.choice((0.0, 0.1, 3.0))
            try:
                next(chosen)
            except StopIteration:
                lives.remove(chosen)


def _now(coroutine: Any) -> Any:
    """What a coroutine gives that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited")


@pytest.mark.parametrize("evidence", ["none", "etag", "digest"])
def test_no_update_is_lost_whatever_overlaps(evidence: str) -> None:
    written = refused = 0
    for seed in range(600):
        world = World(seed, evidence)
        world.live()
        assert not world.lost, f"seed {seed}: {world.lost}"
        written, refused = written + world.written, refused + world.refused
    assert written > 1000
    assert refused > 1000


def test_without_the_gateway_updates_are_lost() -> None:
    lost = 0
    for seed in range(50):
        world = World(seed, "none", guarded=False)
        world.live()
        lost += len(world.lost)
    assert lost > 50
