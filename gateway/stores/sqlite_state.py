"""State in one SQLite file. A second process on the same file is another holder: safe, by transactions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from sqlite3 import Connection

from gateway.errors import StoreUnavailable
from gateway.model import Account, Balance, Draw, Drawn, Entry, Lease, Want
from gateway.ports import Board, Cabinet, Coherence, Shelf, Vault
from gateway.stores import sqlite_accounts as accounts
from gateway.stores.board_copy import BoardCopy, Told
from gateway.stores.coherence import CoherenceBook
from gateway.stores.holders import DEAD_AFTER, Holder, lives, new_holder, this_process
from gateway.stores.sqlite_cabinet import SqliteCabinet
from gateway.stores.sqlite_file import SqliteFile
from gateway.stores.sqlite_shelf import SqliteShelf
from gateway.stores.ticking import Ticker

TICK = 0.25
"""Seconds between two looks for what other processes wrote."""
HEARTBEAT = 5.0
"""Seconds between two signs of life."""


class SqliteVault:
    """ports.Vault over a file."""

    def __init__(self, file: SqliteFile, wall: Callable[[], float]) -> None:
        self._file, self._wall = file, wall

    async def lease(self, holder: str, wants: Sequence[Want], now: float) -> Sequence[Lease]:
        """Set aside for each want what is left of its account."""
        return await self._file.run(lambda connection: accounts.lease(connection, holder, wants, now))

    async def settle(self, holder: str, entries: Sequence[Entry], now: float) -> None:
        """Write down what calls came to, each once."""
        await self._file.run(lambda connection: accounts.settle(connection, holder, entries, now))

    async def give_back(self, holder: str, amounts: Sequence[tuple[Account, int]], now: float) -> None:
        """What was leased and will not be spent."""
        await self._file.run(lambda connection: accounts.give_back(connection, holder, amounts, now))

    async def balances(self, now: float) -> Sequence[Balance]:
        """Every account with something spent or leased in its present window."""
        return await self._file.run(lambda connection: accounts.balances(connection, now))

    async def draw(self, wants: Sequence[Draw], now: float) -> Sequence[Drawn]:  # noqa: ARG002 - all go by one clock
        """Take tokens out of shared buckets."""
        return await self._file.run(lambda connection: accounts.take(connection, wants, self._wall()))

    async def forfeit(self, holder: str, now: float) -> None:
        """What a holder that has died had leased is spent."""
        await self._file.run(lambda connection: accounts.forfeit(connection, holder, now))


class SqliteBoard:
    """ports.Board over a file."""

    def __init__(self, file: SqliteFile, wall: Callable[[], float]) -> None:
        self._file, self._wall = file, wall
        self._copy = BoardCopy(wall)
        self._version = -1

    def entries(self, kind: str) -> Mapping[str, bytes]:
        """What stands now, by key."""
        return self._copy.entries(kind)

    async def post(self, kind: str, key: str, value: bytes, seconds: float = 0.0) -> None:
        """Let it stand for so long; 0 is for ever. It is on disk when this returns."""
        if not self._copy.has_room(kind, key):
            raise StoreUnavailable(f"the board is full of {kind}")
        until = self._wall() + seconds if seconds else 0.0
        row = (kind, key, value, until)
        await self._file.run(
            lambda connection: connection.execute("INSERT OR REPLACE INTO board VALUES (?,?,?,?)", row)
        )
        self._copy.put(kind, key, value, until)

    async def remove(self, kind: str, key: str) -> bool:
        """Whether there was one."""
        sql = "DELETE FROM board WHERE kind = ? AND key = ? AND (until = 0 OR until > ?)"
        row = (kind, key, self._wall())
        removed = await self._file.run(lambda connection: connection.execute(sql, row).rowcount)
        self._copy.drop(kind, key)
        return removed > 0

    def watch(self, kind: str, told: Told) -> None:
        """Be told of each change from now on."""
        self._copy.watch(kind, told)

    async def seize(self, key: str, seconds: float) -> bool:
        """Whether nobody else has it now."""
        now = self._wall()
        sql = (
            "INSERT INTO seized VALUES (?, ?) ON CONFLICT DO UPDATE SET until = excluded.until WHERE seized.until <= ?"
        )
        return await self._file.run(lambda c: c.execute(sql, (key, now + seconds, now)).rowcount) > 0

    async def follow(self) -> None:
        """Read the board where somebody else has written to the file."""
        self._copy.expire()
        self._version, rows = await self._file.run(self._changed)
        if rows is not None:
            for kind in {*self._copy.kinds(), *(row[0] for row in rows)}:
                self._copy.replace(kind, [row[1:] for row in rows if row[0] == kind])

    def _changed(self, connection: Connection) -> tuple[int, list[tuple[str, str, bytes, float]] | None]:
        version = connection.execute("PRAGMA data_version").fetchone()[0]
        if version == self._version:
            return version, None
        rows = "SELECT kind, key, value, until FROM board WHERE until = 0 OR until > ?"
        return version, connection.execute(rows, (self._wall(),)).fetchall()


class SqliteState:
    """ports.State in a file. Not shared: rate limits stay those of this process, which does not wait for a disk."""

    shared = False

    def __init__(self, path: str, wall: Callable[[], float]) -> None:
        """``wall`` gives seconds since the epoch."""
        self._path, self._wall = path, wall
        self._file = SqliteFile(path)
        self._board = SqliteBoard(self._file, wall)
        self.vault: Vault | None = SqliteVault(self._file, wall)
        self.board: Board = self._board
        self.cabinet: Cabinet = SqliteCabinet(self._file, wall)
        self._shelf = SqliteShelf(self._file, wall)
        self.shelf: Shelf = self._shelf
        self.coherence: Coherence = CoherenceBook(wall)
        self.holder = new_holder()
        self.replicas = 1
        self._beat_at = 0.0
        self._ticker = Ticker(TICK, self._tick)

    async def start(self) -> None:
        """Open the file, forfeit what dead processes had leased, read the board. In a file that may have been set
        back, and that no other process knows, the shared memory begins a new life."""
        await self._file.open()
        await self._shelf.start(whole=self._file.whole or await self._file.run(_is_open_elsewhere))
        await self._beat()
        await self._board.follow()
        self._ticker.start()

    async def close(self) -> None:
        """What is still leased is given up as spent; whoever wants it back gives it back before."""
        await self._ticker.stop()
        await self._file.close()

    def status(self) -> Mapping[str, object]:
        """Available unless the last thing that was done with the file went wrong."""
        told: dict[str, object] = {"url": f"sqlite:///{self._path}", "available": not self._file.error}
        return {**told, "error": self._file.error} if self._file.error else told

    async def _tick(self) -> None:
        try:
            await self._board.follow()
            if time.monotonic() >= self._beat_at:
                await self._beat()
        except StoreUnavailable:
            return  # ``status`` tells of it

    async def _beat(self) -> None:
        self._beat_at = time.monotonic() + HEARTBEAT
        self.replicas = await self._file.run(self._look_around)

    def _look_around(self, connection: Connection) -> int:
        now, own = self._wall(), this_process()
        connection.execute(
            "INSERT OR REPLACE INTO holders VALUES (?, ?, ?, ?, ?)", (self.holder, own.node, own.pid, own.started, now)
        )
        living = 0
        for name, node, pid, started, seen in connection.execute("SELECT * FROM holders").fetchall():
            alive = lives(Holder(node, pid, started))
            if alive is False or (alive is None and seen < now - DEAD_AFTER):
                accounts.forfeit(connection, name, now)
            else:
                living += 1
        accounts.tidy(connection, now)
        return living


def _is_open_elsewhere(connection: Connection) -> bool:
    own = this_process()
    rows = connection.execute("SELECT node, pid, started FROM holders").fetchall()
    return any(lives(holder) for row in rows if (holder := Holder(*row)) != own)
