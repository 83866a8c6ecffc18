"""A memory without a gateway: over a shelf of this process, by a clock that the test moves."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from gateway.config.schema_memory import Namespace
from gateway.memory.book import Book
from gateway.memory.caller import FIELD, Caller
from gateway.memory.http import HttpMemory
from gateway.memory.mcp import McpMemory
from gateway.memory.namespaces import Namespaces
from gateway.memory.watch import Watches
from gateway.stores.memory_shelf import MemoryShelf

ADA, BOB = Caller("ada", ("lead",), "r1", "c1"), Caller("bob", (), "r2", "c2", ("untrusted",))


class World:
    """A shelf, its clock, and the book in front of it."""

    def __init__(self, **namespaces: dict[str, Any]) -> None:
        self.now = 1_700_000_000.0
        epochs = count(1)
        self.shelf = MemoryShelf(lambda: self.now, lambda: f"life{next(epochs)}")
        self.watches = Watches(self.shelf)
        self.book = Book(self.shelf, self.watches.wrote)
        named = {name.replace("__", "*"): settings for name, settings in (namespaces or {"team": {}}).items()}
        self.book.namespaces = Namespaces({name: Namespace.model_validate(one) for name, one in named.items()})


class Asker:
    """Asks the HTTP application as an agent, as the gateway would."""

    def __init__(self, client: TestClient, world: World) -> None:
        self._client, self.world = client, world

    async def ask(
        self,
        method: str,
        path: str,
        value: Any = None,
        fields: dict[str, str] | None = None,
        by: Caller = ADA,
        text: str | None = None,
    ) -> Answer:
        """One request, a millisecond after the one before; ``value`` is sent as JSON, ``text`` as it is."""
        self.world.now += 0.001
        sent: dict[str, Any] = {} if value is None else {"json": value}
        if text is not None:
            sent = {"data": text.encode(), "headers": {"Content-Type": "text/plain"}}
        headers = {FIELD: by_field(by), **sent.pop("headers", {}), **(fields or {})}
        async with self._client.request(method, path, headers=headers, **sent) as response:
            return Answer(response, await response.read())


class Answer:
    """What came."""

    def __init__(self, response: ClientResponse, body: bytes) -> None:
        self.status, self.fields, self.body = response.status, response.headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def etag(self) -> str:
        return self.fields["ETag"]

    @property
    def labels(self) -> str:
        """What the gateway takes from it."""
        return self.fields.get("X-Toolgate-Labels", "")


def by_field(by: Caller) -> str:
    """What the gateway says of an agent's call."""
    told = {"agent": by.agent, "roles": by.roles, "run": by.run, "call": by.call, "labels": by.labels}
    return json.dumps(told)


@asynccontextmanager
async def asking(**namespaces: dict[str, Any]) -> AsyncIterator[Asker]:
    """The HTTP application with these namespaces, or with ``team``."""
    world = World(**namespaces)
    async with TestClient(TestServer(HttpMemory(world.book, world.watches).make_app())) as client:
        yield Asker(client, world)


@asynccontextmanager
async def mcp(world: World) -> AsyncIterator[TestClient]:
    """The MCP application."""
    async with TestClient(TestServer(McpMemory(world.book).make_app())) as client:
        yield client
