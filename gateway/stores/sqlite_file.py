"""One SQLite file, and the thread that owns the connection to it: nothing blocks the loop.

Written ahead (WAL) and synced at each commit: neither the end of the process nor that of the machine loses what was
answered. What is asked for at the same time is committed together, so that a thousand calls need few syncs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from gateway.errors import ConfigError, Problem, StoreUnavailable
from gateway.stores.sqlite_shelf_rows import TABLES as SHELF_TABLES
from gateway.stores.sqlite_whole import leave_note, take_note

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]

APPLICATION = 0x54474154
"""``PRAGMA application_id`` of state files: TGAT."""
VERSION = 1
"""``PRAGMA user_version``: of the tables below."""
PATIENCE = 2.0
"""Seconds to wait for another process that is writing."""
_UNFAIR = 5
"""Milliseconds that SQLite waits by itself, once the file is open."""
_TOGETHER = 64
"""Pieces of work in one commit at most."""

_TABLES = """
CREATE TABLE accounts (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL, instance TEXT NOT NULL, account TEXT NOT NULL,
  retires REAL NOT NULL, UNIQUE (key, instance));
CREATE INDEX accounts_retire ON accounts (retires) WHERE retires > 0;
CREATE TABLE spent (account INTEGER, slot INTEGER, amount INTEGER NOT NULL, PRIMARY KEY (account, slot)) WITHOUT ROWID;
CREATE TABLE leases (
  account INTEGER, holder TEXT, amount INTEGER NOT NULL, PRIMARY KEY (account, holder)) WITHOUT ROWID;
CREATE INDEX leases_of ON leases (holder);
CREATE TABLE ledger (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, account INTEGER NOT NULL, call TEXT, holder TEXT NOT NULL,
  spent INTEGER NOT NULL, what TEXT NOT NULL, UNIQUE (account, call));
CREATE TABLE holders (
  name TEXT PRIMARY KEY, node TEXT NOT NULL, pid INTEGER NOT NULL, started TEXT NOT NULL, seen REAL NOT NULL);
CREATE TABLE buckets (key TEXT PRIMARY KEY, full_at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE board (
  kind TEXT, key TEXT, value BLOB NOT NULL, until REAL NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE seized (key TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID;
"""

_ADDED = """
CREATE TABLE IF NOT EXISTS drawers (
  kind TEXT PRIMARY KEY, revision INTEGER NOT NULL, live INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS papers (
  id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, value BLOB,
  until REAL NOT NULL, UNIQUE (kind, key));
CREATE INDEX IF NOT EXISTS papers_changed ON papers (kind, version);
CREATE INDEX IF NOT EXISTS papers_end ON papers (kind, until) WHERE until > 0;
"""
"""Tables that files of this version got later: whoever does not know them leaves them alone."""


class SqliteFile:
    """Runs work in the thread that owns the connection, each piece in a transaction, in the order it was asked for."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.error = ""
        """What the last piece of work failed with; "" where it went well."""
        self.whole = False
        """Whether it is known that it was as it was last left when it was opened."""
        self._queue: queue.SimpleQueue[tuple[Work, asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def open(self) -> None:
        """Open or create it.

        Raises:
            ConfigError: it cannot be opened, or is not a state file of this version.
        """
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = loop.create_future()
        self._thread = threading.Thread(target=self._serve, args=(loop, opened), name="toolgate-state", daemon=True)
        self._thread.start()
        await opened

    async def close(self) -> None:
        """Do what was asked for, and close it."""
        if self._thread is not None:
            self._queue.put(None)
            await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
            self._thread = None

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What ``work`` gives; all that it changed is on disk, or none of it.

        Raises:
            StoreUnavailable: the file cannot be written, or another process has held it for too long.
        """
        if self._thread is None:
            raise StoreUnavailable("the state file is not open")
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put((work, done))
        return await done

    # -- in the thread ------------------------------------------------------------------------------------------

    def _serve(self, loop: asyncio.AbstractEventLoop, opened: asyncio.Future[None]) -> None:
        self.whole = take_note(self.path)
        try:
            connection = _connected(self.path)
        except (sqlite3.Error, OSError, ConfigError) as error:
            loop.call_soon_threadsafe(_fail, opened, _unusable(self.path, error))
            return
        loop.call_soon_threadsafe(_give, opened, None)
        last = False
        while not last:
            batch = [self._queue.get()]
            with contextlib.suppress(queue.Empty):
                while len(batch) < _TOGETHER:
                    batch.append(self._queue.get_nowait())
            last = None in batch
            self._commit(connection, loop, [one for one in batch if one is not None])
        connection.close()
        leave_note(self.path)

    def _commit(
        self, connection: sqlite3.Connection, loop: asyncio.AbstractEventLoop, batch: list[tuple[Work, Any]]
    ) -> None:
        """All of the batch in one transaction; where one piece fails, each in its own."""
        try:
            results = _in_transaction(connection, [work for work, _ in batch])
        except Exception as error:  # noqa: BLE001 - it is raised where the work was asked for
            if len(batch) > 1:
                for one in batch:
                    self._commit(connection, loop, [one])
                return
            for _, done in batch:
                raised: Exception = error
                if isinstance(error, sqlite3.Error):
                    self.error = str(error)
                    raised = StoreUnavailable(f"the state file: {error}")
                loop.call_soon_threadsafe(_fail, done, raised)
            return
        self.error = ""
        for (_, done), result in zip(batch, results, strict=True):
            loop.call_soon_threadsafe(_give, done, result)


def _in_transaction(connection: sqlite3.Connection, batch: list[Work]) -> list[Any]:
    _begin(connection)
    try:
        results = [work(connection) for work in batch]
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return results


def _begin(connection: sqlite3.Connection) -> None:
    """Begin to write. SQLite's own way of waiting sleeps ever longer, so that a process that writes all the time leaves
    no turn to the others."""
    ends = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > ends:
                raise
            time.sleep(random.uniform(0.0002, 0.003))  # noqa: S311 - not a secret
        else:
            return


def _connected(path: str) -> sqlite3.Connection:
    # What is kept is nobody else's business; the files beside it get the same rights.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA journal_size_limit = 67108864")
    _begin(connection)
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application == 0 and not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        for statement in _TABLES.split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    elif application != APPLICATION:
        raise ConfigError([Problem("state", 0, 0, f"{path} is a SQLite file of something else", "name another file")])
    elif version != VERSION:
        message = f"{path} has tables of version {version}, this is a Toolgate of version {VERSION}"
        raise ConfigError([Problem("state", 0, 0, message, "run the Toolgate that wrote it, or name another file")])
    for statement in (_ADDED + SHELF_TABLES).split(";\n"):
        connection.execute(statement)
    connection.execute("COMMIT")
    connection.execute(f"PRAGMA busy_timeout = {_UNFAIR}")


def _unusable(path: str, error: Exception) -> ConfigError:
    if isinstance(error, ConfigError):
        return error
    why = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    hint = "give a file in a folder that this user may write to, on a local disk"
    return ConfigError([Problem("state", 0, 0, f"cannot open {path}: {why}", hint)])


def _give(future: asyncio.Future[Any], result: object) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
