"""One greedy agent: what its hundred calls at once do to those who share a tool with it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from random import Random
from statistics import mean

from benchmarks.simulate.agents import Agent
from benchmarks.simulate.clock import now
from benchmarks.simulate.measures import Measured, jain, quantile, rate, within
from benchmarks.simulate.plot import Panel
from benchmarks.simulate.tools import Served, Tool
from benchmarks.simulate.world import World
from gateway.model import Call

TITLE = "Greedy agent"
ABOUT = "a tool with 8 places; one agent keeps 100 calls going, five keep 8 each, two make one after the other"
POOL = """\
apiVersion: toolgate/v1
kind: Pool
metadata: {name: shared}
spec: {concurrency: 8, queue: 200, max_wait: 60s}
"""
PLACES, SERVICE, UNTIL = 8, 0.5, 120.0
GREEDY, STEADY, POLITE = 100, 8, 1


class Play:
    """Calls take half a second on average. ``greedy`` calls at once are the greedy agent's."""

    def __init__(self, policies: str, seed: int, greedy: int = GREEDY) -> None:
        self._policies, self._seed, self._greedy = policies, seed, greedy

    async def run(self) -> Measured:
        """Everybody makes the next call as soon as the last has its answer."""
        random = Random(self._seed)

        def uneven(_call: Call, _body: bytes, _at: float) -> Served:
            return Served(200, slower=random.uniform(0.5, 1.5))

        world = World(self._policies, {"search": Tool(PLACES, SERVICE, uneven)})
        greedy = self._agent(world, "greedy")
        steady = [self._agent(world, f"steady-{number}") for number in range(5)]
        polite = [self._agent(world, f"polite-{number}") for number in range(2)]
        lines = [(greedy, self._greedy), *[(each, STEADY) for each in steady], *[(each, POLITE) for each in polite]]
        await asyncio.gather(*[self._line(agent, line) for agent, many in lines for line in range(many)])
        return self._measured(greedy, steady, polite)

    def _agent(self, world: World, name: str) -> Agent:
        return Agent(world, name, f"run-of-{name}", Random(f"{self._seed}/{name}"))

    async def _line(self, agent: Agent, line: int) -> None:
        number = 0
        while now() < UNTIL:
            number += 1
            if not await agent.do("/search/find", {"query": f"{line} {number}"}):
                await asyncio.sleep(max(1.0, agent.last.retry_after))

    def _measured(self, greedy: Agent, steady: Sequence[Agent], polite: Sequence[Agent]) -> Measured:
        agents = 1 + len(steady) + len(polite)
        fair = SERVICE * max(1.0, agents / PLACES)
        waits = [each for agent in polite for each in agent.waits]
        busy = [within(agent.done, 0, UNTIL) for agent in (greedy, *steady)]
        figures = {
            "calls of the greedy agent": busy[0],
            "calls of each steady agent": mean(busy[1:]),
            "Jain index of those who always wait": jain(busy),
            "polite call, mean (s)": mean(waits),
            "polite call, p99 (s)": quantile(waits, 0.99),
            "polite call against its fair share": mean(waits) / fair,
            "calls a second": sum(within(each.done, 0, UNTIL) for each in (greedy, *steady, *polite)) / UNTIL,
        }
        return Measured(figures, {
            "greedy": rate(greedy.done, UNTIL, 4.0),
            "steady": rate(steady[0].done, UNTIL, 4.0),
            "polite": rate(polite[0].done, UNTIL, 4.0),
        })  # fmt: skip


VARIANTS = {"no governors": partial(Play, ""), "pool": partial(Play, POOL)}


def panels(played: Mapping[str, Measured]) -> list[Panel]:
    """What is drawn of it."""
    return [Panel(f"Calls done a second: {name}", each.curves) for name, each in played.items()]
