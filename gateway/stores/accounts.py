"""Accounts of budgets in memory: what was spent, and what calls under way have reserved."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from gateway.model import BudgetClaim, BudgetSettings
from gateway.stores.windows import spending

MOST = 20_000
"""Accounts of one budget. Agents may choose what a budget counts by (runs): beyond, the one that was used least
recently is forgotten, if no call under way has reserved of it."""

Table = tuple[str, str, str, float]


class Account:
    """One key of a budget. Amounts are whole: micro-dollars, tokens, calls."""

    __slots__ = ("holds", "key", "lease", "reserved", "settings", "spending", "waiting")

    def __init__(self, key: tuple[str, ...], settings: BudgetSettings) -> None:
        self.key, self.settings = key, settings
        self.spending = spending(settings.window, settings.seconds)
        self.holds: dict[str, int] = {}
        """What each call under way has reserved, by its id."""
        self.reserved = 0
        self.waiting: Any = None
        """Of budgets that calls wait for: see ``waiting.py``."""
        self.lease: Any = None
        """Of budgets that are leased: see ``leases.py``."""

    def spendable(self, at: float) -> int:
        """What is left if no call under way spends anything. Below 0 where calls cost more than was foreseen."""
        self.spending.roll(at)
        return self.settings.limit - self.spending.spent

    def reserve(self, call: str, amount: int) -> None:
        """Set so much aside for the call."""
        self.holds[call] = self.holds.get(call, 0) + amount
        self.reserved += amount

    def free(self, call: str) -> int | None:
        """What was set aside for the call, no longer; None where nothing is."""
        amount = self.holds.pop(call, None)
        if amount is not None:
            self.reserved -= amount
        return amount


class Accounts:
    """All accounts, by budget and key. A budget with another window or unit is another budget."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._tables: dict[Table, OrderedDict[tuple[str, ...], Account]] = {}
        self._latest: dict[tuple[str, ...], tuple[Account, OrderedDict[tuple[str, ...], Account]]] = {}
        """The account that was last asked for by each key, and the table that it is in: nearly always the right one."""

    def of(self, claim: BudgetClaim) -> Account:
        """The account that the claim is on; a new one where there is none."""
        key = claim.key
        latest = self._latest.get(key)
        if latest is None or latest[0].settings is not claim.settings:
            latest = self._latest[key] = self._find(claim)
        account, table = latest
        table.move_to_end(key)
        return account

    def _find(self, claim: BudgetClaim) -> tuple[Account, OrderedDict[tuple[str, ...], Account]]:
        settings = claim.settings
        name = (claim.guard, settings.unit, settings.window, settings.seconds)
        table = self._tables.get(name)
        if table is None:
            table = self._tables[name] = OrderedDict()
        account = table.get(claim.key)
        if account is None:
            account = table[claim.key] = Account(claim.key, settings)
            if len(table) > self._most:
                self._forget(table, claim.key)
        elif account.settings is not settings:
            account.settings = settings  # the limit may be another since a reload
        return account, table

    def _forget(self, table: OrderedDict[tuple[str, ...], Account], new: tuple[str, ...]) -> None:
        idle = next((key for key, account in table.items() if not account.holds and key != new), None)
        if idle is not None:
            account = table.pop(idle)
            latest = self._latest.get(idle)
            if latest is not None and latest[0] is account:
                del self._latest[idle]

    def __iter__(self) -> Iterator[Account]:
        return (account for table in list(self._tables.values()) for account in list(table.values()))

    def __len__(self) -> int:
        return sum(map(len, self._tables.values()))
