"""What a shelf in a SQLite file forgets of the past."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection

from gateway.model.shelf import ShelfLimits
from gateway.stores import shelf_rules
from gateway.stores.sqlite_shelf_rows import Space, keep


def forget(connection: Connection, space: Space, keys: Sequence[str], limits: ShelfLimits) -> None:
    """What of the past is too much, or too old; former versions of these keys beyond their number."""
    gone = []
    for key in keys:
        sql = (
            "SELECT id, key, revision, size, over FROM shelf_items WHERE shelf = ? AND key = ? AND over > 0"
            " ORDER BY revision DESC LIMIT -1 OFFSET ?"
        )
        gone += connection.execute(sql, (space.id, key, limits.versions)).fetchall()[::-1]
    for row in gone:
        _forget(connection, space, *row)
    former, past = space.former, []
    sql = (
        "SELECT id, key, revision, size, over, ended FROM shelf_items WHERE shelf = ? AND since > 0"
        " ORDER BY since, revision LIMIT ?"
    )
    for *row, ended in connection.execute(sql, (space.id, shelf_rules.MOST_FORGOTTEN)):
        if former <= limits.size and ended > space.clock - limits.age:
            break
        former -= row[3]
        past.append(row)
    for row in past:
        _forget(connection, space, *row)
    if gone or past:
        keep(connection, space)


def _forget(connection: Connection, space: Space, number: int, key: str, revision: int, size: int, over: int) -> None:
    connection.execute("DELETE FROM shelf_items WHERE id = ?", (number,))
    space.former -= size
    if over:
        sql = "UPDATE shelf_items SET lost = 1 WHERE shelf = ? AND key = ? AND revision = ?"
        connection.execute(sql, (space.id, key, over))
    else:
        space.floor = max(space.floor, revision)
