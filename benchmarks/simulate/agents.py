"""Models of agents: what they do when a call fails, in three layers that know nothing of each other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from benchmarks.simulate.clock import now
from benchmarks.simulate.world import Answer, World

SDK_RETRIES = frozenset({408, 409, 429, 500, 502, 503, 504})
"""Statuses that the SDKs of OpenAI and Anthropic try again, after Retry-After where that is a minute or less."""
LONGEST_RETRY_AFTER = 60.0


@dataclass(frozen=True, slots=True)
class Persistence:
    """How often each layer tries: the SDK, the framework around it (any failure), the model (any failure)."""

    sdk: int = 4
    framework: int = 4
    model: int = 4
    backoff: float = 0.5
    """Seconds before the second attempt of the SDK; doubled for each that follows, with jitter."""
    thinking: float = 2.0
    """Seconds that the model takes to decide that it tries the same again."""


ONCE = Persistence(1, 1, 1)


@dataclass(slots=True)
class Agent:
    """Makes calls in one run, and notes how long each took until it had an answer."""

    world: World
    name: str
    run: str
    random: Random
    persistence: Persistence = ONCE
    waits: list[float] = field(default_factory=list)
    """Seconds of each call that succeeded, all its attempts included."""
    done: list[float] = field(default_factory=list)
    """When each call that succeeded had its answer."""
    last: Answer = field(default_factory=lambda: Answer(0))

    async def do(self, target: str, args: Mapping[str, Any]) -> bool:
        """Have this done, whatever it takes; whether it was."""
        began = now()
        for attempt in range(self.persistence.model):
            if attempt:
                await asyncio.sleep(self.persistence.thinking * self.random.uniform(0.5, 1.5))
            if await self._framework(target, args):
                self.waits.append(now() - began)
                self.done.append(now())
                return True
        return False

    async def _framework(self, target: str, args: Mapping[str, Any]) -> bool:
        for attempt in range(self.persistence.framework):
            if attempt:
                await self._back_off(attempt)
            if await self._sdk(target, args):
                return True
        return False

    async def _sdk(self, target: str, args: Mapping[str, Any]) -> bool:
        for attempt in range(self.persistence.sdk):
            answer = self.last = await self.world.call(self.name, self.run, target, args)
            if answer.ok:
                return True
            if answer.status not in SDK_RETRIES:
                return False
            if attempt + 1 < self.persistence.sdk:
                if 0 < answer.retry_after <= LONGEST_RETRY_AFTER:
                    await asyncio.sleep(answer.retry_after)
                else:
                    await self._back_off(attempt + 1)
        return False

    async def _back_off(self, attempt: int) -> None:
        await asyncio.sleep(min(8.0, self.persistence.backoff * 2 ** (attempt - 1)) * self.random.uniform(0.75, 1.0))
