"""The stretch of time that a page is about."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from gateway.console.errors import Mistaken

SPANS = {"15m": 900, "1h": 3600, "6h": 6 * 3600, "24h": 86400, "7d": 7 * 86400}
"""What can be chosen, in seconds."""


class Window(Struct, frozen=True):
    """From ``since`` to ``until`` (seconds since the epoch), by the name of its length."""

    name: str
    since: float
    until: float

    @property
    def stretch(self) -> float:
        """Seconds of one of the stretches that plots are made of."""
        return (self.until - self.since) / BUCKETS


BUCKETS = 60


def window_of(query: Mapping[str, str], now: float, default: str = "1h") -> Window:
    """The window that ends now and is as long as ``window`` of the query says.

    Raises:
        Mistaken: that is no length.
    """
    name = query.get("window", "") or default
    if name not in SPANS:
        raise Mistaken(f"window must be one of {', '.join(SPANS)}")
    return Window(name, now - SPANS[name], now)
