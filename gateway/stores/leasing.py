"""Which window of its account an instant lies in, and how much of what is left one lease may take."""

from __future__ import annotations

from msgspec import Struct

from gateway.model import Account
from gateway.stores.windows import SLOTS, end_of

_SHARE = 8
"""A lease takes at most this part of what is left, so that leases shrink as an account runs dry."""


class Window(Struct, frozen=True):
    """The window of an account at an instant. ``instance`` names it among all of the account's. Spending is kept by
    ``slot``; those from ``first`` on count. ``ends`` is in seconds since the epoch, 0 where it does not end."""

    instance: str
    slot: int = 0
    first: int = 0
    ends: float = 0.0


def window_of(account: Account, now: float) -> Window:
    """The window that ``now`` (seconds since the epoch) lies in.

    A slot of a rolling window counts until all of it is out of the window: never too little is counted, and up to a
    sixtieth too much.
    """
    if account.window == "rolling":
        slot = int(now * SLOTS // account.seconds)
        return Window(f"rolling {account.seconds:g}", slot, slot - SLOTS)
    ends = end_of(account.window, now)
    return Window(f"{account.window} {ends:.0f}", ends=ends)


def frees(account: Account, oldest: int) -> float:
    """When the slot ``oldest`` of a rolling window counts no longer, in seconds since the epoch."""
    return (oldest + SLOTS + 1) * account.seconds / SLOTS


def granted(available: int, least: int, wish: int) -> int:
    """What a lease gets of ``available``: at least ``least`` or nothing, at most ``wish``, else an eighth."""
    if available < least or available <= 0:
        return 0
    return min(available, max(least, min(wish, available // _SHARE)))


def retires(account: Account, window: Window, now: float, keep: float) -> float:
    """When the window may be forgotten if nothing more is written to it, in seconds since the epoch; 0 is never.
    ``keep`` is for how long it is of use after its end. A total is kept for ever, or for its ``seconds``."""
    if window.ends:
        return window.ends + keep
    if account.window == "rolling":
        return now + account.seconds + keep
    return now + account.seconds if account.seconds else 0.0
