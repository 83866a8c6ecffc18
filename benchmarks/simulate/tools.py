"""Models of tools: so many workers, a line before them, and failures by the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.simulate.clock import now
from gateway.model import Call


@dataclass(frozen=True, slots=True)
class Served:
    """What came of a call; status 0 where it came too late."""

    status: int
    body: bytes = b"{}"
    slower: float = 1.0
    """So many times as long as the tool usually takes."""


Behaviour = Callable[[Call, bytes, float], Served]
"""What a tool answers to a call with this body at this time; its status 0: it hangs."""


def well(_call: Call, _body: bytes, _at: float) -> Served:
    """Always succeeds."""
    return Served(200)


class Tool:
    """Calls are worked on one after the other by ``workers``, each for ``service`` seconds. A caller waits ``timeout``
    seconds; the tool does not know that it has gone, and works on its call all the same, as most do."""

    def __init__(self, workers: int, service: float, behaves: Behaviour = well, *, timeout: float = 1e9) -> None:
        self.service, self.timeout, self._behaves = service, timeout, behaves
        self._free = asyncio.Semaphore(workers)
        self._working: set[asyncio.Task[Served]] = set()
        self.arrivals: list[float] = []
        """When each call reached it."""
        self.in_flight = self.most = 0

    async def serve(self, call: Call, body: bytes) -> Served:
        """What the caller sees of the call."""
        self.arrivals.append(now())
        task = asyncio.ensure_future(self._work(call, body))
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        done, _ = await asyncio.wait({task}, timeout=self.timeout)
        return task.result() if done else Served(0)

    async def _work(self, call: Call, body: bytes) -> Served:
        async with self._free:
            self.in_flight += 1
            self.most = max(self.most, self.in_flight)
            try:
                served = self._behaves(call, body, now())
                await asyncio.sleep(self.timeout if served.status == 0 else self.service * served.slower)
                return served
            finally:
                self.in_flight -= 1
