"""Runaway loops: runs that go round in circles, among runs that get on with their work."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from random import Random
from typing import Any

import orjson

from benchmarks.simulate.agents import Agent
from benchmarks.simulate.measures import Measured, total
from benchmarks.simulate.plot import Panel, lines
from benchmarks.simulate.tools import Served, Tool
from benchmarks.simulate.world import World
from gateway.model import Call

TITLE = "Runaway loops"
ABOUT = "100 runs, of which 20 are stuck for 80 calls: the same call, the same error, or a cycle of two or three"
LOOP = """\
apiVersion: toolgate/v1
kind: Loop
metadata: {name: loops}
"""
RUNS, STEPS, PATIENCE = 100, 15, 80
Step = tuple[str, Mapping[str, Any]]


class Play:
    """One run in five is stuck. The others read 15 different things, poll a job, and write in between."""

    def __init__(self, policies: str, seed: int, runs: int = RUNS) -> None:
        self._policies, self._seed, self._count = policies, seed, runs
        self._asked: dict[str, set[str]] = {}
        self._made: Counter[str] = Counter()
        self._when: list[tuple[float, float]] = []
        self._polled: Counter[str] = Counter()

    async def run(self) -> Measured:
        """Each run until it has done its work, or has lost patience."""
        tool = Tool(100, 0.2, self._behaves)
        world = World(self._policies, {"desk": tool})
        agents = [Agent(world, "crew", f"run-{n}", Random(f"{self._seed}/{n}")) for n in range(self._count)]
        stuck = agents[::5]
        refused = await asyncio.gather(*[self._live(agent, stuck=agent in stuck) for agent in agents])
        false = sum(count for agent, count in zip(agents, refused, strict=True) if agent not in stuck)
        distinct = sum(map(len, self._asked.values()))
        calls = sum(self._made.values())
        worst = max(self._made[run] / len(asked) for run, asked in self._asked.items())
        figures = {
            "calls that reach the tool": calls,
            "different calls": distinct,
            "amplification": calls / distinct,
            "amplification of the worst run": worst,
            "most calls of a run that is stuck": max(self._made[agent.run] for agent in stuck),
            "calls refused of runs that are not": false,
        }
        return Measured(figures, {"calls": total(self._when, 120.0)})

    async def _live(self, agent: Agent, *, stuck: bool) -> int:
        """How many of its calls were refused."""
        refused = 0
        for operation, args in (_stuck if stuck else _working)(agent.random):
            await asyncio.sleep(agent.random.uniform(0.5, 1.5))
            await agent.do(f"/desk/{operation}", {**args, "of": agent.run})
            refused += bool(agent.last.reason)
        return refused

    def _behaves(self, call: Call, body: bytes, at: float) -> Served:
        args = orjson.loads(body)
        run, operation = args["of"], call.path.strip("/")
        self._made[run] += 1
        self._asked.setdefault(run, set()).add(f"{operation} {body.decode()}")
        self._when.append((at, 1.0))
        if operation == "missing":
            return Served(404, b'{"error": "there is no such document"}')
        if operation == "job":
            self._polled[run] += 1
            self._asked[run].add(f"job {self._polled[run]}")
            return Served(200, b'{"percent": %d}' % min(100, 20 * self._polled[run]))
        return Served(200, orjson.dumps({"found": args.get("document", "done")}))


def _working(random: Random) -> Iterator[Step]:
    for number in range(STEPS):
        yield "read", {"document": f"{number} {random.random()}"}
        if number == 5:
            yield from (("job", {"job": 7}) for _ in range(5))
        if number % 5 == 4:
            yield "write", {"note": number}
            yield "read", {"document": "index"}


def _stuck(random: Random) -> Iterator[Step]:
    kind = random.randrange(4)
    for number in range(PATIENCE):
        if kind == 0:
            yield "read", {"document": "the same"}
        elif kind == 1:
            yield "missing", {"document": "the same"}
        else:
            yield "read", {"document": f"one of {kind}: {number % kind}"}


VARIANTS = {"no governors": partial(Play, ""), "loop": partial(Play, LOOP)}


def panels(played: Mapping[str, Measured]) -> list[Panel]:
    """What is drawn of it."""
    return [Panel("Calls that have reached the tool", lines(played, "calls"))]
