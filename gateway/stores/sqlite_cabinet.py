"""A cabinet in a SQLite file. Each change is one transaction, on disk when it is answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sqlite3 import Connection

from gateway.errors import StoreUnavailable
from gateway.ports import Paper
from gateway.stores import memory_cabinet
from gateway.stores.memory_cabinet import GONE
from gateway.stores.sqlite_file import SqliteFile

_AT_ONCE = 1000
"""Documents at most whose end is written down in one transaction: others must not wait long."""


class SqliteCabinet:
    """ports.Cabinet over a file."""

    def __init__(self, file: SqliteFile, wall: Callable[[], float]) -> None:
        """``wall`` gives seconds since the epoch."""
        self._file, self._wall = file, wall

    async def swap(self, kind: str, key: str, seen: int, value: bytes | None, seconds: float = 0.0) -> int:
        """Write it where nobody else has; see Cabinet."""
        now = self._wall()
        until = now + GONE if value is None else now + seconds if seconds else 0.0
        version = await self._file.run(lambda connection: _swap(connection, kind, key, seen, value, until, now))
        if version is None:
            raise StoreUnavailable(f"the cabinet is full of {kind}")
        return version

    async def read(self, kind: str, key: str) -> Paper | None:
        """What stands."""
        return await self._file.run(lambda connection: _find(connection, kind, key, self._wall()))

    async def changes(self, kind: str, after: int) -> tuple[int, Sequence[Paper]]:
        """What has changed since, in the order of the changes."""
        return await self._file.run(lambda connection: _changes(connection, kind, after, self._wall()))


def _find(connection: Connection, kind: str, key: str, now: float) -> Paper | None:
    sql = (
        "SELECT key, version, value FROM papers"
        " WHERE kind = ? AND key = ? AND value IS NOT NULL AND (until = 0 OR until > ?)"
    )
    row = connection.execute(sql, (kind, key, now)).fetchone()
    return None if row is None else Paper(*row)


def _swap(
    connection: Connection, kind: str, key: str, seen: int, value: bytes | None, until: float, now: float
) -> int | None:
    """The new version; 0 where somebody else was faster, None where there is no room."""
    standing = _find(connection, kind, key, now)
    if (0 if standing is None else standing.version) != seen:
        return 0
    revision, live = _drawer(connection, kind)
    if standing is None and value is not None and live >= memory_cabinet.MOST:
        _end(connection, kind, now)
        revision, live = _drawer(connection, kind)
        if live >= memory_cabinet.MOST:
            return None
    _write(connection, kind, key, revision + 1, value, until)
    return revision + 1


def _drawer(connection: Connection, kind: str) -> tuple[int, int]:
    """The revision, and how many documents there are, those included whose end has not been written down."""
    row = connection.execute("SELECT revision, live FROM drawers WHERE kind = ?", (kind,)).fetchone()
    return (0, 0) if row is None else (row[0], row[1])


def _write(connection: Connection, kind: str, key: str, version: int, value: bytes | None, until: float) -> None:
    sql = "SELECT 1 FROM papers WHERE kind = ? AND key = ? AND value IS NOT NULL"
    more = (value is not None) - (connection.execute(sql, (kind, key)).fetchone() is not None)
    connection.execute(
        "INSERT INTO drawers VALUES (?1, ?2, ?3)"
        " ON CONFLICT DO UPDATE SET revision = excluded.revision, live = live + excluded.live",
        (kind, version, more),
    )
    connection.execute(
        "INSERT INTO papers (kind, key, version, value, until) VALUES (?, ?, ?, ?, ?) ON CONFLICT (kind, key)"
        " DO UPDATE SET version = excluded.version, value = excluded.value, until = excluded.until",
        (kind, key, version, value, until),
    )


def _changes(connection: Connection, kind: str, after: int, now: float) -> tuple[int, list[Paper]]:
    _end(connection, kind, now)
    revision, _ = _drawer(connection, kind)
    if after == revision:
        return revision, []
    after = after if after < revision else 0
    sql = (
        "SELECT key, version, value FROM papers WHERE kind = ?1 AND version > ?2"
        " AND (until = 0 OR until > ?3 OR value IS NULL) AND (?2 > 0 OR value IS NOT NULL) ORDER BY version"
    )
    return revision, [Paper(*row) for row in connection.execute(sql, (kind, after, now))]


def _end(connection: Connection, kind: str, now: float) -> None:
    """Write down that what has ended is gone, and forget what has been gone for long enough."""
    sql = "SELECT key, value IS NULL FROM papers WHERE kind = ? AND until > 0 AND until <= ? ORDER BY until LIMIT ?"
    due = connection.execute(sql, (kind, now, _AT_ONCE)).fetchall()
    if not due:
        return
    forgotten = [(kind, key) for key, gone in due if gone]
    connection.executemany("DELETE FROM papers WHERE kind = ? AND key = ?", forgotten)
    revision, _ = _drawer(connection, kind)
    for number, key in enumerate([key for key, gone in due if not gone], revision + 1):
        _write(connection, kind, key, number, None, now + GONE)
