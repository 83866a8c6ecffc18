"""A retry storm: a tool fails for a while, and agents that retry in three layers do not let it come back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from random import Random

from benchmarks.simulate.agents import Agent, Persistence
from benchmarks.simulate.measures import Measured, rate, recovery, within
from benchmarks.simulate.plot import Panel, lines
from benchmarks.simulate.tools import Served, Tool
from benchmarks.simulate.world import World
from gateway.model import Call

TITLE = "Retry storm"
ABOUT = "50 agents that try up to 64 times, a tool that fails entirely for 40 s"
RETRY = """\
apiVersion: toolgate/v1
kind: Retry
metadata: {name: retries}
spec: {tokens: 4}
"""
BREAKER = """\
apiVersion: toolgate/v1
kind: Breaker
metadata: {name: fragile}
spec: {failures: 5, open: 2s}
"""
POOL = """\
apiVersion: toolgate/v1
kind: Pool
metadata: {name: places}
spec: {concurrency: 5, queue: 100, max_wait: 2s}
"""

AGENTS, EVERY, FAILS, WELL, UNTIL = 50, 3.0, 40.0, 80.0, 160.0
_SPAN = (FAILS, WELL)
PARALLEL = 8
"""Tasks that an agent has in hand at most; beyond, it begins none."""


class Play:
    """``agents`` begin a task every three seconds each; the tool could do half as much again."""

    def __init__(self, policies: str, seed: int, agents: int = AGENTS) -> None:
        self._policies, self._seed, self._count = policies, seed, agents
        self._first: list[float] = []

    async def run(self) -> Measured:
        tool = Tool(max(1, self._count // 10), 0.2, _fails, timeout=3.0)
        world = World(self._policies, {"search": tool})
        agents = [
            Agent(world, f"agent-{number}", f"run-{number}", Random(f"{self._seed}/{number}"), Persistence())
            for number in range(self._count)
        ]
        await asyncio.gather(*[self._live(agent) for agent in agents])
        return self._measured(tool, agents)

    async def _live(self, agent: Agent) -> None:
        loop = asyncio.get_running_loop()
        tasks: set[asyncio.Task[bool]] = set()
        number = 0
        while True:
            await asyncio.sleep(agent.random.expovariate(1 / EVERY))
            if loop.time() >= UNTIL:
                break
            if len(tasks) < PARALLEL:
                number += 1
                self._first.append(loop.time())
                task = asyncio.ensure_future(agent.do("/search/find", {"query": f"{agent.name} {number}"}))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _measured(self, tool: Tool, agents: list[Agent]) -> Measured:
        done = sorted(at for agent in agents for at in agent.done)
        usual = self._count / EVERY
        first, reached = within(self._first, FAILS, WELL), within(tool.arrivals, FAILS, WELL)
        figures = {
            "first attempts while it fails": first,
            "attempts that reach the tool": reached,
            "amplification": reached / first,
            "most calls a second after it is well": max(y for x, y in rate(tool.arrivals, UNTIL) if x > WELL),
            "recovery (s)": recovery(done, WELL, usual, UNTIL),
            "share of the work done in the 80 s after": within(done, WELL, UNTIL) / (usual * (UNTIL - WELL)),
        }
        return Measured(figures, {"load": rate(tool.arrivals, UNTIL), "done": rate(done, UNTIL)})


def _fails(_call: Call, _body: bytes, at: float) -> Served:
    return Served(503) if FAILS <= at < WELL else Served(200)


VARIANTS = {
    "no governors": partial(Play, ""),
    "retry budget": partial(Play, RETRY),
    "and a pool": partial(Play, f"{RETRY}---\n{POOL}"),
    "and a breaker": partial(Play, f"{RETRY}---\n{POOL}---\n{BREAKER}"),
}


def panels(played: Mapping[str, Measured]) -> list[Panel]:
    """What is drawn of it."""
    load, done = lines(played, "load"), lines(played, "done")
    return [Panel("Calls a second that reach the tool", load, _SPAN), Panel("Tasks done a second", done, _SPAN)]
