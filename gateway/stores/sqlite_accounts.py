"""What is written to a SQLite file about accounts. Each function runs inside a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from sqlite3 import Connection

import msgspec

from gateway.model import Account, Balance, Draw, Drawn, Entry, Lease, Want
from gateway.stores.bucket import draw
from gateway.stores.leasing import Window, frees, granted, retires, window_of

KEEP = 35 * 86400.0
"""Seconds for which windows that have ended, and lines of the ledger, are kept."""
MOST_LINES = 5_000_000
"""Lines of the ledger that are kept."""
_SWEEP = 2_000
"""Rows of a table that are deleted at once, so that nobody waits long."""


def lease(connection: Connection, holder: str, wants: Sequence[Want], now: float) -> list[Lease]:
    """Set aside for each want what is left of its account."""
    leases = []
    for want in wants:
        row, window = _opened(connection, want.account, now)
        spent, leased = _spent(connection, row, window), _leased(connection, row)
        amount = granted(want.account.limit - spent - leased, want.least, want.wish)
        if amount:
            connection.execute(
                "INSERT INTO leases VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
                (row, holder, amount),
            )
        leases.append(Lease(amount, spent, leased + amount, window.ends, _frees(connection, row, want.account, window)))
    return leases


def settle(connection: Connection, holder: str, entries: Sequence[Entry], now: float) -> None:
    """Write down what calls came to, each once."""
    for entry in entries:
        row, window = _opened(connection, entry.account, now)
        if _line(connection, row, entry.call, holder, entry.spent, now, "settled"):
            _spend(connection, row, window, entry.spent)
            _lower(connection, row, holder, entry.spent)


def give_back(connection: Connection, holder: str, amounts: Sequence[tuple[Account, int]], now: float) -> None:
    """What was leased and will not be spent."""
    for account, amount in amounts:
        row, _ = _opened(connection, account, now)
        _lower(connection, row, holder, amount)


def forfeit(connection: Connection, holder: str, now: float) -> None:
    """What a holder that has died had leased is spent, by lines of its own."""
    found = connection.execute(
        "SELECT a.id, a.account, a.instance, l.amount FROM leases l JOIN accounts a ON a.id = l.account"
        " WHERE l.holder = ?",
        (holder,),
    ).fetchall()
    for row, account, instance, amount in found:
        window = window_of(msgspec.json.decode(account, type=Account), now)
        _spend(connection, row, window if window.instance == instance else Window(instance), amount)
        _line(connection, row, None, holder, amount, now, "forfeited")
    connection.execute("DELETE FROM leases WHERE holder = ?", (holder,))
    connection.execute("DELETE FROM holders WHERE name = ?", (holder,))


def balances(connection: Connection, now: float) -> list[Balance]:
    """Every account with something spent or leased in its present window."""
    found = []
    for row, written, instance in connection.execute("SELECT id, account, instance FROM accounts"):
        account = msgspec.json.decode(written, type=Account)
        window = window_of(account, now)
        if window.instance == instance:
            spent, leased = _spent(connection, row, window), _leased(connection, row)
            if spent or leased:
                found.append(Balance(account, spent, leased, window.ends))
    return found


def take(connection: Connection, wants: Sequence[Draw], now: float) -> list[Drawn]:
    """Take tokens out of shared buckets."""
    found = []
    for want in wants:
        key = _text(want.key)
        kept = connection.execute("SELECT full_at FROM buckets WHERE key = ?", (key,)).fetchone()
        full_at, drawn = draw(kept[0] if kept else 0.0, want, now)
        connection.execute("INSERT OR REPLACE INTO buckets VALUES (?, ?)", (key, full_at))
        found.append(drawn)
    return found


def tidy(connection: Connection, now: float) -> None:
    """Forget what says nothing any more, a part at a time."""
    gone = connection.execute(
        "SELECT id FROM accounts WHERE retires > 0 AND retires < ? LIMIT ?", (now, _SWEEP)
    ).fetchall()
    for table, column in (("spent", "account"), ("leases", "account"), ("ledger", "account"), ("accounts", "id")):
        connection.executemany(f"DELETE FROM {table} WHERE {column} = ?", gone)  # noqa: S608 - names from above
    connection.execute(
        "DELETE FROM ledger WHERE id IN (SELECT id FROM ledger ORDER BY id LIMIT ?)"
        " AND (at < ? OR id <= (SELECT MAX(id) FROM ledger) - ?)",
        (_SWEEP, now - KEEP, MOST_LINES),
    )
    connection.execute("DELETE FROM buckets WHERE full_at < ?", (now,))
    connection.execute("DELETE FROM seized WHERE until < ?", (now,))
    connection.execute("DELETE FROM board WHERE until > 0 AND until < ?", (now,))


def _opened(connection: Connection, account: Account, now: float) -> tuple[int, Window]:
    """The row of the account's window at ``now``, made where there is none."""
    window, key, written = window_of(account, now), _text(account.key), msgspec.json.encode(account).decode()
    found = connection.execute(
        "INSERT INTO accounts (key, instance, account, retires) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
        " SET account = excluded.account, retires = excluded.retires RETURNING id",
        (key, window.instance, written, retires(account, window, now, KEEP)),
    ).fetchone()
    return found[0], window


def _spent(connection: Connection, row: int, window: Window) -> int:
    sql = "SELECT COALESCE(SUM(amount), 0) FROM spent WHERE account = ? AND slot >= ?"
    return int(connection.execute(sql, (row, window.first)).fetchone()[0])


def _frees(connection: Connection, row: int, account: Account, window: Window) -> float:
    if not window.first:
        return 0.0
    sql = "SELECT MIN(slot) FROM spent WHERE account = ? AND slot >= ? AND amount > 0"
    oldest = connection.execute(sql, (row, window.first)).fetchone()[0]
    return 0.0 if oldest is None else frees(account, oldest)


def _leased(connection: Connection, row: int) -> int:
    sql = "SELECT COALESCE(SUM(amount), 0) FROM leases WHERE account = ?"
    return int(connection.execute(sql, (row,)).fetchone()[0])


def _spend(connection: Connection, row: int, window: Window, amount: int) -> None:
    connection.execute(
        "INSERT INTO spent VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
        (row, window.slot, amount),
    )
    if window.first:
        connection.execute("DELETE FROM spent WHERE account = ? AND slot < ?", (row, window.first))


def _lower(connection: Connection, row: int, holder: str, amount: int) -> None:
    connection.execute(
        "UPDATE leases SET amount = MAX(0, amount - ?) WHERE account = ? AND holder = ?", (amount, row, holder)
    )


def _line(connection: Connection, row: int, call: str | None, holder: str, spent: int, now: float, what: str) -> bool:
    """Whether there was no line of that call and account yet."""
    added = connection.execute(
        "INSERT OR IGNORE INTO ledger (at, account, call, holder, spent, what) VALUES (?, ?, ?, ?, ?, ?)",
        (now, row, call, holder, spent, what),
    )
    return added.rowcount == 1


def _text(key: Iterable[str]) -> str:
    return msgspec.json.encode(list(key)).decode()
