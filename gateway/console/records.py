"""Questions to the trace store, answered by a thread of its own: one at a time, none for long.

Where no store is configured, the records that the feed still has are put into one in memory.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import TypeVar

import orjson

from gateway.console.errors import Busy, Unshown
from gateway.console.feed import Feed
from gateway.observe.store.file import StoreError, open_for_reading, temporary
from gateway.observe.store.reader import TraceReader
from gateway.observe.store.rows import Stored, stored_record
from gateway.observe.store.writing import insert

T = TypeVar("T")

PATIENCE = 8.0
"""Seconds that a question may take."""
MOST_WAITING = 16
"""Questions that wait for their turn, at most."""
_STEPS = 50_000
"""Of SQLite's machine, between two looks at the clock."""


class Records:
    """``path`` is the store's file; None where there is none. ``close`` once, at the end."""

    def __init__(self, path: Path | None, feed: Feed) -> None:
        self._path, self._feed = path, feed
        self._thread = ThreadPoolExecutor(1, "toolgate-console")
        self._waiting = 0
        self._reader: TraceReader | None = None
        self._inode = 0
        self._copied = 0
        self._deadline = 0.0

    @property
    def stored(self) -> bool:
        """Whether there is a store, or only what the feed still has."""
        return self._path is not None

    async def ask(self, question: Callable[[TraceReader], T]) -> T:
        """The answer to a question, which is asked in another thread.

        Raises:
            Busy: too many questions wait, or the answer takes too long.
            Unshown: the store cannot be read.
        """
        if self._waiting >= MOST_WAITING:
            raise Busy("many questions wait for the trace store already; try again in a moment")
        lines = () if self.stored or self._copied == self._feed.last else self._feed.after(0)[0]
        self._copied = self._feed.last
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, question, lines)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Let the thread end; a question under way is left to itself."""
        self._thread.submit(self._drop)
        self._thread.shutdown(wait=False)

    def _answer(self, question: Callable[[TraceReader], T], lines: Sequence[bytes]) -> T:
        try:
            reader = self._open(self._path) if self._path is not None else self._copy(lines)
            self._deadline = monotonic() + PATIENCE
            return question(reader)
        except StoreError as error:
            raise Unshown(str(error)) from None
        except sqlite3.Error as error:
            self._drop()
            self._copied = -1
            if "interrupted" in str(error):
                raise Busy(f"that took longer than {PATIENCE:g} s: ask for a shorter time, or for less") from None
            raise Unshown(f"the trace store cannot be read: {error}") from None

    def _open(self, path: Path) -> TraceReader:
        inode = path.stat().st_ino if path.exists() else 0
        if self._reader is not None and inode == self._inode:
            return self._reader
        self._drop()
        self._inode = inode
        return self._keep(open_for_reading(path))

    def _copy(self, lines: Sequence[bytes]) -> TraceReader:
        """A store in memory with these records; none: nothing has come since the last time."""
        if lines or self._reader is None:
            self._drop()
            connection = temporary()
            insert(connection, [_stored(line) for line in lines])
            return self._keep(connection)
        return self._reader

    def _keep(self, connection: sqlite3.Connection) -> TraceReader:
        connection.set_progress_handler(lambda: monotonic() > self._deadline, _STEPS)
        self._deadline = monotonic() + PATIENCE
        self._reader = TraceReader(connection)
        return self._reader

    def _drop(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = None


def _stored(line: bytes) -> Stored:
    return stored_record(orjson.loads(line), line)
