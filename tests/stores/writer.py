"""A program that another process runs against a cabinet. It tells each write after it is stored, over a pipe."""

from __future__ import annotations

import asyncio
import itertools
import time
from multiprocessing.connection import Connection

from gateway.model.state_url import read_state_url
from gateway.stores.state import open_state

KEYS = ("a", "b", "c")


def write(url: str, told: Connection) -> None:
    """Count up in several documents by turns until killed; ``(key, version, number)`` is told after each."""
    asyncio.run(_write(url, told))


async def _write(url: str, told: Connection) -> None:
    state = open_state(read_state_url(url), time.time)
    await state.start()
    for turn in itertools.count():
        key = KEYS[turn % len(KEYS)]
        paper = await state.cabinet.read("k", key)
        seen, number = (0, 0) if paper is None or paper.value is None else (paper.version, int(paper.value))
        version = await state.cabinet.swap("k", key, seen, str(number + 1).encode())
        told.send((key, version, number + 1))
