"""Clients that share a namespace, and what they did: several in a process, in processes that may be killed. Each tells
before it asks and after it is answered, by the clock that all processes of a machine have."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from gateway.errors import Forgotten, StoreUnavailable
from gateway.model.shelf import Committed, Item, Mismatch, Provenance, Put, ShelfLimits
from gateway.model.state_url import read_state_url
from gateway.ports import Shelf
from gateway.stores.state import open_state

NAMESPACE = "shared"
REGISTERS = ("r0", "r1", "r2")
ACCOUNTS = ("b0", "b1", "b2", "b3")
TOTAL = 100 * len(ACCOUNTS)
LIMITS = ShelfLimits(versions=50)
Tell = Callable[[tuple[Any, ...]], None]
"""("call", client, time, what was asked), ("end", client, time, what was said)."""


class Client:
    """Asks one thing after another, at random; remembers of each register the version that it last heard of."""

    def __init__(self, shelf: Shelf, name: str, tell: Tell) -> None:
        self.shelf, self.name, self.tell = shelf, name, tell
        self.chance = random.Random(name)
        self.seen: dict[str, tuple[str, int]] = {}
        self.number = 0

    async def go(self, times: int) -> None:
        for _ in range(times):
            what = self.chance.choices([self.read, self.swap, self.remove, self.transfer, self.audit, self.count], W)[0]
            try:
                await what()
            except (StoreUnavailable, Forgotten):
                self.tell(("lost", self.name))
                self.name += "'"  # what was asked may happen any time: whoever goes on is somebody else
                await asyncio.sleep(0.05)

    async def read(self) -> None:
        key = self.chance.choice(REGISTERS)
        self.call("read", key)
        page = await self.shelf.get(NAMESPACE, key)
        self.end(*self.learn(key, page.epoch, page.item))

    async def swap(self) -> None:
        key = self.chance.choice(REGISTERS)
        epoch, expect = self.seen.get(key, ("", 0))
        await self.write(key, f"{self.name}:{self.number}".encode(), epoch, expect)

    async def remove(self) -> None:
        key = self.chance.choice(REGISTERS)
        epoch, expect = self.seen.get(key, ("", 0))
        if expect:
            await self.write(key, None, epoch, expect)

    async def write(self, key: str, value: bytes | None, epoch: str, expect: int) -> None:
        self.number += 1
        self.call("write", key, value, epoch, expect)
        puts = [Put(key, value, "text", expect=expect)]
        said = await self.shelf.commit(NAMESPACE, puts, self.by, LIMITS, epoch=epoch or None)
        if isinstance(said, Committed):
            self.seen[key] = (said.epoch, said.revision if value is not None else 0)
            self.end("done", said.epoch, said.revision)
        else:
            self.end("no", *self.learn(key, said.epoch, said.items[0]))

    def learn(self, key: str, epoch: str, item: Item | None) -> tuple[str, int, bytes | None]:
        standing = item if item is not None and item.value is not None else None
        self.seen[key] = (epoch, standing.revision if standing else 0)
        return (epoch, standing.revision, standing.value) if standing else (epoch, 0, None)

    async def transfer(self) -> None:
        """Two accounts at once, each as it was read."""
        pages = [await self.shelf.get(NAMESPACE, key) for key in self.chance.sample(ACCOUNTS, 2)]
        items = [page.item for page in pages if page.item is not None]
        if len(items) < 2 or pages[0].epoch != pages[1].epoch:
            return
        puts = [
            Put(item.key, b"%d" % (int(item.value or 0) + more), expect=item.revision)
            for item, more in zip(items, (-7, 7), strict=True)
        ]
        self.call("transfer", tuple((put.key, put.value) for put in puts), pages[0].epoch)
        said = await self.shelf.commit(NAMESPACE, puts, self.by, LIMITS, epoch=pages[0].epoch)
        self.end("done" if isinstance(said, Committed) else "no", said.epoch, said.revision)

    async def audit(self) -> None:
        """All accounts at one revision, in two pages."""
        self.call("audit")
        first = await self.shelf.scan(NAMESPACE, "b", limit=2)
        rest = await self.shelf.scan(NAMESPACE, "b", first.items[-1].key, at=first.revision)
        self.end(first.epoch, first.revision, tuple((item.key, item.value) for item in (*first.items, *rest.items)))

    async def count(self) -> None:
        """One more; again until it is done."""
        while True:
            page = await self.shelf.get(NAMESPACE, "n")
            expect, number = (page.item.revision, int(page.item.value or 0)) if page.item else (0, 0)
            self.call("count")
            puts = [Put("n", b"%d" % (number + 1), expect=expect)]
            said = await self.shelf.commit(NAMESPACE, puts, self.by, LIMITS, epoch=page.epoch or None)
            self.end("done" if isinstance(said, Committed) else "no", said.epoch, said.revision)
            if not isinstance(said, Mismatch):
                return

    @property
    def by(self) -> Provenance:
        return Provenance(self.name, call=str(self.number))

    def call(self, *asked: Any) -> None:
        self.tell(("call", self.name, time.monotonic(), asked))

    def end(self, *said: Any) -> None:
        self.tell(("end", self.name, time.monotonic(), said))


W = (30, 35, 5, 15, 10, 5)
"""How often each is asked."""


async def open_accounts(shelf: Shelf) -> None:
    """What all begin with."""
    puts = [Put(key, b"100", expect=0) for key in ACCOUNTS]
    assert isinstance(await shelf.commit(NAMESPACE, puts, Provenance("bank"), LIMITS), Committed)


def share(url: str, name: str, clients: int, times: int, pipe: Connection) -> None:
    """A process with so many clients, each of which asks so often. It says when it is ready, and when it is done."""
    asyncio.run(_share(url, name, clients, times, pipe))


async def _share(url: str, name: str, clients: int, times: int, pipe: Connection) -> None:
    state = open_state(read_state_url(url), time.time)
    await state.start()
    pipe.send(("ready",))
    all_of_them = [Client(state.shelf, f"{name}.{number}", pipe.send) for number in range(clients)]
    await asyncio.gather(*[client.go(times) for client in all_of_them])
    await state.close()
    pipe.send(("done",))
