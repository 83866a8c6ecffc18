"""What one replica has leased of an account, and what of it is spent and not yet written down.

Quiet: times are arguments.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway import model
from gateway.stores.leasing import frees, window_of

NEVER = float("-inf")


class Lease:
    """What this replica has of an account: ``amount`` is leased and not spent; the rest is as the vault last said."""

    __slots__ = (
        "account",
        "amount",
        "asked",
        "dry_at",
        "ends",
        "free",
        "frees",
        "heard",
        "leased",
        "pending",
        "spent",
        "thin_at",
        "tried",
        "used",
        "window",
    )

    def __init__(self, account: model.Account) -> None:
        self.account = account
        self.amount = self.spent = self.leased = 0
        self.pending = 0
        """Spent here, and not yet written down."""
        self.tried = 0
        """That of it which the vault was sent in this window, without an answer until now."""
        self.window = 0
        """How many windows have ended."""
        self.free = 0
        """What the vault had left to lease when it last said something."""
        self.ends = self.frees = 0.0
        self.used = 0.0
        self.asked = False
        self.heard = self.dry_at = self.thin_at = NEVER
        """When the vault last said something; had nothing to lease; had so little that asking ahead is no use."""

    def roll(self, at: float) -> None:
        """The window ends, and takes with it what is leased, and what was sent in it."""
        if not self.ends or at < self.ends:
            return
        self.pending -= self.tried
        self.amount = -self.pending  # which will be written down in the new window, out of what is leased there
        self.spent = self.leased = self.tried = self.free = 0
        self.ends = 0.0
        self.dry_at = self.thin_at = NEVER
        self.window += 1


class Batch:
    """What calls came to, as it was first sent to the vault: each lease, which of its windows that was, and the entry.
    ``at`` is in seconds since the epoch. Sent again as of the same time, so that what was written down although the
    answer got lost is not written to the next window, too."""

    __slots__ = ("at", "sent")

    def __init__(self, entries: Iterable[tuple[Lease, model.Entry]], at: float) -> None:
        self.at = at
        self.sent: list[tuple[Lease, int, model.Entry]] = []
        for lease, entry in entries:
            lease.roll(at)
            lease.tried += entry.spent
            self.sent.append((lease, lease.window, entry))

    def written(self) -> None:
        """The vault has it."""
        for lease, window, entry in self.sent:
            if lease.window == window:
                lease.pending -= entry.spent
                lease.tried -= entry.spent
                lease.spent += entry.spent
                if entry.spent and entry.account.window == "rolling" and lease.frees <= self.at:
                    lease.frees = frees_at(entry.account, self.at)
                lease.leased = max(0, lease.leased - entry.spent)


def frees_at(account: model.Account, at: float) -> float:
    """When what is spent at that time leaves a window that rolls."""
    return frees(account, window_of(account, at).slot)
