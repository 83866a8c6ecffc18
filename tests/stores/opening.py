"""Every store, opened for a test. A new one joins by one line in KINDS and one in ``Place.url``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.model.state_url import read_state_url
from gateway.ports import State
from gateway.stores.memory_vault import MemoryVault
from gateway.stores.state import open_state

KINDS = ("memory", "sqlite", "redis")
AT = 1_900_000_800.0
"""Seconds since the epoch: 17 March 2030, 18:00 UTC."""


class Wall:
    """A clock on the wall that stands still until it is moved."""

    def __init__(self, now: float = AT) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Place:
    """Where one test keeps its state: what is opened twice is two replicas of the same."""

    def __init__(self, kind: str, folder: Path, redis_url: Callable[[], str], prefix: str) -> None:
        self.kind, self.folder, self._redis_url, self._prefix = kind, folder, redis_url, prefix
        self.wall = Wall()
        self._open: list[State] = []

    @property
    def url(self) -> str:
        if self.kind == "redis":
            return f"{self._redis_url()}?prefix={self._prefix}:"
        return f"sqlite:///{self.folder}/state.db" if self.kind == "sqlite" else "memory:"

    async def open(self, wall: Callable[[], float] | None = None) -> Any:
        """A replica. What is in memory has but one."""
        if self.kind == "memory" and self._open:
            return self._open[0]
        state = open_state(read_state_url(self.url), wall or self.wall)
        if self.kind == "memory":
            state.vault = MemoryVault(self.wall)
        await state.start()
        self._open.append(state)
        return state

    async def close(self) -> None:
        for state in self._open:
            await state.close()
        self._open.clear()
