"""The store's file: made, checked, opened for writing by the gateway and for reading by anybody else."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from gateway.errors import ConfigError, Problem, ToolgateError
from gateway.observe.store.rows import COLUMNS

APPLICATION = 0x54474154
"""``TGAT`` in the file's header (SQLite's application_id): tells a trace store from other databases."""
VERSION = 2
"""Of the tables below (SQLite's user_version)."""
_BUSY = 5.0
"""Seconds to wait for another process that writes."""

_TREES = "CREATE TABLE trees (tree INTEGER PRIMARY KEY, run TEXT NOT NULL UNIQUE)"
_BY_TREE = "CREATE INDEX calls_by_tree ON calls (tree)"

_TABLES = f"""
{_TREES};
CREATE TABLE calls (id INTEGER PRIMARY KEY AUTOINCREMENT, {", ".join(COLUMNS)}, tree INTEGER);
CREATE INDEX calls_by_time ON calls (ms);
CREATE INDEX calls_by_call ON calls (call);
{_BY_TREE};
CREATE INDEX calls_by_inner_run ON calls (run) WHERE run IS NOT tree_run;
CREATE TABLE records (id INTEGER PRIMARY KEY, line TEXT NOT NULL, text TEXT);
CREATE TABLE said (id INTEGER, at INTEGER, policy, rule, verdict, mode, PRIMARY KEY (id, at)) WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5 (text, columnsize=0);
CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO marks VALUES ('worded', 0);
"""  # noqa: S608 - of constants
"""``records`` lie apart, so that a scan of ``calls`` reads 150 bytes a call instead of 1,000. ``id`` grows in the order
in which calls ended, and is never used again. ``words`` is filled later (``writing.word``), from ``text`` or, where
that is null, from ``line``; nobody asks it for a rank, so it counts no words. ``trees`` number the runs at the roots:
numbers of runs that are going on lie together, so that a call's entry in ``calls_by_tree`` falls on a page that is
written anyway; names as agents make them up fall on a page of their own each."""

_TO_VERSION_2 = (
    "ALTER TABLE records ADD COLUMN text TEXT",
    "ALTER TABLE calls ADD COLUMN tree INTEGER",
    "DROP INDEX calls_by_tree",
    _TREES,
    "INSERT INTO trees (run) SELECT tree_run FROM calls WHERE tree_run IS NOT NULL GROUP BY tree_run ORDER BY min(id)",
    "UPDATE calls SET tree = (SELECT trees.tree FROM trees WHERE trees.run = tree_run)",
    _BY_TREE,
    f"PRAGMA user_version = {VERSION}",
)


class StoreError(ToolgateError):
    """The file is no trace store, or none that can be used; the text says why and what to do."""


def open_for_writing(path: str) -> sqlite3.Connection:
    """The store at ``path``, made where there is none.

    The connection may be used by one thread at a time; transactions are begun by hand.

    Raises:
        ConfigError: it cannot be used.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))  # SQLite's own files then have this mode
        connection = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise _unusable(f"cannot use {path}: {reason}", _hint(error)) from None
    except StoreError as error:
        raise _unusable(str(error), "give another path, or move the file away") from None
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """The store at ``path``, which another process may be writing; nothing in it can be changed. For one thread at a
    time.

    Raises:
        StoreError: it cannot be read.
    """
    if not path.is_file():
        raise StoreError(f"there is no trace store {path}")
    where = f"file:{quote(str(path.absolute()))}?mode=ro"
    # A store that nobody writes, in a folder that is not ours to write, has no place for the log's shared index.
    still = not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists()
    try:
        connection = sqlite3.connect(
            where + "&immutable=1" * still, uri=True, timeout=_BUSY, isolation_level=None, check_same_thread=False
        )
        try:
            _check(connection, str(path))
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise StoreError(f"cannot read {path}: {error}") from None
    return connection


def temporary() -> sqlite3.Connection:
    """An empty store of this process alone, in memory and from some size on in a temporary file."""
    connection = sqlite3.connect("", isolation_level=None)
    connection.executescript(f"{_TABLES} PRAGMA user_version = {VERSION};")
    return connection


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    if not _tables(connection):
        # Before anything else is in the file: these cannot be changed later. Larger pages take a sixth less time.
        connection.execute("PRAGMA page_size = 8192")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA cache_size = -16384")
    connection.execute("PRAGMA wal_autocheckpoint = 2000")
    connection.execute("PRAGMA journal_size_limit = 33554432")
    connection.execute("BEGIN IMMEDIATE")
    if not _tables(connection):  # another process may have been faster
        for statement in _TABLES.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    elif _stamp(connection) == (APPLICATION, 1):
        for statement in _TO_VERSION_2:
            connection.execute(statement)
    connection.execute("COMMIT")
    _check(connection, path)


def _stamp(connection: sqlite3.Connection) -> tuple[int, int]:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return application, version


def _tables(connection: sqlite3.Connection) -> int:
    count: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return count


def _check(connection: sqlite3.Connection, path: str) -> None:
    application, version = _stamp(connection)
    if not _tables(connection):
        raise StoreError(f"{path} is empty; a gateway that keeps its records there makes a store of it")
    if application != APPLICATION:
        raise StoreError(f"{path} is a database, but no trace store")
    if version == 1:
        raise StoreError(f"{path} is of version 1; a gateway that starts with it makes it version {VERSION}")
    if version != VERSION:
        raise StoreError(f"{path} is a trace store of version {version}, not {VERSION}")
    connection.execute("SELECT max(id) FROM calls").fetchone()
    connection.execute("SELECT value FROM marks").fetchone()


def _hint(error: Exception) -> str:
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return "it is no SQLite database, or is broken: move the file away, and a new one is made"
    return "give a file in a folder that exists and that this user may write"


def _unusable(message: str, hint: str) -> ConfigError:
    return ConfigError([Problem("trace.store.path", 0, 0, message, hint)])
