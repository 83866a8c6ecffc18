"""Budgets in memory: reserved before a call, settled by what it came to. See ``leases.py`` for those that replicas
share."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import structs

from gateway.cost.charges import charge
from gateway.model import BudgetClaim, Hold, Outcome
from gateway.model.standing import Standing
from gateway.ports import Clock
from gateway.stores.accounts import Account, Accounts
from gateway.stores.keeper import Keeper
from gateway.stores.windows import moment

WARN, SHORT, UNAVAILABLE = "warn", "short", "unavailable"
"""States of holds; see ``model.Hold``."""


class Budgets(Keeper[BudgetClaim]):
    """One account for each key. A call counts in the window in which it ends. ``wall``: seconds since the epoch."""

    ends = True

    def __init__(self, wall: Clock) -> None:
        self.wall = wall
        self.accounts = Accounts(wall)

    def look(self, claim: BudgetClaim, now: float) -> Hold:  # noqa: ARG002
        """Granted where what is left covers the claim, or the least that will do; ``left`` is what is left now."""
        account, settings = self.accounts.of(claim), claim.settings
        spendable, room, left = self.state_of(account)
        state = WARN if settings.warn and settings.limit - left + claim.amount >= settings.warn else ""
        if claim.amount <= room or not settings.hard:
            return Hold(claim, True, left, 0.0, state)
        enough = sufficient(claim, spendable)
        if enough <= room and enough < claim.amount:
            return Hold(structs.replace(claim, amount=enough), True, left, 0.0, SHORT)
        ends = self._ends(account)
        wait = max(1.0, ends - self.wall()) if ends else 0.0
        return Hold(claim, False, left, wait, "", moment(ends) if ends else "")

    def state_of(self, account: Account) -> tuple[int, int, int]:
        """What is left if no call under way spends anything; what can be reserved now; and what is left if all spend
        what they have reserved."""
        spending = account.spending
        spending.roll(self.wall())
        spendable = account.settings.limit - spending.spent
        room = spendable - account.reserved
        return spendable, room, room

    def _ends(self, account: Account) -> float:
        return account.spending.ends

    def take(self, claim: BudgetClaim, hold: Hold, now: float) -> Hold:  # noqa: ARG002
        """Set aside what was granted; ``left`` is what is left then."""
        account, call, amount = self.accounts.known(claim), claim.call, claim.amount
        account.holds[call] = account.holds.get(call, 0) + amount
        account.reserved += amount
        return Hold(claim, True, hold.left - claim.amount, 0.0, hold.state)

    def settle(self, hold: Hold, outcome: Outcome, now: float) -> None:  # noqa: ARG002
        """Charge what the call came to; once, however often it is told."""
        claim = hold.claim
        if not isinstance(claim, BudgetClaim):
            raise TypeError(f"not a claim on a budget: {claim!r}")
        account = self.accounts.known(claim)
        reserved = account.holds.pop(claim.call, None)
        if reserved is None:
            return
        account.reserved -= reserved
        self._charge(account, claim, charge(claim, outcome))
        if account.waiting is not None:
            self._freed(account)

    def _charge(self, account: Account, claim: BudgetClaim, amount: int) -> None:  # noqa: ARG002
        if amount:
            account.spending.add(amount, self.wall())

    def release(self, hold: Hold, now: float) -> None:  # noqa: ARG002
        """The call was not made: it costs nothing."""
        claim = hold.claim
        if not isinstance(claim, BudgetClaim):
            raise TypeError(f"not a claim on a budget: {claim!r}")
        account = self.accounts.of(claim)
        reserved = account.holds.pop(claim.call, None)
        if reserved is not None:
            account.reserved -= reserved
            if account.waiting is not None:
                self._freed(account)

    def _freed(self, account: Account) -> None:
        """Something that was reserved is not any more, of an account that calls wait for."""

    async def all_standings(self) -> list[Standing]:
        """As ``standings``; for all replicas where they share budgets."""
        return list(self.standings())

    def standings(self) -> Iterator[Standing]:
        """How every account stands that has something spent or reserved."""
        for account in self.accounts:
            settings, key = account.settings, account.key
            spent = settings.limit - self.state_of(account)[0]
            if spent or account.reserved:
                named = (key[0], settings.unit, key[2:], window_text(settings.window, settings.seconds))
                ends = self._ends(account)
                yield Standing(*named, settings.limit, spent, account.reserved, ends, settings.hard)


def window_text(window: str, seconds: float) -> str:
    """``day``, ``3600s``."""
    return f"{seconds:g}s" if window == "rolling" else window


def sufficient(claim: BudgetClaim, spendable: int) -> int:
    """What a claim is granted where an account has so much left to spend: all of it; where that is more than is left,
    half of what is left, but never less than the least that will do. So the last calls share what is left."""
    if claim.amount <= spendable or not claim.least:
        return claim.amount
    return min(claim.amount, max(claim.least, spendable // 2))
