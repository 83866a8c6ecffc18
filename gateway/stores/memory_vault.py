"""Accounts and shared buckets in memory: the reference for every other vault."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.errors import StoreUnavailable
from gateway.model import Account, Balance, Draw, Drawn, Entry, Lease, Want
from gateway.stores.bucket import draw
from gateway.stores.leasing import Window, frees, granted, window_of

MOST = 100_000
"""Accounts, buckets, and ids of calls of one account, that are kept."""


class _Kept:
    """One window of one account."""

    __slots__ = ("account", "ends", "leased", "seen", "slots")

    def __init__(self, account: Account, ends: float) -> None:
        self.account, self.ends = account, ends
        self.slots: dict[int, int] = {}
        self.leased: dict[str, int] = {}
        self.seen: dict[str, None] = {}

    def spent(self, window: Window) -> int:
        return sum(amount for slot, amount in self.slots.items() if slot >= window.first)

    def frees(self, window: Window) -> float:
        counted = [slot for slot, amount in self.slots.items() if amount and slot >= window.first]
        return frees(self.account, min(counted)) if window.first and counted else 0.0

    def spend(self, window: Window, amount: int) -> None:
        self.slots[window.slot] = self.slots.get(window.slot, 0) + amount
        if len(self.slots) > 1:
            self.slots = {slot: spent for slot, spent in self.slots.items() if slot >= window.first}

    def remember(self, call: str) -> None:
        self.seen[call] = None
        if len(self.seen) > MOST:
            del self.seen[next(iter(self.seen))]

    def lower(self, holder: str, amount: int) -> None:
        left = self.leased.get(holder, 0) - amount
        if left > 0:
            self.leased[holder] = left
        else:
            self.leased.pop(holder, None)


class MemoryVault:
    """ports.Vault for one process. Each method runs through at once, so each is atomic on a loop."""

    def __init__(self, wall: Callable[[], float]) -> None:
        """``wall`` gives seconds since the epoch; buckets go by it."""
        self._wall = wall
        self._kept: dict[tuple[tuple[str, ...], str], _Kept] = {}
        self._full_at: dict[tuple[str, ...], float] = {}

    async def lease(self, holder: str, wants: Sequence[Want], now: float) -> Sequence[Lease]:
        """Set aside for each want what is left of its account."""
        return [self._lease(holder, want, now) for want in wants]

    async def settle(self, holder: str, entries: Sequence[Entry], now: float) -> None:
        """Write down what calls came to, each once."""
        for entry in entries:
            kept, window = self._at(entry.account, now)
            if entry.call not in kept.seen:
                kept.remember(entry.call)
                kept.spend(window, entry.spent)
                kept.lower(holder, entry.spent)

    async def give_back(self, holder: str, amounts: Sequence[tuple[Account, int]], now: float) -> None:
        """What was leased and will not be spent."""
        for account, amount in amounts:
            self._at(account, now)[0].lower(holder, amount)

    async def balances(self, now: float) -> Sequence[Balance]:
        """Every account with something spent or leased in its present window."""
        found = []
        for (_, instance), kept in self._kept.items():
            window = window_of(kept.account, now)
            spent, leased = kept.spent(window), sum(kept.leased.values())
            if window.instance == instance and (spent or leased):
                found.append(Balance(kept.account, spent, leased, window.ends))
        return found

    async def draw(self, wants: Sequence[Draw], now: float) -> Sequence[Drawn]:  # noqa: ARG002 - all go by one clock
        """Take tokens out of shared buckets."""
        return [self._draw(want) for want in wants]

    async def forfeit(self, holder: str, now: float) -> None:
        """What a holder that has died had leased is spent."""
        for kept in self._kept.values():
            amount = kept.leased.pop(holder, 0)
            if amount:
                kept.spend(window_of(kept.account, now), amount)

    def _lease(self, holder: str, want: Want, now: float) -> Lease:
        kept, window = self._at(want.account, now)
        spent, leased = kept.spent(window), sum(kept.leased.values())
        amount = granted(want.account.limit - spent - leased, want.least, want.wish)
        if amount:
            kept.leased[holder] = kept.leased.get(holder, 0) + amount
        return Lease(amount, spent, leased + amount, window.ends, kept.frees(window))

    def _at(self, account: Account, now: float) -> tuple[_Kept, Window]:
        window = window_of(account, now)
        kept = self._kept.get((account.key, window.instance))
        if kept is None:
            if len(self._kept) >= MOST:
                self._forget(now)
            kept = self._kept[account.key, window.instance] = _Kept(account, window.ends)
        kept.account = account
        return kept, window

    def _forget(self, now: float) -> None:
        self._kept = {key: kept for key, kept in self._kept.items() if not kept.ends or kept.ends > now}
        if len(self._kept) >= MOST:
            raise StoreUnavailable("too many accounts for memory; keep state in SQLite or Redis")

    def _draw(self, want: Draw) -> Drawn:
        now = self._wall()
        if len(self._full_at) >= MOST and want.key not in self._full_at:
            self._full_at = {key: at for key, at in self._full_at.items() if at > now}
        self._full_at[want.key], drawn = draw(self._full_at.get(want.key, 0.0), want, now)
        return drawn
