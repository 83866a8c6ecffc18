"""Budgets that outlive the process, and that replicas share: spent here against leases of the vault's accounts.

A lease counts as spent until it is given back, so that two replicas never spend the same, and one that dies forgets
nothing. Calls wait for the vault only where the lease does not cover them: more is asked for ahead of need, in one
request for all accounts; what calls came to is written down a few times a second. A window that ends takes its leases
with it. What a replica lacks while others have leases of it is told to them (``wanted.py``), and they give back what no
call under way has reserved. Where the vault is away, what is leased is spent; then calls are refused.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import suppress
from typing import Any

from msgspec import structs

from gateway import model
from gateway.errors import StoreUnavailable
from gateway.model import BudgetClaim, Hold
from gateway.model.standing import Standing
from gateway.ports import Board, Clock, Vault
from gateway.stores.accounts import Account
from gateway.stores.budgets import UNAVAILABLE, sufficient, window_text
from gateway.stores.lease import NEVER, Lease, frees_at
from gateway.stores.unwritten import Unwritten
from gateway.stores.waiting import Line, WaitingBudgets
from gateway.stores.wanted import Key, Wanted

FLUSH = 0.2
"""Seconds after which what calls came to is written down."""
IDLE, IDLE_DRY = 10.0, 1.0
"""Seconds without a call after which a lease is given back; the latter where others may be in need of it."""
AGAIN = 0.2
"""Seconds after which the vault is asked again for what other replicas had leased."""
AWAY = 1.0
"""Seconds for which a vault that is away is not asked."""
STALE = 1.0
"""Seconds after which it is asked anew what a rolling window still holds."""
PATIENCE = 5.0
"""Seconds that a call waits for the vault's answer at most, where its budget lets none wait."""
PART = 8
"""A lease is an eighth of the limit at most, if no call needs more."""
THIN = 1000
"""A lease of less than a thousandth of the limit is thin: the account runs dry."""
MOST_ENTRIES = 100_000
"""Calls whose cost waits to be written down. The vault is away for long where there are more: leases are long spent."""

log = logging.getLogger("toolgate.budgets")


class LeasedBudgets(WaitingBudgets):
    """``holder`` is this replica's name in the vault, ``board`` that of all replicas. ``close`` must be awaited at the
    end."""

    _alone = False

    def __init__(self, wall: Clock, clock: Clock, vault: Vault, holder: str, board: Board) -> None:
        super().__init__(wall, clock)
        self._vault, self._holder = vault, holder
        self._shared_wants = Wanted(board, holder, clock, self._called)
        self._leased: set[Account] = set()
        """Those of which something is leased."""
        self._unwritten = Unwritten(vault, holder, wall)
        self._wants: dict[Account, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking = self._flushing = self._sweeping = False
        self._away_until = NEVER
        self._closing = asyncio.Event()

    # -- what is left --------------------------------------------------------------------------------------------

    def state_of(self, account: Account) -> tuple[int, int, int]:
        """As the vault last said, with what was spent here since."""
        lease = self._lease(account)
        spent = lease.spent
        if account.settings.window == "rolling" and self._clock() - lease.heard > STALE:
            spent = 0  # some of it may have rolled out of the window: the vault knows
        spendable = account.settings.limit - spent - lease.pending
        room = lease.amount - account.reserved
        return spendable, room, max(room, account.settings.limit - lease.spent - lease.leased + room)

    def _ends(self, account: Account) -> float:
        lease, settings = self._lease(account), account.settings
        if settings.window != "rolling":
            return lease.ends
        if not lease.frees and lease.pending:  # the vault will know of it in a moment
            return frees_at(lease.account, self.wall())
        return lease.frees

    def _lease(self, account: Account) -> Lease:
        lease: Lease | None = account.lease
        settings = account.settings
        if lease is None:
            kept = model.Account(account.key, settings.limit, settings.window, settings.seconds)
            lease = account.lease = Lease(kept)
        elif lease.account.limit != settings.limit:
            lease.account = structs.replace(lease.account, limit=settings.limit)
        lease.roll(self.wall())
        return lease

    def look(self, claim: BudgetClaim, now: float) -> Hold:
        """By what is leased."""
        hold = super().look(claim, now)
        if hold.granted or now >= self._away_until:
            return hold
        return structs.replace(hold, state=UNAVAILABLE)

    def foresee(self, claim: BudgetClaim, now: float) -> Hold:
        """Granted too where a lease may be had."""
        hold = self.look(claim, now)
        if hold.granted or hold.state == UNAVAILABLE:
            return hold
        spendable = self.state_of(self.accounts.of(claim))[0]
        return structs.replace(hold, granted=sufficient(claim, spendable) <= spendable)

    # -- leases --------------------------------------------------------------------------------------------------

    def _patience(self, claim: BudgetClaim) -> float:
        return claim.settings.wait or PATIENCE

    def _worth(self, account: Account, lacking: int, now: float) -> bool:
        if lacking <= 0:
            return True
        if now < self._away_until:
            return False
        # Who may not wait for other calls waits for the vault's answer only.
        return bool(account.settings.wait) or self._may_give(account, lacking, now)

    def _may_give(self, account: Account, lacking: int, now: float) -> bool:
        """Whether the vault may have so much: it had, or it was asked long ago."""
        lease = self._lease(account)
        return lacking <= lease.free or now - lease.dry_at >= AGAIN

    def _ahead(self, account: Account, room: int) -> None:
        lease = self._lease(account)
        lease.used = now = self._clock()
        low = room < account.settings.limit // (4 * PART) and now - lease.thin_at > AWAY and now >= self._away_until
        if low and not self._shared_wants.elsewhere(account.key):
            self._ask(account, 0)

    def _wanted(self, account: Account) -> None:
        if self._may_give(account, self._lacking(account), self._clock()):
            self._ask_for_first(account)

    def _lacking(self, account: Account) -> int:
        """What the first in line needs beyond the lease; 0 where nobody waits."""
        line: Line | None = account.waiting
        if line is None or not line.waiters:
            return 0
        spendable, room, _ = self.state_of(account)
        return max(1, sufficient(line.waiters[0].claim, spendable) - room + line.promised)

    def _ask_for_first(self, account: Account) -> None:
        if lacking := self._lacking(account):
            self._ask(account, lacking)

    def _ask(self, account: Account, least: int) -> None:
        """Have the vault asked in this turn of the loop, together with what else is wanted."""
        lease = self._lease(account)
        if lease.asked:
            return
        lease.asked = True
        self._wants[account] = least
        if not self._asking:
            self._asking = True
            self._start(self._fetch())

    async def _fetch(self) -> None:
        try:
            while self._wants:
                await asyncio.sleep(0)
                wants, self._wants = self._wants, {}
                await self._lease_all(wants)
        finally:
            self._asking = False

    async def _lease_all(self, wants: dict[Account, int]) -> None:
        at = self.wall()
        answers: Sequence[model.Lease] = ()
        try:
            if surplus := [each for account in wants if (each := self._surplus(account, wants))]:
                await self._vault.give_back(self._holder, surplus, at)
            asked = [
                model.Want(self._lease(account).account, max(1, least), self._wish(account, least))
                for account, least in wants.items()
            ]
            answers = await self._vault.lease(self._holder, asked, at)
            self._answered()
        except StoreUnavailable as error:
            self._lost(error)
        finally:  # whatever broke: an account that is not marked so is never asked for again
            for account in wants:
                self._lease(account).asked = False
        for account, answer in zip(wants, answers, strict=False):
            self._granted(account, answer)
            self._tell_of(account, answer, wants[account])
        for account in wants:
            self._wake(account)
            lacking = self._lacking(account)
            if lacking and self._may_give(account, lacking, self._clock()):
                self._ask(account, lacking)
            elif lacking:
                asyncio.get_running_loop().call_later(AGAIN, self._ask_for_first, account)

    def _surplus(self, account: Account, wants: dict[Account, int]) -> tuple[model.Account, int] | None:
        """What is leased and too little for the first in line, where the vault had no more: it is given back, and asked
        for anew with the rest. Otherwise two replicas could hold what either lacks."""
        lease = self._lease(account)
        unused = lease.amount - account.reserved
        if unused <= 0 or lease.dry_at != lease.heard or not self._lacking(account):
            return None
        lease.amount -= unused
        wants[account] += unused
        return lease.account, unused

    def _tell_of(self, account: Account, answer: model.Lease, least: int) -> None:
        """Tell the others where a call lacks what they may have leased and not spent."""
        lease = self._lease(account)
        theirs = answer.leased - lease.amount - lease.pending
        if answer.granted:
            self._shared_wants.had(account.key)
        elif least and theirs > 0 and least <= account.settings.limit - answer.spent - answer.leased + theirs:
            self._shared_wants.want(account.key)

    def _called(self, keys: frozenset[Key]) -> None:
        """Another replica wants these."""
        if not self._closing.is_set() and (called := [each for each in self._leased if each.key in keys]):
            self._start(self._give_back(called))

    def _wish(self, account: Account, least: int) -> int:
        line: Line | None = account.waiting
        waiting = sum(waiter.claim.amount for waiter in line.waiters) if line is not None else 0
        ahead = 0 if self._shared_wants.elsewhere(account.key) else account.settings.limit // PART
        return max(1, least, ahead, waiting)

    def _granted(self, account: Account, answer: model.Lease) -> None:
        lease = self._lease(account)
        lease.spent, lease.leased, lease.ends, lease.frees = answer.spent, answer.leased, answer.ends, answer.frees
        lease.amount += answer.granted
        self._leased.add(account)
        lease.free = max(0, account.settings.limit - answer.spent - answer.leased)
        lease.used = lease.heard = self._clock()
        if not answer.granted:
            lease.dry_at = lease.used
        if answer.granted * THIN < account.settings.limit:
            lease.thin_at = lease.used
        if not self._sweeping:
            self._sweeping = True
            self._start(self._sweep())

    def _lost(self, error: StoreUnavailable) -> None:
        if self._away_until == NEVER:
            log.warning("the store of budgets is away (%s): what is leased is spent, then calls are refused", error)
        self._away_until = self._clock() + AWAY

    def _answered(self) -> None:
        if self._away_until != NEVER:
            log.info("the store of budgets is back")
        self._away_until = NEVER

    async def all_standings(self) -> list[Standing]:
        """As the vault has it. Raises StoreUnavailable."""
        soft = {account.key for account in self.accounts if not account.settings.hard}
        found = []
        for balance in await self._vault.balances(self.wall()):
            account, (name, unit, *key) = balance.account, balance.account.key
            named = (name, unit, tuple(key), window_text(account.window, account.seconds))
            amounts = (account.limit, balance.spent, balance.leased, balance.ends)
            found.append(Standing(*named, *amounts, account.key not in soft, True))
        return found

    # -- what calls came to --------------------------------------------------------------------------------------

    def _charge(self, account: Account, claim: BudgetClaim, amount: int) -> None:
        lease = self._lease(account)
        lease.used = self._clock()
        if not amount:
            return
        lease.amount -= amount
        lease.pending += amount
        if len(self._unwritten) >= MOST_ENTRIES:
            log.error("budget %s: %d are not written down, the store is away for too long", account.key[0], amount)
            return
        self._unwritten.add(lease, model.Entry(lease.account, claim.call, amount))
        if not self._flushing:
            self._flushing = True
            self._start(self._flush_later())

    async def _flush_later(self) -> None:
        try:
            while self._unwritten:
                await self._pause(FLUSH if self._clock() >= self._away_until else AWAY)
                if self._closing.is_set():
                    break
                await self.flush()
        finally:
            self._flushing = False

    async def flush(self) -> None:
        """Write down now what calls came to; it is kept where the vault is away."""
        try:
            if await self._unwritten.write():
                self._answered()
        except StoreUnavailable as error:
            self._lost(error)

    # -- giving back ---------------------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        """Give leases back that nobody spends. Ends with the last lease."""
        try:
            while self._leased:
                await self._pause(IDLE_DRY)
                if self._closing.is_set():
                    break
                now = self._clock()
                await self._give_back(
                    account for account in self._leased if now - account.lease.used >= self._idle(account)
                )
        finally:
            self._sweeping = False

    def _idle(self, account: Account) -> float:
        if self._shared_wants.elsewhere(account.key):
            return 0.0
        lease = self._lease(account)
        scarce = account.settings.limit - lease.spent - lease.leased < account.settings.limit // PART
        return IDLE_DRY if scarce else IDLE

    async def _give_back(self, accounts: Iterable[Account]) -> None:
        amounts: list[tuple[model.Account, int]] = []
        for account in list(accounts):
            lease = self._lease(account)
            if account.waiting is not None and (account.waiting.waiters or account.waiting.promises):
                continue
            unused = lease.amount - account.reserved
            if unused > 0:
                amounts.append((lease.account, unused))
                lease.leased = max(0, lease.leased - unused)
                lease.amount -= unused
            if not account.holds:
                self._leased.discard(account)
        if amounts:
            try:
                await self._vault.give_back(self._holder, amounts, self.wall())
            except StoreUnavailable as error:
                self._lost(error)  # they are forfeited with the window, or with this process

    async def close(self) -> None:
        """Write down what calls came to, and give back what is left. Nothing is reserved after this."""
        self._closing.set()
        await self._shared_wants.close()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=PATIENCE)
        await self.flush()
        await self._give_back(self._leased)
        if self._unwritten:
            log.error("%d costs of calls could not be written down: their leases count as spent", len(self._unwritten))

    async def _pause(self, seconds: float) -> None:
        """Sleep, but not beyond ``close``."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)

    def _start(self, doing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
