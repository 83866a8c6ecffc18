"""Money: a thousand calls to a model within seconds, and a budget of one dollar."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from random import Random

import orjson

from benchmarks.simulate.agents import Agent
from benchmarks.simulate.clock import now
from benchmarks.simulate.measures import Measured, total
from benchmarks.simulate.plot import Panel, lines
from benchmarks.simulate.tools import Served, Tool
from benchmarks.simulate.world import World, wall
from gateway.model import Call
from gateway.stores.memory_state import MemoryBoard
from gateway.stores.memory_vault import MemoryVault

TITLE = "Money"
ABOUT = "1,000 calls to a model in 20 s, each under way for about 3 s; the team has one dollar"
RULE = """\
apiVersion: toolgate/v1
kind: Policy
metadata: {name: spent}
spec:
  rules:
    - {name: dollar, when: run.cost_usd >= 1.0, then: deny, message: the dollar is spent}
"""
BUDGET = """\
apiVersion: toolgate/v1
kind: Budget
metadata: {name: dollar}
spec: {per: [agent], window: total, usd: 1, max_tokens: 400, max_wait: 10s}
"""
CONFIG = """\
tools:
  model:
    url: https://model.test
    protocol: openai
    prices: {models: {large: {input: 3.0, output: 15.0}}}
"""
CALLS, SPREAD, MOST = 1000, 20.0, 400
DOLLAR = 1_000_000
IN, OUT = 3, 15
"""Micro-dollars for each token: what the model's provider puts on its bill."""


class Play:
    """Answers have between 40 and 400 tokens; half of the calls do not say how many they may have."""

    def __init__(self, policies: str, seed: int, calls: int = CALLS, *, replicas: int = 1) -> None:
        """``replicas``: so many gateways, each of which gets every so many-th call, over one store of budgets."""
        self._policies, self._count, self._replicas = policies, calls, replicas
        self._random = Random(seed)
        self._bill: list[tuple[float, float, float]] = []
        """When each call began and ended, and what it came to, in micro-dollars."""
        self._refused: list[float] = []

    async def run(self) -> Measured:
        """Until every call has its answer. The bill is the provider's, not the gateway's."""
        tools = {"model": Tool(1000, 3.0, self._answers)}
        shared = (MemoryVault(wall), MemoryBoard(wall)) if self._replicas > 1 else None
        worlds = [World(self._policies, tools, CONFIG, shared, f"replica-{n}") for n in range(self._replicas)]
        agents = [Agent(world, "team", "run-1", self._random) for world in worlds]
        await asyncio.gather(*[self._ask(agents[number % len(agents)], number) for number in range(self._count)])
        for world in worlds:
            await world.close()
        spent = sum(amount for _, _, amount in self._bill)
        first = min(self._refused, default=float("inf"))
        before = sum(amount for began, _, amount in self._bill if began <= first)
        figures = {
            "calls made": len(self._bill),
            "calls refused": len(self._refused),
            "spent ($)": spent / DOLLAR,
            "overspent ($)": max(0.0, spent - DOLLAR) / DOLLAR,
            "cost of the calls made before one was refused ($)": before / DOLLAR,
        }
        return Measured(figures, {"spent": total([(ended, amount / DOLLAR) for _, ended, amount in self._bill], 30.0)})

    async def _ask(self, agent: Agent, number: int) -> None:
        await asyncio.sleep(self._random.uniform(0, SPREAD))
        bounded = {"max_tokens": MOST} if number % 2 else {}
        asked = {"model": "large", "messages": [{"role": "user", "content": f"question {number}"}], **bounded}
        if not await agent.do("/model/v1/chat/completions", asked):
            self._refused.append(now())

    def _answers(self, _call: Call, body: bytes, at: float) -> Served:
        asked = orjson.loads(body)
        most = asked.get("max_completion_tokens") or asked.get("max_tokens") or MOST
        read, written = len(body) // 4, min(most, self._random.randint(MOST // 10, MOST))
        slower = self._random.uniform(0.5, 1.5)
        self._bill.append((at, at + 3.0 * slower, read * IN + written * OUT))
        usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        said = {"role": "assistant", "content": "answer"}
        choice = {"index": 0, "message": said, "finish_reason": "stop"}
        answer = {"id": "a", "object": "chat.completion", "model": "large", "choices": [choice], "usage": usage}
        return Served(200, orjson.dumps(answer), slower)


VARIANTS = {
    "no governors": partial(Play, ""),
    "rule over what was spent": partial(Play, RULE),
    "budget": partial(Play, BUDGET),
    "budget, two replicas": partial(Play, BUDGET, replicas=2),
}


def panels(played: Mapping[str, Measured]) -> list[Panel]:
    """What is drawn of it."""
    return [Panel("Spent, in US dollars", lines(played, "spent"))]
