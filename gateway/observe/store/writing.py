"""What the store's thread does to its file. Each function is one transaction, or a slice of work small enough for one.

Rows go in many at a time: SQLite runs without the interpreter's lock from the first to the last of a statement, so a
statement for each row would ask for the lock as often, of calls that need it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from typing import Any

from gateway.observe.store.rows import COLUMNS, Stored

_ROWS = 64
"""Rows of one statement, at most."""
_TREE_RUN = COLUMNS.index("tree_run")
SLICE = 512
"""Calls that are deleted, or whose words are indexed, in one transaction."""

_PARTS = ("operation", "path", "reason", "detail", "error", "query", "args", "why", "withheld", "flaw", "notes")
"""Keys of a record whose text is searched, beside the messages of rules; of nested ones their JSON."""
_RULES = """coalesce((
    SELECT group_concat(
        coalesce(json_extract(value, '$.message'), '') || ' ' || coalesce(json_extract(value, '$.error'), '')
        || ' ' || json_extract(value, '$.rule'), ' '
    )
    FROM json_each(line, '$.rules')
), '')"""
FOUND_TEXT = " || ' ' || ".join(
    [
        *(f"coalesce(json_extract(line, '$.{key}'), '')" for key in _PARTS),
        _RULES,
    ]
)
"""The text of a record, found in its line by SQL, so without the interpreter: for 8 us."""
TEXT = f"coalesce(text, {FOUND_TEXT})"
"""The same, where most calls have come with it."""


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def insert(connection: sqlite3.Connection, batch: Sequence[Stored]) -> None:
    """Store records, all or none of them.

    Raises:
        sqlite3.Error: none was stored.
    """
    with transaction(connection):
        found = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'calls'").fetchone()
        first = (found[0] if found else 0) + 1
        trees = _trees(connection, [one.values[_TREE_RUN] for one in batch])
        for at in range(0, len(batch), _ROWS):
            part = list(enumerate(batch[at : at + _ROWS], first + at))
            rows = [(ident, *one.values, trees.get(one.values[_TREE_RUN])) for ident, one in part]
            _insert(connection, "calls", 2 + len(COLUMNS), rows)
            _insert(connection, "records", 3, [(ident, one.line.decode(), one.text) for ident, one in part])
        said = [(first + at, number, *one) for at, each in enumerate(batch) for number, one in enumerate(each.said)]
        for at in range(0, len(said), _ROWS):
            _insert(connection, "said", 6, said[at : at + _ROWS])


def _trees(connection: sqlite3.Connection, runs: Iterable[Any]) -> dict[Any, int]:
    """The numbers of trees by the runs at their roots, made where there are none."""
    names = {run: _valid(run) for run in runs if isinstance(run, str)}
    distinct = list(dict.fromkeys(names.values()))
    numbers: dict[str, int] = {}
    for at in range(0, len(distinct), _ROWS):
        part = distinct[at : at + _ROWS]
        values, marks = ", ".join(["(?)"] * len(part)), ", ".join("?" * len(part))
        connection.execute(f"INSERT OR IGNORE INTO trees (run) VALUES {values}", part)  # noqa: S608
        numbers.update(connection.execute(f"SELECT run, tree FROM trees WHERE run IN ({marks})", part))  # noqa: S608
    return {run: numbers[name] for run, name in names.items()}


def _insert(connection: sqlite3.Connection, table: str, width: int, rows: Sequence[Sequence[Any]]) -> None:
    values = list(chain.from_iterable(rows))
    try:
        connection.execute(_statement(table, width, len(rows)), values)
    except UnicodeEncodeError:  # a lone surrogate: it gets "?" in its place, as in the line
        valid = [_valid(one) if isinstance(one, str) else one for one in values]
        connection.execute(_statement(table, width, len(rows)), valid)


def _valid(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


@lru_cache(maxsize=3 * _ROWS)
def _statement(table: str, width: int, rows: int) -> str:
    row = f"({', '.join('?' * width)})"
    return f"INSERT INTO {table} VALUES {', '.join([row] * rows)}"  # noqa: S608


def word(connection: sqlite3.Connection, spared: int = 0) -> int:
    """Index the words of the next calls, at most ``SLICE``, sparing the last ``spared``; returns how many."""
    with transaction(connection):
        (done,) = connection.execute("SELECT value FROM marks WHERE name = 'worded'").fetchone()
        (newest,) = connection.execute("SELECT max(id) FROM records").fetchone()
        if newest is None or newest - done <= spared:
            return 0
        (last,) = connection.execute(
            "SELECT max(id) FROM (SELECT id FROM records WHERE id > ? ORDER BY id LIMIT ?)", (done, SLICE)
        ).fetchone()
        if last is None:
            return 0
        indexed = connection.execute(
            f"INSERT INTO words (rowid, text) SELECT id, {TEXT} FROM records WHERE id > ? AND id <= ?",  # noqa: S608
            (done, last),
        ).rowcount
        connection.execute("UPDATE marks SET value = ? WHERE name = 'worded'", (last,))
    return indexed


def forget(connection: sqlite3.Connection, before: int) -> int:
    """Delete the oldest calls that arrived before this time (milliseconds), at most ``SLICE``; returns how many."""
    found = connection.execute("SELECT id FROM calls WHERE ms < ? ORDER BY ms LIMIT ?", (before, SLICE))
    return _delete(connection, [ident for (ident,) in found])


def shrink(connection: sqlite3.Connection, most: int) -> int:
    """Delete the oldest calls where they take more than ``most`` bytes, at most ``SLICE``; returns how many."""
    if used(connection) <= most:
        return 0
    found = connection.execute("SELECT id FROM calls ORDER BY id LIMIT ?", (SLICE,))
    return _delete(connection, [ident for (ident,) in found])


def _delete(connection: sqlite3.Connection, idents: Sequence[int]) -> int:
    if not idents:
        return 0
    among = f"({', '.join(map(str, idents))})"
    with transaction(connection):
        asked = f"SELECT DISTINCT tree FROM calls WHERE id IN {among} AND tree IS NOT NULL"  # noqa: S608
        trees = ", ".join([str(tree) for (tree,) in connection.execute(asked)])
        for table, key in (("calls", "id"), ("records", "id"), ("said", "id"), ("words", "rowid")):
            connection.execute(f"DELETE FROM {table} WHERE {key} IN {among}")  # noqa: S608
        left = "EXISTS (SELECT 1 FROM calls WHERE calls.tree = trees.tree)"
        connection.execute(f"DELETE FROM trees WHERE tree IN ({trees}) AND NOT {left}")  # noqa: S608
    return len(idents)


def release(connection: sqlite3.Connection, pages: int = 1024) -> bool:
    """Give free pages back to the file system where they are many; whether there were."""
    total, free = _pragma(connection, "page_count"), _pragma(connection, "freelist_count")
    if free * 4 < total or free < pages:
        return False
    connection.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()
    return True


def used(connection: sqlite3.Connection) -> int:
    """Bytes that the records and their indexes take in the file."""
    pages = _pragma(connection, "page_count") - _pragma(connection, "freelist_count")
    return pages * _pragma(connection, "page_size")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
