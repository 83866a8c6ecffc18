"""Where the memory lives in a process: its applications, behind doors that only the gateway itself opens.

A door gives one end of a pair of sockets, and the other end is served. There is no port, so nobody else comes in.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from aiohttp import web

from gateway.config.schema_memory import MemoryConfig
from gateway.errors import StoreUnavailable
from gateway.memory.book import Book
from gateway.memory.caller import Introducer
from gateway.memory.http import HttpMemory
from gateway.memory.mcp import McpMemory
from gateway.memory.namespaces import Namespaces
from gateway.memory.watch import Watches
from gateway.model import Tool
from gateway.model.shelf import ShelfUsage
from gateway.observe.memory import MemoryReading
from gateway.ports import Lender, Shelf

log = logging.getLogger("toolgate.memory")

LOOK = 15.0
"""Seconds between two looks at how much namespaces hold."""
_SERVING: dict[str, Any] = {
    "access_log": None,
    "handle_signals": False,
    "shutdown_timeout": 0.2,
    "max_line_size": 128 * 1024,  # heads were bounded by the gateway already, and labels come on top
    "max_field_size": 128 * 1024,
}


class MemoryHouse:
    """One for each process; outlives reloads. ``labels_of`` gives the labels of a tree of runs."""

    def __init__(self, shelf: Shelf, labels_of: Callable[[tuple[str, str]], tuple[str, ...]]) -> None:
        self.shelf = shelf
        self.watches = Watches(shelf)
        self.book = Book(shelf, self.watches.wrote)
        self._usage: Mapping[str, ShelfUsage] = {}
        self._introducer = Introducer(labels_of)
        self._apps = {
            "memory/http": HttpMemory(self.book, self.watches).make_app,
            "memory/mcp": McpMemory(self.book).make_app,
        }
        self._serving: dict[str, web.AppRunner] = {}
        self._opening = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None
        self.doors = {name: partial(self._enter, name) for name in self._apps}
        """By what is behind them (``wire.pool.Pools.doors``)."""

    def adopt(self, config: MemoryConfig, tools: Iterable[Tool]) -> Mapping[str, Lender]:
        """Another version of the configuration is in force; what tells the memory who calls, by the names of its
        tools."""
        self.book.namespaces = Namespaces(config.namespaces)
        self.watches.end(for_good=False)
        return {tool.name: self._introducer for tool in tools if tool.builtin}

    def has(self, namespace: str) -> bool:
        """Whether a namespace of this name is configured."""
        return self.book.namespaces.of(namespace) is not None

    def readings(self) -> Iterable[MemoryReading]:
        """How much there is in each namespace as it is configured, as of the last look, and what became of writes."""
        held: Counter[str] = Counter()
        size: Counter[str] = Counter()
        for name, usage in self._usage.items():
            place = self.book.namespaces.of(name)
            if place is not None:
                held[place.pattern] += usage.items
                size[place.pattern] += usage.size + usage.former
        writes, conflicts = self.book.writes, self.book.conflicts
        for name in self.book.namespaces.names:
            yield MemoryReading(name, held[name], size[name], writes[name], conflicts[name])

    def start(self) -> None:
        """Begin to look how much there is."""
        self._looking = self._looking or asyncio.create_task(self._look())

    def hurry(self) -> None:
        """The gateway ends: streams of changes do not wait any more."""
        self.watches.end(for_good=True)

    async def close(self) -> None:
        """End what is being served."""
        if self._looking is not None:
            self._looking.cancel()
        for runner in self._serving.values():
            await runner.cleanup()

    async def _enter(self, name: str) -> socket.socket:
        async with self._opening:
            runner = self._serving.get(name)
            if runner is None:
                runner = web.AppRunner(self._apps[name](), logger=log, **_SERVING)
                await runner.setup()
                self._serving[name] = runner
                self.start()
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        if runner.server is None:
            raise OSError("the memory has been closed")
        await asyncio.get_running_loop().connect_accepted_socket(runner.server, theirs)
        return ours

    async def _look(self) -> None:
        """Look from time to time how much there is, for whoever asks for metrics."""
        while True:
            try:
                names = await self.shelf.namespaces()
                self._usage = {name: await self.shelf.usage(name) for name in names}
            except StoreUnavailable:
                self._usage = {}
            await asyncio.sleep(LOOK)
