"""Replicas with a docket and a desk each, on one cabinet that can be slow, fail, or be gone."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from random import Random
from typing import Any

from gateway.approvals.desk import Before, Desk
from gateway.approvals.docket import APPROVALS, Docket
from gateway.approvals.states import voted
from gateway.errors import StoreUnavailable
from gateway.model import Approval, Held, Outcome, Petition, Ruling, Terms, Vote
from gateway.ports import Cabinet
from gateway.stores.memory_cabinet import MemoryCabinet
from tests.stores.opening import Wall

OK = Outcome(200, upstream=200)
_ids = itertools.count(1)


def petition(binding: str = "b", agent: str = "a", *, payload: bytes = b"{}", run: str = "r", **terms: Any) -> Petition:
    """A call that a rule holds. ``terms`` are those of Terms; the agent's connection is not held unless they say so."""
    held = (Held("safety/pay", "somebody must look"),)
    how = Terms(**{"hold": 0.0, "expires": 600.0, "valid": 60.0, **terms})
    return Petition(
        binding, agent, ("payer",), run, (agent, run), "bank", "POST /pay", "v1", held, how, payload=payload
    )


class Store(MemoryCabinet):
    """A cabinet of which is known what has been written and what was asked; ``away`` lets all fail."""

    def __init__(self, wall: Wall) -> None:
        super().__init__(wall)
        self.written: list[bytes | None] = []
        self.asked: list[str] = []
        self.away = False
        self.pause: asyncio.Event | None = None
        """While it is not set, swaps have been done and are not answered."""

    async def swap(self, kind: str, key: str, seen: int, value: bytes | None, seconds: float = 0.0) -> int:
        self._ask("swap")
        version = await super().swap(kind, key, seen, value, seconds)
        if version and kind == APPROVALS:
            self.written.append(value)
        if self.pause is not None:
            await self.pause.wait()
        return version

    async def read(self, kind: str, key: str) -> Any:
        self._ask("read")
        return await super().read(kind, key)

    async def changes(self, kind: str, after: int) -> Any:
        self._ask("changes")
        return await super().changes(kind, after)

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.away:
            raise StoreUnavailable("nobody answers")


class Shaky:
    """The way to a cabinet: takes turns of the loop, and fails now and then, before or after it was done."""

    def __init__(self, cabinet: Cabinet, chance: Random, fails: float) -> None:
        self._cabinet, self._chance, self.fails = cabinet, chance, fails

    async def swap(self, *given: Any) -> int:
        return await self._pass(self._cabinet.swap, given)

    async def read(self, *given: Any) -> Any:
        return await self._pass(self._cabinet.read, given)

    async def changes(self, *given: Any) -> Any:
        return await self._pass(self._cabinet.changes, given)

    async def _pass(self, what: Any, given: Any) -> Any:
        await self._turns()
        answer = await what(*given)
        await self._turns()
        return answer

    async def _turns(self) -> None:
        for _ in range(self._chance.randint(0, 3)):
            await asyncio.sleep(0)
        if self._chance.random() < self.fails:
            raise StoreUnavailable("no answer in time")


class Replica:
    """One process. It follows only when it is told to."""

    def __init__(
        self,
        cabinet: Cabinet,
        wall: Callable[[], float],
        before: tuple[Before, ...] = (),
        again: tuple[Before, ...] = (),
    ) -> None:
        self.wall = wall
        self.docket = Docket(cabinet, wall, lambda: f"apr-{next(_ids)}")
        self.desk = Desk(self.docket, wall, before, again)

    async def ask(self, asked: Petition) -> Ruling:
        return await self.desk.ask(None, asked)  # type: ignore[arg-type] - only hooks look at the call

    async def vote(self, ident: str, by: str = "alice", verb: str = "approve", message: str = "") -> Approval:
        vote = Vote(by, verb, self.wall(), message)
        return await self.docket.step(ident, lambda approval: voted(approval, vote, self.wall()))

    async def tick(self) -> None:
        """What it does four times a second."""
        await self.docket._tick()

    async def written(self) -> None:
        """Wait until all that it has to write down is written."""
        async with asyncio.timeout(10):
            while self.desk._tasks:
                await asyncio.sleep(0)


async def settled(turns: int = 20) -> None:
    """Let everything go on that can."""
    for _ in range(turns):
        await asyncio.sleep(0)
