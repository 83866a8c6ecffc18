"""An outage: a tool that hangs, and what becomes of the agents that also use another, which is well."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from random import Random

from benchmarks.simulate.agents import Agent
from benchmarks.simulate.clock import now
from benchmarks.simulate.measures import Measured, rate, recovery, within
from benchmarks.simulate.plot import Panel, lines
from benchmarks.simulate.tools import Served, Tool
from benchmarks.simulate.world import World
from gateway.model import Call

TITLE = "Outage"
ABOUT = "20 agents use two tools in turn; one of them hangs for 60 s, and each call into it waits 10 s"
BREAKER = """\
apiVersion: toolgate/v1
kind: Breaker
metadata: {name: fragile}
spec: {failures: 5, open: 5s}
"""
AGENTS, HANGS, WELL, UNTIL = 20, 60.0, 120.0, 180.0
TIMEOUT = 10.0


class Play:
    """An agent asks one tool, then the other, thinks for a second, and so on."""

    def __init__(self, policies: str, seed: int, agents: int = AGENTS) -> None:
        self._policies, self._seed, self._count = policies, seed, agents

    async def run(self) -> Measured:
        """Until three minutes have passed."""
        tools = {"search": Tool(50, 0.2, _hangs, timeout=TIMEOUT), "notes": Tool(50, 0.2)}
        world = World(self._policies, tools)
        ill, well = (
            [Agent(world, f"agent-{n}", f"run-{n}", Random(f"{self._seed}/{n}")) for n in range(self._count)]
            for _ in range(2)
        )
        await asyncio.gather(*[self._live(*pair) for pair in zip(ill, well, strict=True)])
        return self._measured(tools, ill, well)

    async def _live(self, ill: Agent, well: Agent) -> None:
        number = 0
        while now() < UNTIL:
            number += 1
            await ill.do("/search/find", {"query": number})
            await well.do("/notes/read", {"note": number})
            await asyncio.sleep(ill.random.uniform(0.5, 1.5))

    def _measured(self, tools: dict[str, Tool], ill: list[Agent], well: list[Agent]) -> Measured:
        notes = sorted(at for agent in well for at in agent.done)
        found = sorted(at for agent in ill for at in agent.done)
        usual, lost = within(notes, 0, HANGS), within(notes, HANGS, WELL)
        hung = within(tools["search"].arrivals, HANGS, WELL)
        figures = {
            "calls into the tool that hangs": hung,
            "agent-seconds spent waiting for it": hung * TIMEOUT,
            "work done with the other tool": lost / usual,
            "recovery (s)": recovery(found, WELL, within(found, 0, HANGS) / HANGS, UNTIL),
        }
        return Measured(figures, {"the other tool": rate(notes, UNTIL), "hangs": rate(tools["search"].arrivals, UNTIL)})


def _hangs(_call: Call, _body: bytes, at: float) -> Served:
    return Served(0) if HANGS <= at < WELL else Served(200)


VARIANTS = {"no governors": partial(Play, ""), "breaker": partial(Play, BREAKER)}


def panels(played: Mapping[str, Measured]) -> list[Panel]:
    """What is drawn of it."""
    span = (HANGS, WELL)
    return [
        Panel("Calls a second with the other tool", lines(played, "the other tool"), span),
        Panel("Calls a second into the tool that hangs", lines(played, "hangs"), span),
    ]
