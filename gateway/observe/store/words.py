"""Full-text search: through the index, and through the records that the gateway has had no time to index yet."""

from __future__ import annotations

import sqlite3

from gateway.observe.store.selection import Condition
from gateway.observe.store.writing import TEXT

_MATCHING = "SELECT rowid FROM words WHERE words MATCH ? UNION ALL SELECT rowid FROM temp.tail WHERE tail MATCH ?"


class Words:
    """Searches over one connection; what is not indexed yet, it indexes for itself, in a table of its own."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._to: int | None = None

    def having(self, text: str) -> Condition:
        """Calls whose records have all these words, in any order; ``begin*`` means words that begin so."""
        self._read_tail()
        query = " ".join(map(_phrase, text.split()))
        return f"calls.id IN ({_MATCHING})", (query, query)

    def _read_tail(self) -> None:
        connection = self._connection
        if self._to is None:
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("CREATE VIRTUAL TABLE temp.tail USING fts5 (text, columnsize=0)")
            self._to = 0
        (worded,) = connection.execute("SELECT value FROM marks WHERE name = 'worded'").fetchone()
        (newest,) = connection.execute("SELECT coalesce(max(id), 0) FROM records").fetchone()
        connection.execute("DELETE FROM temp.tail WHERE rowid <= ?", (worded,))
        after = max(worded, self._to)
        if newest > after:
            connection.execute(
                f"INSERT INTO temp.tail (rowid, text) SELECT id, {TEXT} FROM records WHERE id > ? AND id <= ?",  # noqa: S608
                (after, newest),
            )
            self._to = newest


def _phrase(word: str) -> str:
    """A word in FTS5's language, where nothing in it is an operator."""
    word = word.replace("\0", "").encode("utf-8", "replace").decode()
    starts = word.endswith("*") and len(word) > 1
    quoted = '"' + word.removesuffix("*" if starts else "").replace('"', '""') + '"'
    return quoted + "*" if starts else quoted
