"""Agents that are tools of agents: each call leads to three more, which lead to three more."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from functools import partial
from itertools import count

import orjson

from benchmarks.simulate.clock import now
from benchmarks.simulate.measures import Measured, total
from benchmarks.simulate.plot import Panel, lines
from benchmarks.simulate.tools import Served, Tool
from benchmarks.simulate.world import World
from gateway.model import Call

TITLE = "Agents that call agents"
ABOUT = "5 tasks for an agent that hands each on in three parts, to itself, without end; in 30 s"
RUN = """\
apiVersion: toolgate/v1
kind: Run
metadata: {name: bounds}
spec: {depth: 4, steps: 50}
"""
TASKS, PARTS, UNTIL = 5, 3, 30.0


class Play:
    """The helper works on a part for a second, and passes on the fields by which the gateway knows a call's tree."""

    def __init__(self, policies: str, seed: int, tasks: int = TASKS) -> None:
        self._policies, self._first, self._tasks = policies, seed, tasks
        self._when: list[tuple[float, float]] = []
        self._depths: Counter[int] = Counter()
        self._runs = count(1)
        self._parts: set[asyncio.Task[None]] = set()

    async def run(self) -> Measured:
        """Until time is up, or nobody calls any more."""
        self._world = World(self._policies, {"helper": Tool(100, 1.0, self._hands_on)})
        for _ in range(self._tasks):
            self._begin("planner", (), 0)
        while self._parts and now() < UNTIL:
            await asyncio.wait(self._parts, timeout=UNTIL - now(), return_when=asyncio.FIRST_COMPLETED)
        for part in list(self._parts):
            part.cancel()
        await asyncio.gather(*self._parts, return_exceptions=True)
        figures = {
            "calls that reach the helper": len(self._when),
            "calls for each task": len(self._when) / self._tasks,
            "deepest call": max(self._depths),
        }
        return Measured(figures, {"calls": total(self._when, UNTIL)})

    def _begin(self, agent: str, fields: tuple[tuple[bytes, bytes], ...], depth: int) -> None:
        task = asyncio.ensure_future(self._ask(agent, fields, depth))
        self._parts.add(task)
        task.add_done_callback(self._parts.discard)

    async def _ask(self, agent: str, fields: tuple[tuple[bytes, bytes], ...], depth: int) -> None:
        run = f"{agent}-{self._first}-{next(self._runs)}"
        await self._world.call(agent, run, "/helper/do", {"part": run, "depth": depth}, fields)

    def _hands_on(self, call: Call, body: bytes, at: float) -> Served:
        """What the helper was told of the call is all that it passes on; it knows nothing of depths."""
        self._when.append((at, 1.0))
        depth = int(orjson.loads(body)["depth"])
        self._depths[depth] += 1
        for _ in range(PARTS):
            self._begin("helper", tuple(call.onward), depth + 1)
        return Served(200)


VARIANTS = {"no governors": partial(Play, ""), "run": partial(Play, RUN)}


def panels(played: Mapping[str, Measured]) -> list[Panel]:
    """What is drawn of it."""
    return [Panel("Calls that have reached the helper", lines(played, "calls"))]
