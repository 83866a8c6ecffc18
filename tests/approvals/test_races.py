"""Agents, people, time and two replicas at once, on a store that is slow and fails now and then: whatever the order."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from random import Random

import msgspec
import pytest
from msgspec import structs

from gateway.approvals import desk
from gateway.approvals.states import APPROVING, FOR_TIMEOUT, Conflict
from gateway.errors import StoreUnavailable
from gateway.model import Approval, ApprovalState, Petition
from tests.approvals.replicas import OK, Replica, Shaky, Store, petition, settled
from tests.approvals.test_states import EDGES
from tests.stores.opening import Wall

LIVES = 400
"""Courses of events."""
CALLS = 6
"""Times that each agent makes its call."""


class Life:
    """One course of events."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.wall = Wall()
        self.store = Store(self.wall)
        self.ways = [Shaky(self.store, self.chance, self.chance.choice([0.0, 0.05, 0.2])) for _ in range(2)]
        self.replicas = [Replica(way, self.wall) for way in self.ways]
        self.executed: list[tuple[str, str]] = []
        approvers, timeout = self.chance.choice([1, 1, 2]), self.chance.choice(["deny", "deny", "allow"])
        self.calls = [
            petition(f"b{number}", hold=30.0, expires=40.0, valid=40.0, approvers=approvers, timeout=timeout)
            for number in range(2)
        ]

    async def agent(self, name: str) -> None:
        """Makes a call, goes now and then, and makes it again."""
        for number in range(CALLS):
            replica, asked = self.chance.choice(self.replicas), self.chance.choice(self.calls)
            call = asyncio.create_task(self.call(replica, asked, f"{name}-{number}"))
            if self.chance.random() < 0.2:
                await settled(self.chance.randint(0, 30))
                call.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await call

    async def call(self, replica: Replica, asked: Petition, ident: str) -> None:
        """As the pipeline: what was claimed is settled or given back, whichever way the call ends."""
        ruling = await replica.ask(asked)
        if not ruling.granted:
            return
        claimed = False

        async def claim() -> None:  # noted in the same step, as ``Story.claim`` does
            nonlocal claimed
            claimed = await replica.desk.claim(ruling, ident)

        sent = False
        try:
            await claim()
            if not claimed:
                return
            await settled(self.chance.randint(0, 3))
            sent = self.chance.random() < 0.8
            if sent:
                self.executed.append((ruling.approval, ident))
            await settled(self.chance.randint(0, 3))
        except StoreUnavailable:
            return
        finally:
            if claimed and sent:
                replica.desk.settle(ruling, ident, OK)
            elif claimed:
                replica.desk.release(ruling, ident)

    async def person(self, name: str) -> None:
        for _ in range(12):
            await settled(self.chance.randint(1, 8))
            replica = self.chance.choice(self.replicas)
            waiting = replica.docket.waiting()
            if not waiting:
                continue
            verb = self.chance.choice(["approve"] * 6 + ["endorse", "deny", "ask"])
            with contextlib.suppress(Conflict, StoreUnavailable):
                await replica.vote(self.chance.choice(waiting).id, name, verb)

    async def time(self) -> None:
        for _ in range(60):
            await settled(2)
            self.wall.now += self.chance.choice([0.1, 1.0, 1.0, 9.0])
            await self.chance.choice(self.replicas).tick()
            for replica in self.replicas:  # who waits on the line looks at the time again
                replica.desk._hear(None, None)
                for waiters in replica.desk._waiters.values():
                    for waiter in [each for each in waiters if not each.done()]:
                        waiter.set_result(None)

    async def live(self) -> None:
        people = [self.person(name) for name in ("alice", "bob")]
        agents = [asyncio.create_task(self.agent(name)) for name in ("x", "y", "z")]
        await asyncio.gather(self.time(), *people)
        for way in self.ways:
            way.fails = 0.0
        while not all(agent.done() for agent in agents):
            await self.time()
        for replica in self.replicas:
            await replica.written()
        for agent in agents:
            agent.result()

    def histories(self) -> dict[str, list[Approval]]:
        """Of each approval, how it stood, one after the other."""
        found: dict[str, list[Approval]] = {}
        for value in self.store.written:
            assert value is not None
            approval = msgspec.json.decode(value, type=Approval)
            found.setdefault(approval.id, []).append(approval)
        return found


def check(life: Life) -> None:
    histories = life.histories()
    made = [approval for approval, _ in life.executed]
    assert len(made) == len(set(made)), "twice"
    anew = {approval.binding: ident for ident, (approval, *_) in histories.items()}
    for ident, history in histories.items():
        for before, after in itertools.pairwise(history):
            set_aside = before == structs.replace(after, binding=before.binding)
            assert set_aside or after.state in EDGES.get(before.state, ()), "the end is the end"
        last = history[-1]
        if last.state is ApprovalState.RUNNING:
            assert anew[history[0].binding] != ident, "lost: nobody knows, though everybody lived"
        runs = [each for each in history if each.state is ApprovalState.RUNNING]
        assert last.state is ApprovalState.RUNNING or (ident in made) == (last.state is ApprovalState.DONE)
        for run in runs:
            people = {vote.by for vote in run.votes if vote.verb in APPROVING and vote.by != FOR_TIMEOUT}
            late = FOR_TIMEOUT in {vote.by for vote in run.votes}
            assert len(people) >= run.terms.approvers or (late and run.terms.timeout == "allow")
            assert not any(vote.verb == "deny" for vote in run.votes)
    for approval, call in life.executed:
        assert histories[approval][-1].call == call


@pytest.mark.parametrize("part", range(4))
def test_nothing_runs_unapproved_nothing_twice_and_nothing_is_lost(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "AGAIN", 0.0)
    executed = 0

    async def run(seed: int) -> None:
        nonlocal executed
        life = Life(seed)
        async with asyncio.timeout(30):
            await life.live()
        check(life)
        executed += len(life.executed)

    for number in range(LIVES // 4):
        asyncio.run(run(part * LIVES + number))
    assert executed > LIVES / 8, "there is something to see"
