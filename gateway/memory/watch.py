"""Changes of a namespace as they come, as server-sent events: keys, versions and writers, without values.

What an answer tells has labels, and these mark the run of its reader before the first byte. Of a stream they are those
of what is told at once. A change with others ends the stream: its reader comes back by itself (``Last-Event-ID``), and
is told of the change by a new answer, which has its labels. So no run has seen what it is not marked with.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest

import orjson
from aiohttp import web

from gateway.errors import Forgotten, StoreUnavailable
from gateway.memory.caller import Caller
from gateway.memory.told import labelled, labels_of
from gateway.memory.wrong import Wrong
from gateway.model.shelf import Page, read_version, version_of
from gateway.policy.guards import short
from gateway.ports import Shelf
from gateway.stores.shelf_told import told

HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent."""
POLL = 1.0
"""Seconds between two looks for what other replicas have written, and what has expired."""
MOST, MOST_OF_AGENT = 200, 10
"""Streams at once, of all agents and of one."""
_BATCH = 100
_FIELDS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_AGAIN = b"retry: 500\n\n"


class Watches:
    """The streams that are open."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._open: Counter[str] = Counter()
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._version, self._ending = 0, False

    def wrote(self, namespace: str) -> None:
        """Something has been written here."""
        for event in self._waiting.get(namespace, ()):
            event.set()

    def end(self, *, for_good: bool) -> None:
        """End all streams: their readers come back, and are asked again whether they may. ``for_good``: no other one
        lasts either."""
        self._version, self._ending = self._version + 1, for_good
        for namespace in self._waiting:
            self.wrote(namespace)

    async def stream(self, request: web.Request, caller: Caller, namespace: str, after: str) -> web.StreamResponse:
        """Changes after a version (a revision; "": from now on), until their reader has gone.

        Raises:
            Wrong: there are too many streams, or ``after`` is no version.
        """
        agent = short(caller.agent)
        if self._open.total() >= MOST or self._open[agent] >= MOST_OF_AGENT:
            advice = "close one that is not needed any more, or list what there is instead"
            raise Wrong(429, "too_many", f"{self._open[agent]} streams of this agent are open", advice)
        self._open[agent] += 1
        event = asyncio.Event()
        self._waiting.setdefault(namespace, set()).add(event)
        try:
            return await self._stream(request, namespace, after, event)
        finally:
            self._open -= Counter({agent: 1})
            self._waiting[namespace].discard(event)
            if not self._waiting[namespace]:
                del self._waiting[namespace]

    async def _stream(
        self, request: web.Request, namespace: str, after: str, event: asyncio.Event
    ) -> web.StreamResponse:
        epoch, at, reset = await self._begin(namespace, after)
        page = await self._shelf.changes(namespace, at, _BATCH)
        labels, version = set(labels_of(page.items)), self._version
        response = web.StreamResponse(headers={**_FIELDS, **labelled(page.items)})
        silence = 0.0
        # The reader has gone, or comes back and is told.
        with contextlib.suppress(ConnectionError, Forgotten, StoreUnavailable):
            await response.prepare(request)
            await response.write(_AGAIN + reset)
            while page.epoch in (epoch, "") and labels.issuperset(labels_of(page.items)):
                if page.items:
                    await response.write(b"".join(_events(page)))
                    at, silence = page.items[-1].revision, 0.0
                if not page.more:
                    at = max(at, page.revision)
                    silence += await _pause(event)
                if self._ending or self._version != version or _has_gone(request):
                    break
                if silence >= HEARTBEAT:
                    await response.write(b": still here\n\n")
                    silence = 0.0
                page = await self._shelf.changes(namespace, at, _BATCH)
                epoch = epoch or page.epoch  # it has come to be
            await response.write_eof()
        return response

    async def _begin(self, namespace: str, after: str) -> tuple[str, int, bytes]:
        """Epoch and revision to begin after, and what a reader is told who has to begin anew."""
        usage = await self._shelf.usage(namespace)
        if not after:
            return usage.epoch, usage.revision, b""
        version = read_version(after) or ((usage.epoch, int(after)) if after.isdecimal() and len(after) < 16 else None)
        if version is None:
            raise Wrong(400, "unusable", f"{short(after)} is no version", "give the version of a list, or after=0")
        epoch, revision = version
        try:
            if epoch != usage.epoch:
                raise Forgotten(namespace, revision, usage.revision)
            await self._shelf.changes(namespace, revision, 1)
        except Forgotten as error:
            told = orjson.dumps({"why": str(error), "advice": "forget what you know; all that stands follows"})
            return usage.epoch, 0, b"event: reset\ndata: %b\n\n" % told
        return epoch, revision, b""


def _has_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _events(page: Page) -> Iterator[bytes]:
    """An event for each change. The last of a revision bears its version: who comes back gets revisions whole."""
    for item, after in zip_longest(page.items, page.items[1:]):
        data = orjson.dumps(told(page.epoch, item, value=False))
        last = after is None or after.revision != item.revision
        mark = f"id: {version_of(page.epoch, item.revision)}\n".encode() if last else b""
        yield b"%bevent: change\ndata: %b\n\n" % (mark, data)


async def _pause(event: asyncio.Event) -> float:
    """Wait for something to be written here, but not longer than until the next look; how long that may have been."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(POLL):
            await event.wait()
    event.clear()
    return POLL
