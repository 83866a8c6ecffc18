"""The rows of a shelf in a SQLite file: one for each namespace, one for each version that is kept.

Of a version, ``since`` is the revision by which it ceased to stand (of a removal, its own; 0 while it stands), ``over``
the one that was written over it (0 for the newest), and ``lost`` whether earlier ones of its key were forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from sqlite3 import Connection

import msgspec
from msgspec import Struct

from gateway.errors import Forgotten, StoreUnavailable
from gateway.model.shelf import NOBODY, Item, Kind, Provenance, Put, size_of
from gateway.stores import shelf_rules

TABLES = """
CREATE TABLE IF NOT EXISTS shelves (
  id INTEGER PRIMARY KEY AUTOINCREMENT, namespace TEXT UNIQUE, epoch TEXT NOT NULL, revision INTEGER NOT NULL,
  floor INTEGER NOT NULL, clock REAL NOT NULL, live INTEGER NOT NULL, size INTEGER NOT NULL, former INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS shelf_owners (
  shelf INTEGER, agent TEXT, live INTEGER NOT NULL, PRIMARY KEY (shelf, agent)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shelf_items (
  id INTEGER PRIMARY KEY, shelf INTEGER NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, since INTEGER NOT NULL,
  over INTEGER NOT NULL, ended REAL NOT NULL, lost INTEGER NOT NULL, size INTEGER NOT NULL, owner TEXT NOT NULL,
  created REAL NOT NULL, written REAL NOT NULL, ends REAL NOT NULL, kind TEXT NOT NULL, by TEXT NOT NULL, value BLOB,
  UNIQUE (shelf, key, revision));
CREATE UNIQUE INDEX IF NOT EXISTS shelf_standing ON shelf_items (shelf, key) WHERE since = 0;
CREATE INDEX IF NOT EXISTS shelf_changes ON shelf_items (shelf, revision, key);
CREATE INDEX IF NOT EXISTS shelf_past ON shelf_items (shelf, since, revision) WHERE since > 0;
CREATE INDEX IF NOT EXISTS shelf_lost ON shelf_items (shelf, key, revision) WHERE lost > 0;
CREATE INDEX IF NOT EXISTS shelf_ends ON shelf_items (shelf, ends, key) WHERE ends > 0 AND since = 0;
"""

_SELECT = "SELECT key, revision, value, kind, created, written, ends, by FROM shelf_items WHERE shelf = ?1"
_LOST = (
    "SELECT 1 FROM shelf_items WHERE shelf = ?1 AND key >= ?2 AND key > ?3 AND revision > ?4 AND lost > 0"
    " AND substr(key, 1, length(?2)) = ?2"
)
_by = msgspec.json.Decoder(Provenance)


class Space(Struct):
    """The row of a namespace; its id is 0 where there is none."""

    id: int
    namespace: str
    epoch: str = ""
    revision: int = 0
    floor: int = 0
    clock: float = 0.0
    live: int = 0
    size: int = 0
    former: int = 0


class Standing(Struct, frozen=True):
    """What must be known of what stands, to write over it."""

    id: int
    size: int
    owner: str
    created: float


def space_of(connection: Connection, namespace: str) -> Space:
    """The row of a namespace."""
    row = connection.execute("SELECT * FROM shelves WHERE namespace = ?", (namespace,)).fetchone()
    return Space(0, namespace) if row is None else Space(*row)


def create(connection: Connection, namespace: str | None, epoch: str) -> Space:
    """A new one; None: one that nobody can see yet. Raises OverQuota."""
    if namespace is not None:
        _make_room(connection)
    sql = "INSERT INTO shelves (namespace, epoch, revision, floor, clock, live, size, former) VALUES (?,?,0,0,0,0,0,0)"
    number = connection.execute(sql, (namespace, epoch)).lastrowid or 0
    return Space(number, namespace or "", epoch)


def rename(connection: Connection, number: int, namespace: str) -> None:
    """Put one that nobody could see in the place of what has this name. Raises OverQuota."""
    old = space_of(connection, namespace)
    if not old.id:
        _make_room(connection)
    drop(connection, old.id)
    connection.execute("UPDATE shelves SET namespace = ? WHERE id = ?", (namespace, number))


def drop(connection: Connection, number: int) -> None:
    """With all that it holds."""
    for sql in (
        "DELETE FROM shelf_items WHERE shelf = ?",
        "DELETE FROM shelf_owners WHERE shelf = ?",
        "DELETE FROM shelves WHERE id = ?",
    ):
        connection.execute(sql, (number,))


def tidy(connection: Connection, epochs: Callable[[], str] | None) -> None:
    """Remove what nobody can see, and give each another epoch."""
    for number, namespace in connection.execute("SELECT id, namespace FROM shelves").fetchall():
        if namespace is None:
            drop(connection, number)
        elif epochs is not None:
            connection.execute("UPDATE shelves SET epoch = ? WHERE id = ?", (epochs(), number))


def namespaces(connection: Connection) -> list[str]:
    """Their names, in order."""
    sql = "SELECT namespace FROM shelves WHERE namespace IS NOT NULL ORDER BY namespace"
    return [name for (name,) in connection.execute(sql)]


def owned(connection: Connection, space: Space, agent: str) -> int:
    """Keys that came to be by this agent."""
    sql = "SELECT live FROM shelf_owners WHERE shelf = ? AND agent = ?"
    row = connection.execute(sql, (space.id, agent)).fetchone()
    return 0 if row is None else int(row[0])


# -- reading ----------------------------------------------------------------------------------------------------


def newest(connection: Connection, space: Space, key: str) -> Item | None:
    """The newest version of a key, be it a removal."""
    return next(versions(connection, space, key), None)


def standing(connection: Connection, space: Space, key: str) -> Standing | None:
    """What stands under it."""
    sql = "SELECT id, size, owner, created FROM shelf_items WHERE shelf = ? AND key = ? AND since = 0"
    row = connection.execute(sql, (space.id, key)).fetchone()
    return None if row is None else Standing(*row)


def versions(connection: Connection, space: Space, key: str) -> Iterator[Item]:
    """Those that are kept, the newest first."""
    sql = _SELECT + " AND key = ?2 ORDER BY revision DESC"
    return (_item(space, row) for row in connection.execute(sql, (space.id, key)))


def seen(connection: Connection, space: Space, key: str, at: int | None) -> Item | None:
    """What stands, or stood at that revision. Raises Forgotten."""
    last = space.revision if at is None else at
    sql = _SELECT + " AND key = ?2 AND revision <= ?3 ORDER BY revision DESC LIMIT 1"
    row = connection.execute(sql, (space.id, key, last)).fetchone()
    if row is None:
        lost = "SELECT 1 FROM shelf_items WHERE shelf = ? AND key = ? AND lost > 0"
        if at is not None and connection.execute(lost, (space.id, key)).fetchone():
            raise Forgotten(space.namespace, at, space.revision)
        return None
    return None if row[2] is None else _item(space, row)


def scan(connection: Connection, space: Space, prefix: str, after: str, at: int | None) -> Iterator[Item]:
    """What stands, or stood, under keys that begin so. Raises Forgotten where one of them is not known."""
    given: tuple[object, ...] = (space.id, prefix, after)
    shown = " AND since = 0"
    if at is not None:
        given = (*given, at)
        if connection.execute(_LOST, given).fetchone():
            raise Forgotten(space.namespace, at, space.revision)
        shown = " AND revision <= ?4 AND (over = 0 OR over > ?4) AND value IS NOT NULL"
    sql = _SELECT + " AND key >= ?2 AND key > ?3" + shown + " ORDER BY key"
    found = (_item(space, row) for row in connection.execute(sql, given))
    return takewhile(lambda item: item.key.startswith(prefix), found)


def since(connection: Connection, space: Space, after: int) -> Iterator[Item]:
    """Versions later than this revision, in order."""
    sql = _SELECT + " AND revision > ?2 ORDER BY revision, key"
    return (_item(space, row) for row in connection.execute(sql, (space.id, after)))


# -- writing ----------------------------------------------------------------------------------------------------


def write(connection: Connection, space: Space, puts: Sequence[Put], by: Provenance) -> tuple[Item, ...]:
    """All as the next revision, at the time of its clock."""
    space.revision += 1
    now, items = space.clock, []
    for put in puts:
        was = standing(connection, space, put.key)
        created, owner = (now, by.agent) if was is None else (was.created, was.owner)
        ends = now + put.ttl if put.ttl and put.value is not None else 0.0
        item = Item(space.namespace, put.key, space.revision, put.value, put.kind, created, now, ends, by)
        if was is not None:
            _count(connection, space, owner, -1, was.size)
            space.former += was.size
        _write_over(connection, space, put.key, now)
        _insert(connection, space, item, owner)
        items.append(item)
    keep(connection, space)
    return tuple(items)


def put_in(connection: Connection, number: int, items: Sequence[Item]) -> None:
    """What was kept elsewhere, as the first revision; over what was put in before it.

    Raises:
        StoreUnavailable: it is not there any more: the file was opened by another process meanwhile.
    """
    row = connection.execute("SELECT * FROM shelves WHERE id = ?", (number,)).fetchone()
    if row is None:
        raise StoreUnavailable("the state file was opened by another process while this was loaded; load it again")
    space = Space(*row)
    space.revision = 1
    for item in items:
        was = standing(connection, space, item.key)
        if was is not None:
            _count(connection, space, was.owner, -1, was.size)
            connection.execute("DELETE FROM shelf_items WHERE id = ?", (was.id,))
        if item.value is not None:
            _insert(connection, space, msgspec.structs.replace(item, revision=1), item.by.agent)
    keep(connection, space)


def expire(connection: Connection, space: Space, now: float, limit: int) -> bool:
    """What has ended by now is removed, each by a revision of its own, at its time. Whether there may be more. Sets the
    clock."""
    now = max(now, space.clock)
    sql = (
        "SELECT key, ends, kind FROM shelf_items WHERE shelf = ? AND since = 0 AND ends > 0 AND ends <= ?"
        " ORDER BY ends, key LIMIT ?"
    )
    due = connection.execute(sql, (space.id, now, limit)).fetchall()
    for key, ends, kind in due:
        space.clock = max(ends, space.clock)
        write(connection, space, [Put(key, None, kind)], NOBODY)
    if len(due) < limit:
        space.clock = now
    return len(due) == limit


def _write_over(connection: Connection, space: Space, key: str, now: float) -> None:
    sql = "UPDATE shelf_items SET over = ?1, since = ?1, ended = ?2 WHERE shelf = ?3 AND key = ?4 AND over = 0"
    connection.execute(sql, (space.revision, now, space.id, key))


def _insert(connection: Connection, space: Space, item: Item, owner: str) -> None:
    size, gone = size_of(item.key, item.value, item.by), item.value is None
    if gone:
        space.former += size
    else:
        _count(connection, space, owner, 1, size)
    place = (space.id, item.key, item.revision, item.revision if gone else 0, item.written if gone else 0.0)
    rest = (size, owner, item.created, item.written, item.ends, item.kind, msgspec.json.encode(item.by).decode())
    sql = (
        "INSERT INTO shelf_items (shelf, key, revision, since, over, ended, lost, size, owner, created, written, ends,"
        " kind, by, value) VALUES (?,?,?,?,0,?,0,?,?,?,?,?,?,?,?)"
    )
    connection.execute(sql, (*place, *rest, item.value))


def _count(connection: Connection, space: Space, owner: str, more: int, size: int) -> None:
    space.live += more
    space.size += more * size
    connection.execute(
        "INSERT INTO shelf_owners VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET live = live + ?3",
        (space.id, owner, more),
    )
    if more < 0:
        connection.execute("DELETE FROM shelf_owners WHERE shelf = ? AND agent = ? AND live <= 0", (space.id, owner))


def keep(connection: Connection, space: Space) -> None:
    """Write down what the row of a namespace has come to."""
    sql = "UPDATE shelves SET revision = ?, floor = ?, clock = ?, live = ?, size = ?, former = ? WHERE id = ?"
    given = (space.revision, space.floor, space.clock, space.live, space.size, space.former, space.id)
    connection.execute(sql, given)


def _make_room(connection: Connection) -> None:
    (many,) = connection.execute("SELECT COUNT(*) FROM shelves WHERE namespace IS NOT NULL").fetchone()
    if many >= shelf_rules.MOST_NAMESPACES:
        raise shelf_rules.full()


def _item(space: Space, row: tuple[str, int, bytes | None, str, float, float, float, str]) -> Item:
    key, revision, value, kind, created, written, ends, by = row
    shown: Kind = "text" if kind == "text" else "json"
    return Item(space.namespace, key, revision, value, shown, created, written, ends, _by.decode(by))
