"""What guards ask the ledger for, and what it answers."""

from __future__ import annotations

from msgspec import Struct


class CircuitSettings(Struct, frozen=True):
    """When a breaker opens and closes. ``failures`` are consecutive; ``rate`` and ``slow_rate`` are 0..1 over
    ``window`` seconds, looked at from ``minimum`` calls on; 0 turns a trigger off. ``slow`` is in seconds to the first
    byte of the answer. Open for ``open`` seconds, then ``probes`` calls are let through; all must succeed."""

    failures: int = 5
    rate: float = 0.5
    window: float = 30.0
    minimum: int = 10
    open: float = 15.0
    probes: int = 1
    slow: float = 0.0
    slow_rate: float = 0.0
    result_errors: bool = False
    """An answer that says of itself that it failed (``Findings.is_error``) is a failure too."""


class Claim(Struct, frozen=True):
    """What a guard asks the ledger to set aside before the call may run. ``key`` names the counter."""

    guard: str
    key: tuple[str, ...]


class RateClaim(Claim, frozen=True):
    """``cost`` tokens out of a bucket of ``capacity`` that refills at ``rate`` tokens a second.

    ``wait`` above 0: wait up to so many seconds for room instead of refusing.
    """

    capacity: float
    rate: float
    cost: float = 1.0
    wait: float = 0.0


class SlotClaim(Claim, frozen=True):
    """One of ``capacity`` places, given back when the call ends."""

    capacity: int


class CircuitClaim(Claim, frozen=True):
    """Passage through a circuit breaker, which is told how the call ended."""

    settings: CircuitSettings


class Hold(Struct, frozen=True):
    """The ledger's answer to one claim. ``left`` is tokens or places left; ``state`` a breaker's state."""

    claim: Claim
    granted: bool
    left: float = 0.0
    retry_after: float = 0.0
    state: str = ""
