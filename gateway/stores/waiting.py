"""Budgets whose calls wait for each other: where only what calls under way have reserved stands in the way of a call,
it waits for them to end instead of being refused, in the order of arrival.

A call that waits for several accounts has the same number in all of their lines, so that no two can wait for each
other. What is freed is promised to the first in line, until it has taken it.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Awaitable
from itertools import count
from operator import attrgetter

from msgspec import structs

from gateway.model import BudgetClaim, Hold
from gateway.ports import Clock
from gateway.stores.accounts import Account
from gateway.stores.budgets import Budgets, sufficient

LONGEST = 2000
"""Calls that wait for one account at most."""

LINGER = 1.0
"""Seconds for which it is remembered that a call has waited as long as it may."""

PROMISE = 0.05
"""Seconds after which what was promised to a call that has gone is free again."""


class _Ticket:
    """A call that waits: its number, and until when."""

    __slots__ = ("deadline", "number", "over")

    def __init__(self, number: int, deadline: float) -> None:
        self.number, self.deadline = number, deadline
        self.over = False


class _Waiter:
    __slots__ = ("claim", "future", "number")

    def __init__(self, number: int, claim: BudgetClaim, future: asyncio.Future[None]) -> None:
        self.number, self.claim, self.future = number, claim, future


_BY_NUMBER = attrgetter("number")


class Line:
    """Who waits for an account, first come first; and what is promised to those whose turn it is."""

    __slots__ = ("promised", "promises", "waiters")

    def __init__(self) -> None:
        self.waiters: list[_Waiter] = []
        self.promises: dict[str, int] = {}
        self.promised = 0

    def promise(self, call: str, amount: int) -> None:
        """Set so much aside until the call has taken it."""
        self.promises[call] = amount
        self.promised += amount

    def redeem(self, call: str) -> None:
        """The call takes what was promised, or does not come for it."""
        self.promised -= self.promises.pop(call, 0)


class WaitingBudgets(Budgets):
    """``clock`` is the ledger's."""

    fetches = True
    _alone = True
    """Whether what is left of an account is what is known here."""

    async def close(self) -> None:
        """Nothing is reserved after this."""

    def __init__(self, wall: Clock, clock: Clock) -> None:
        super().__init__(wall)
        self._clock = clock
        self._numbers = count(1)
        self._tickets: dict[str, _Ticket] = {}

    def foresee(self, claim: BudgetClaim, now: float) -> Hold:
        """Granted too where it is worth waiting."""
        hold = self.look(claim, now)
        if hold.granted or not claim.settings.wait:
            return hold
        spendable = self.state_of(self.accounts.of(claim))[0]
        return structs.replace(hold, granted=True) if sufficient(claim, spendable) <= spendable else hold

    def missing(self, claim: BudgetClaim, now: float) -> Awaitable[None] | None:
        """Its turn, where others have reserved what this call needs."""
        account = self.accounts.known(claim)
        line: Line | None = account.waiting
        if line is None and self._alone and claim.amount <= account.least_room:
            return None
        if line is not None and claim.call in line.promises:
            line.redeem(claim.call)
            # Taken in this turn of the loop, or the next one's: the call may wait for another account, or be refused.
            asyncio.get_running_loop().call_soon(self._wake, account)
        spendable, room, _ = self.state_of(account)
        crowded = line is not None and (line.waiters or line.promised)
        if not claim.settings.hard or (claim.amount <= room and not crowded):
            self._ahead(account, room - claim.amount)
            return None
        if line is not None:
            room -= line.promised
        return self._must_wait(claim, account, spendable, room, now)

    def _ahead(self, account: Account, room: int) -> None:
        """So much room is left after the call that comes now."""

    def _must_wait(
        self, claim: BudgetClaim, account: Account, spendable: int, room: int, now: float
    ) -> Awaitable[None] | None:
        enough = sufficient(claim, spendable)
        if enough > spendable or not self._worth(account, enough - room, now):
            return None
        ticket = self._tickets.get(claim.call) or _Ticket(next(self._numbers), now + self._patience(claim))
        line = account.waiting = account.waiting or Line()
        first = not line.waiters or ticket.number < line.waiters[0].number
        if (enough <= room and first) or ticket.over or now >= ticket.deadline or len(line.waiters) >= LONGEST:
            return None
        self._tickets[claim.call] = ticket
        return self._wait(account, line, claim, ticket)

    def tidy(self, now: float) -> None:
        """Forget calls that have waited, the oldest first."""
        tickets = self._tickets
        while tickets:
            call = next(iter(tickets))
            if tickets[call].deadline + LINGER > now:
                break
            del tickets[call]

    def _patience(self, claim: BudgetClaim) -> float:
        return claim.settings.wait

    def _worth(self, account: Account, lacking: int, now: float) -> bool:  # noqa: ARG002
        """Whether so much may come of waiting."""
        return True

    async def _wait(self, account: Account, line: Line, claim: BudgetClaim, ticket: _Ticket) -> None:
        waiter = _Waiter(ticket.number, claim, asyncio.get_running_loop().create_future())
        insort(line.waiters, waiter, key=_BY_NUMBER)
        self._wake(account)  # something may have been freed since it was told to wait
        if not waiter.future.done():
            self._wanted(account)
        try:
            async with asyncio.timeout(max(0.0, ticket.deadline - self._clock())):
                await waiter.future
        except TimeoutError:
            ticket.over = True
        except asyncio.CancelledError:
            self._tickets.pop(claim.call, None)
            self._lapse(account, claim.call)
            raise
        finally:
            if waiter in line.waiters:
                line.waiters.remove(waiter)
                self._wake(account)

    def _wanted(self, account: Account) -> None:
        """Somebody waits for the account."""

    def _freed(self, account: Account) -> None:
        self._wake(account)

    def _wake(self, account: Account) -> None:
        """Call those whose turn it is, and those for whom there will be nothing."""
        line: Line | None = account.waiting
        if line is None:
            return
        spendable, room, _ = self.state_of(account)
        room -= line.promised
        now = self._clock()
        while line.waiters:
            waiter = line.waiters[0]
            enough = sufficient(waiter.claim, spendable)
            if enough <= spendable and self._worth(account, enough - room, now):
                if enough > room:
                    break
                # More than enough is promised where it is there: the claim as a whole.
                enough = waiter.claim.amount if waiter.claim.amount <= room else enough
                room -= enough
                line.promise(waiter.claim.call, enough)
                asyncio.get_running_loop().call_later(PROMISE, self._lapse, account, waiter.claim.call)
            del line.waiters[0]
            if not waiter.future.done():
                waiter.future.set_result(None)

    def _lapse(self, account: Account, call: str) -> None:
        line: Line | None = account.waiting
        if line is not None and call in line.promises:
            line.redeem(call)
            self._wake(account)
