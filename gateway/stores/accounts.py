"""Accounts of budgets in memory: what was spent, and what calls under way have reserved."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from gateway.model import BudgetClaim, BudgetSettings
from gateway.stores.windows import spending

MOST = 20_000
"""Accounts of one budget. Agents may choose what a budget counts by (runs, operations): beyond, one is forgotten, of
those that have spent least the one that was used least recently. So whoever wants it forgotten what a key has spent
must spend about as much on each of so many others."""

_SPENT, _IN_USE = 11, 12
"""Levels of accounts: 0 where nothing is spent, one more for each doubling of what is, from a thousandth of the limit
on to all of it; and those that a call under way has reserved of, or waits for."""
_STEPS = 64
"""Accounts that are looked at for one to forget; where none of them can be, there is one too many for a while."""

Name = tuple[str, str, str, float]


class Account:
    """One key of a budget. Amounts are whole: micro-dollars, tokens, calls."""

    __slots__ = ("holds", "key", "lease", "level", "reserved", "settings", "spending", "waiting")

    def __init__(self, key: tuple[str, ...], settings: BudgetSettings) -> None:
        self.key, self.settings = key, settings
        self.spending = spending(settings.window, settings.seconds)
        self.holds: dict[str, int] = {}
        """What each call under way has reserved, by its id."""
        self.reserved = 0
        self.waiting: Any = None
        """Of budgets that calls wait for: see ``waiting.py``."""
        self.level = 0
        """As it was when it was last looked at for one to forget."""
        self.lease: Any = None
        """Of budgets that are leased: see ``leases.py``."""

    def level_at(self, at: float) -> int:
        """How much keeps it from being forgotten."""
        if self.holds or (self.waiting is not None and self.waiting.waiters):
            return _IN_USE
        self.spending.roll(at)
        return min(_SPENT, (self.spending.spent * 1024 // max(1, self.settings.limit)).bit_length())

    @property
    def least_room(self) -> int:
        """What can be reserved at least: where a window has ended since something was spent, it is more."""
        return self.settings.limit - self.spending.spent - self.reserved


class _Table:
    """The accounts of one budget, by key; and by level, the one that was used least recently first."""

    __slots__ = ("accounts", "levels")

    def __init__(self) -> None:
        self.accounts: dict[tuple[str, ...], Account] = {}
        self.levels: list[OrderedDict[tuple[str, ...], Account]] = [OrderedDict() for _ in range(_IN_USE + 1)]

    def add(self, account: Account) -> None:
        self.accounts[account.key] = account
        self.levels[account.level][account.key] = account

    def forget_one(self, at: float) -> Account | None:
        """The one that is forgotten; None where that may take longer to find, or all are in use."""
        for kept in self.levels[1:]:
            if kept:  # a window may have ended since it was put here
                self._move(next(iter(kept.values())), at)
        for _ in range(_STEPS):
            account = next(iter(next(filter(None, self.levels)).values()))
            if account.level < _IN_USE and account.level_at(at) <= account.level:
                del self.accounts[account.key], self.levels[account.level][account.key]
                return account
            self._move(account, at)
        return None

    def _move(self, account: Account, at: float) -> None:
        del self.levels[account.level][account.key]
        account.level = account.level_at(at)
        self.levels[account.level][account.key] = account


class Accounts:
    """All accounts, by budget and key. A budget with another window or unit is another budget."""

    def __init__(self, wall: Callable[[], float], most: int = MOST) -> None:
        """``wall`` gives seconds since the epoch."""
        self._wall, self._most = wall, most
        self._tables: dict[Name, _Table] = {}
        self._latest: dict[tuple[str, ...], tuple[Account, _Table]] = {}
        """The account that was last asked for by each key, and the table that it is in: nearly always the right one."""

    def of(self, claim: BudgetClaim) -> Account:
        """The account that the claim is on; a new one where there is none."""
        key = claim.key
        latest = self._latest.get(key)
        if latest is None or latest[0].settings is not claim.settings:
            latest = self._latest[key] = self._find(claim)
        account, table = latest
        table.levels[account.level].move_to_end(key)
        return account

    def known(self, claim: BudgetClaim) -> Account:
        """The same, right after it was asked for: this is no use of its own."""
        latest = self._latest.get(claim.key)
        return latest[0] if latest is not None and latest[0].settings is claim.settings else self.of(claim)

    def _find(self, claim: BudgetClaim) -> tuple[Account, _Table]:
        settings = claim.settings
        name = (claim.guard, settings.unit, settings.window, settings.seconds)
        table = self._tables.get(name)
        if table is None:
            table = self._tables[name] = _Table()
        account = table.accounts.get(claim.key)
        if account is None:
            if len(table.accounts) >= self._most:
                self._make_room(table)
            account = Account(claim.key, settings)
            table.add(account)
        elif account.settings is not settings:
            account.settings = settings  # the limit may be another since a reload
        return account, table

    def _make_room(self, table: _Table) -> None:
        at = self._wall()
        while len(table.accounts) >= self._most and (account := table.forget_one(at)) is not None:
            latest = self._latest.get(account.key)
            if latest is not None and latest[0] is account:
                del self._latest[account.key]

    def __iter__(self) -> Iterator[Account]:
        return (account for table in list(self._tables.values()) for account in list(table.accounts.values()))

    def __len__(self) -> int:
        return sum(len(table.accounts) for table in self._tables.values())
