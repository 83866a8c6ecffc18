"""The stores, with one Redis server for all tests."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.stores import redis_link

from .opening import KINDS, Place
from .redis_server import RedisServer

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.stop()


@pytest_asyncio.fixture(params=KINDS)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """A new, empty store of each kind."""
    opened = Place(
        request.param, tmp_path, lambda: request.getfixturevalue("redis_server").url, f"t{next(_NUMBERS)}"
    )  # fmt: skip
    if request.param == "redis":
        request.getfixturevalue("redis_server")
    yield opened
    await opened.close()


@pytest.fixture(autouse=True)
def patient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a Redis that is there may take longer than a gateway would wait for it; only where the waiting
    itself is tried, it is as long as ever."""
    if "away" not in request.path.name and "lost" not in request.path.name:
        monkeypatch.setattr(redis_link, "DEADLINE", 10.0)
