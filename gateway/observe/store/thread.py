"""The thread that stores records. A slow, full or broken disk is its trouble only: calls never wait for it.

Between two transactions it waits for company, since a page of an index is written once for all rows that touch it:
1,024 records at once cost 13 us each, 128 cost 17, mostly without the interpreter's lock.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from time import monotonic, time
from typing import Any

from gateway.observe.store import writing
from gateway.observe.store.file import open_for_writing
from gateway.observe.store.rows import Stored

MOST_RECORDS, MOST_BYTES = 20_000, 32 << 20
"""Records waiting to be stored, at most, and their bytes; more are lost, and counted."""
_MOST_AT_ONCE = 1024
_COMPANY = 0.2
"""Seconds between two transactions, at least, while there is room for what comes."""
_IDLE = 0.25
"""Seconds without new records after which there is time for indexing and deleting."""
_TIDY = 5.0
"""Seconds after which what is old is deleted, also where there is no idle time."""
_MOST_UNWORDED = 20_000
"""Calls whose words wait for idle time, at most: a search looks through them by itself."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_PASSING = (sqlite3.OperationalError, sqlite3.DatabaseError)
"""Errors of the disk and of other processes, not of what is written."""

log = logging.getLogger("toolgate.trace")


class TraceStore:
    """Takes records from one loop; ``close`` once, at the end."""

    def __init__(
        self,
        path: str,
        keep: float,
        max_size: int,
        *,
        most_records: int = MOST_RECORDS,
        insert: Callable[[sqlite3.Connection, Sequence[Stored]], None] = writing.insert,
    ) -> None:
        """Open the file, which is made where there is none, and start. ``keep``: seconds that a record is kept;
        ``max_size``: bytes of all of them, roughly. The oldest go first.

        Raises:
            ConfigError: the file cannot be used.
        """
        self.path = path
        self.error = ""
        """What the last try failed with; empty while storing works."""
        self.size = 0
        """Bytes that the records take in the file."""
        self._keep, self._max_size, self._most_records, self._insert = keep, max_size, most_records, insert
        self._open()
        self._put = self._put_bytes = self._refused = 0  # counted by the loop alone
        self._done = self._done_bytes = self._unusable = 0  # counted by the thread alone
        self._queue: SimpleQueue[list[Stored] | None] = SimpleQueue()
        self._closing = threading.Event()
        self._deadline = 0.0
        self._tidied = 0.0
        self._last = 0.0
        self._untidied = 0
        self._thread = threading.Thread(target=self._work, name="toolgate-store", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Records lost so far: there was no room, or they could not be stored."""
        return self._refused + self._unusable

    @property
    def waiting(self) -> int:
        """Records taken and not yet stored."""
        return self._put - self._done

    def put(self, batch: list[Stored]) -> None:
        """Hand over records. Never blocks; where there is no room, they are lost and counted."""
        size = sum([len(one.line) for one in batch])
        if self.waiting + len(batch) > self._most_records or self._put_bytes - self._done_bytes + size > MOST_BYTES:
            self._refused += len(batch)
            return
        self._put += len(batch)
        self._put_bytes += size
        self._queue.put(batch)

    def status(self) -> dict[str, Any]:
        """For the readiness page."""
        return {"path": self.path, "waiting": self.waiting, "dropped": self.dropped, "error": self.error or None}

    def close(self, timeout: float) -> int:
        """Store what waits, for at most ``timeout`` seconds (blocking). Returns how many records were not."""
        self._deadline = monotonic() + timeout
        self._closing.set()
        self._queue.put(None)
        self._thread.join(timeout)
        return self.waiting

    def _open(self) -> None:
        self._connection = open_for_writing(self.path)
        self._inode = os.stat(self.path).st_ino

    # -- the thread ---------------------------------------------------------------------------------------------

    def _work(self) -> None:
        self._tidy()
        more = True
        while more:
            batch, more = self._next()
            if batch and not self._store(batch):
                break  # out of time at the end
            if not batch and more:
                self._use_idle_time()
            elif monotonic() - self._tidied >= _TIDY:
                self._tidy()
        self._connection.close()

    def _next(self) -> tuple[list[Stored], bool]:
        """The records that have come, nothing after some time without any; and whether more may come."""
        try:
            first = self._queue.get(timeout=_IDLE)
        except Empty:
            return [], True
        if first is None:
            return [], False
        batch = list(first)
        self._closing.wait(max(0.0, self._last + _COMPANY - monotonic()) if len(batch) < _MOST_AT_ONCE else 0.0)
        while len(batch) < _MOST_AT_ONCE:
            try:
                following = self._queue.get_nowait()
            except Empty:
                break
            if following is None:
                return batch, False
            batch += following
        return batch, True

    def _store(self, batch: list[Stored]) -> bool:
        """Store all of it, however often it takes. False: the deadline of ``close`` has passed."""
        pause = _FIRST_PAUSE
        while not self._try(self._insert, batch):
            if self._closing.is_set() and monotonic() + pause > self._deadline:
                return False
            self._closing.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        self._last = monotonic()
        self._done_bytes += sum([len(one.line) for one in batch])
        self._done += len(batch)
        self._untidied += len(batch)
        return True

    def _use_idle_time(self) -> None:
        """Index words, and where there are none left, delete what is too much, until new records come."""
        while self._queue.empty() and self._step(writing.word):
            pass
        if monotonic() - self._tidied >= _TIDY:
            self._tidy()

    def _tidy(self) -> None:
        """Delete what is too old or too much, and index words that have waited too long: as much as came since the last
        time and more, and beyond that until new records come."""
        most = 2 * self._untidied // writing.SLICE + 1
        self._tidied, self._untidied = monotonic(), 0
        self._try(self._find)
        oldest = int((time() - self._keep) * 1000)
        for work, argument in (
            (writing.forget, oldest),
            (writing.shrink, self._max_size),
            (writing.word, _MOST_UNWORDED),
        ):
            slices = 0
            while (slices < most or self._queue.empty()) and self._step(work, argument):
                slices += 1
        self._step(writing.release)
        self._step(self._measure)

    def _find(self, connection: sqlite3.Connection) -> None:
        """Go on with a new file where this one was moved away: nobody would find what is written to it."""
        try:
            moved = os.stat(self.path).st_ino != self._inode
        except FileNotFoundError:
            moved = True
        if moved:
            connection.close()
            self._open()

    def _measure(self, connection: sqlite3.Connection) -> None:
        self.size = writing.used(connection)

    def _step(self, work: Callable[..., Any], *arguments: Any) -> bool:
        """One slice; whether it found something to do."""
        found: list[Any] = []
        return self._try(lambda connection: found.append(work(connection, *arguments))) and bool(found and found[0])

    def _try(self, work: Callable[..., Any], *arguments: Any) -> bool:
        """Whether it need not be tried again. What fails is told once, and again when it works."""
        try:
            work(self._connection, *arguments)
        except Exception as error:  # noqa: BLE001 - whatever it is, records that come later must not suffer for it
            if str(error) != self.error:
                log.error("the trace store %s cannot be written: %s", self.path, error)  # noqa: TRY400 - told, not ours
                self.error = str(error)
            if type(error) in _PASSING:
                return False
            self._unusable += len(arguments[0]) if work is self._insert else 0  # it would fail again
            return True
        if self.error:
            log.warning("the trace store %s can be written again", self.path)
            self.error = ""
        return True
