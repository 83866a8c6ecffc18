"""The embedded shared memory, through two gateways that share a Redis and are killed: what agents were told by HTTP is
linearizable, and no commit is lost or seen by halves.

``TOOLGATE_HISTORIES=50`` looks at so many times more.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path
from typing import Any

from tests.memory.over_http import HttpShelf
from tests.stores.redis_server import RedisServer
from tests.stores.shared_history import operations, problems
from tests.stores.sharers import NAMESPACE, REGISTERS, Client, open_accounts

from .harness.gateway import Gateway

HISTORIES = int(os.environ.get("TOOLGATE_HISTORIES", "1"))
CLIENTS = 4
CONFIG: dict[str, Any] = {
    "identify": [{"header": "x-agent-id"}],
    "memory": {"namespaces": {NAMESPACE: {"history": {"keep": 50}}}},
}


class Crowd:
    """Clients that ask both replicas by turns, as long as they may."""

    def __init__(self, replicas: list[Gateway], seed: int) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.shelves = [HttpShelf(f"agent-{number}", [one.url for one in replicas]) for number in range(CLIENTS)]
        self._clients = [
            Client(shelf, f"{seed}.{number}", self.told.append)  # type: ignore[arg-type]
            for number, shelf in enumerate(self.shelves)
        ]
        self._playing: list[asyncio.Task[None]] = []
        self._over = False

    async def _go(self, client: Client) -> None:
        while not self._over:
            await client.go(1)

    async def go(self, lines: int) -> None:
        """Returns when so much more has been told; they go on."""
        self._over = False
        self._playing = self._playing or [asyncio.create_task(self._go(client)) for client in self._clients]
        until = len(self.told) + lines
        while len(self.told) < until:
            await asyncio.sleep(0.002)
            for task in self._playing:
                assert not task.done() or task.result()

    async def end(self) -> None:
        """Each comes to the end of what it has begun."""
        self._over = True
        await asyncio.gather(*self._playing)
        self._playing.clear()


async def play(replicas: list[Gateway], seed: int) -> tuple[list[tuple[Any, ...]], int]:
    """What clients were told, and what they have counted to. One replica is killed and comes back, then the other
    is."""
    crowd, chance = Crowd(replicas, seed), random.Random(seed)
    one, other = chance.sample(replicas, 2)
    await crowd.go(chance.randint(100, 300))
    one.signal(signal.SIGKILL)
    await crowd.go(100)
    await crowd.end()
    await asyncio.to_thread(one.wait)
    await asyncio.to_thread(one.start)
    await crowd.go(chance.randint(100, 300))
    other.signal(signal.SIGKILL)
    await crowd.go(100)
    await crowd.end()
    await asyncio.to_thread(other.wait)
    last = Client(HttpShelf("last", [one.url]), "last", crowd.told.append)  # type: ignore[arg-type]
    for key in REGISTERS:
        last.call("read", key)
        page = await last.shelf.get(NAMESPACE, key)
        last.end(*last.learn(key, page.epoch, page.item))
    await last.audit()
    await last.count()
    number = (await last.shelf.get(NAMESPACE, "n")).items[0].value
    for shelf in [*crowd.shelves, last.shelf]:
        await shelf.close()  # type: ignore[attr-defined]
    return crowd.told, int(number or 0)


async def test_agents_of_two_gateways_that_are_killed_find_nothing_wrong(tmp_path: Path) -> None:
    for seed in range(HISTORIES):
        server = RedisServer()
        tools = {"memory": {"builtin": "memory"}}
        replicas = [
            Gateway(tmp_path / f"{seed}-{name}", tools, state=server.url, **CONFIG).start() for name in ("one", "other")
        ]
        try:
            opening = HttpShelf("bank", [replicas[0].url])
            await open_accounts(opening)  # type: ignore[arg-type]
            await opening.close()
            told, number = await play(replicas, seed)
        finally:
            for gateway in replicas:
                gateway.stop()
                assert "Traceback" not in gateway.output, gateway.output
            server.stop()
        history = operations(told)
        assert problems(history) == []
        ends = [one.said for one in history if one.asked[0] == "count" and (not one.said or one.said[0] == "done")]
        assert len(ends) - ends.count(None) <= number <= len(ends), "no count is lost, and none is made twice"
        assert len(history) > 200
        assert any(one.said and one.said[0] == "no" for one in history), "they got into each other's way"
        assert any(one.said is None for one in history), "nobody heard what became of some of it"
