"""A token bucket as one number: the time at which it will be full again (GCRA, ITU-T I.371).

Exactly a bucket of ``capacity`` tokens refilled at ``rate`` a second, with no timer and nothing to refill.
"""

from __future__ import annotations

from gateway.model import Draw, Drawn, Hold, RateClaim

_SLACK = 1e-9
"""Tokens: what rounding of large clock values may cost a call that waited exactly as long as it was told."""


def take(full_at: float, capacity: float, rate: float, cost: float, now: float) -> tuple[bool, float, float, float]:
    """Try to take ``cost`` tokens at ``now``.

    Returns:
        whether they were there; the new ``full_at`` (unchanged on False); the tokens left; and the seconds until
        they will be there (0 on True).
    """
    full_at = max(full_at, now)
    left = capacity - (full_at - now) * rate
    if left + _SLACK >= cost:
        return True, spend(full_at, rate, cost, now), left - cost, 0.0
    return False, full_at, left, (cost - left) / rate


def spend(full_at: float, rate: float, cost: float, now: float) -> float:
    """When the bucket will be full again once ``cost`` tokens are taken at ``now``."""
    return max(full_at, now) + cost / rate


def paced(claim: RateClaim, *, granted: bool) -> Hold:
    """The hold of a limit that waits. Such limits do not tell how many tokens are left."""
    return Hold(claim, granted, 0.0, 0.0 if granted else claim.wait, "paced")


def draw(full_at: float, want: Draw, now: float) -> tuple[float, Drawn]:
    """Draw several tokens at once. A negative ``wish`` puts so many back.

    Returns:
        when the bucket will be full again, and what was drawn.
    """
    full_at = max(full_at, now)
    if want.wish < 0:
        full_at = max(now, full_at + want.wish / want.rate)
        return full_at, Drawn(0.0, want.capacity - (full_at - now) * want.rate, 0.0)
    left = want.capacity - (full_at - now) * want.rate
    if left + _SLACK < want.least:
        return full_at, Drawn(0.0, max(0.0, left), (want.least - left) / want.rate)
    tokens = min(want.wish, max(left, want.least))
    return full_at + tokens / want.rate, Drawn(tokens, max(0.0, left - tokens), 0.0)
