"""What is set aside and spent of budgets that outlive a process, and are shared by replicas."""

from __future__ import annotations

from msgspec import Struct


class Account(Struct, frozen=True):
    """A budget of one key in one unit. ``key`` is the budget's name, the unit, and what it counts by; ``limit`` is in
    whole units (micro-dollars, tokens, calls); ``window`` and ``seconds`` as in BudgetSettings. The ``seconds`` of a
    total are those without use after which it may be forgotten, so that runs that are over fill no store; 0: never."""

    key: tuple[str, ...]
    limit: int
    window: str
    seconds: float = 0.0


class Want(Struct, frozen=True):
    """A lease that is asked for: at least ``least`` of what is left of the account, better ``wish``."""

    account: Account
    least: int
    wish: int


class Lease(Struct, frozen=True):
    """What became of a want: 0, or between its ``least`` and its ``wish``; and how the account stands after it."""

    granted: int
    spent: int
    """What calls have cost in this window."""
    leased: int
    """What all replicas have set aside and not spent."""
    ends: float = 0.0
    """When the window ends, in seconds since the epoch: the lease is of no use after that. 0: it does not end."""
    frees: float = 0.0
    """When the oldest of what was spent leaves a window that rolls, in seconds since the epoch; 0 where none will."""


class Entry(Struct, frozen=True):
    """One line of the ledger: what the call with this id came to, out of what its replica had leased."""

    account: Account
    call: str
    spent: int


class Balance(Struct, frozen=True):
    """How an account stands."""

    account: Account
    spent: int
    leased: int
    ends: float = 0.0


class Draw(Struct, frozen=True):
    """Tokens wanted of a bucket that replicas share: at least ``least``, better ``wish``."""

    key: tuple[str, ...]
    capacity: float
    rate: float
    least: float
    wish: float


class Drawn(Struct, frozen=True):
    """Tokens that were drawn: 0, or between ``least`` and ``wish``; how many are left; when ``least`` will be there."""

    tokens: float
    left: float
    retry_after: float
