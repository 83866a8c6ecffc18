"""How many calls a tool can work on at once, from how long it takes to begin an answer.

Gradient2 of Netflix's concurrency-limits: where answers take longer than they used to, calls wait inside the tool, and
the limit sinks; else it grows slowly, with room for a short line. Calls that time out or fail lower it by a tenth, once
for all that were under way together (as TCP does: RFC 6582). All times are in seconds.
"""

from __future__ import annotations

from math import sqrt

TOLERANCE = 1.5
"""Answers may take so many times as long as usual before it counts as waiting."""
SMOOTHING = 0.2
"""What the newest answer weighs in the limit."""
WINDOW = 600
"""Answers over which the usual time is averaged (exponentially)."""
WARM_UP = 10
"""The first of them, of which the plain mean is taken."""
BACK_OFF = 0.9
BEGIN = 20
"""Places to begin with, where there may be so many."""


class Gradient:
    """A limit between ``least`` and ``most``."""

    __slots__ = ("_dropped_at", "_long", "_seen", "least", "limit", "most")

    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, most
        self.limit = float(min(most, max(least, BEGIN)))
        self._long, self._seen = 0.0, 0
        self._dropped_at = float("-inf")

    def bound(self, least: int, most: int) -> None:
        """New bounds; what was learnt stays."""
        self.least, self.most = least, most
        self.limit = self._within(self.limit)

    def answered(self, took: float, under_way: int) -> None:
        """An answer began after ``took`` seconds, while so many calls were in their places."""
        usual = self._usual(took)
        if under_way < self.limit / 2:
            return  # the calls that came say nothing of how many there could be
        gradient = max(0.5, min(1.0, TOLERANCE * usual / took)) if took > 0 else 1.0
        wanted = self.limit * gradient + sqrt(self.limit)
        self.limit = self._within((1 - SMOOTHING) * self.limit + SMOOTHING * wanted)

    def failed(self, began: float, now: float) -> None:
        """A call that got its place at ``began`` has failed."""
        if began >= self._dropped_at:
            self._dropped_at = now
            self.limit = self._within(self.limit * BACK_OFF)

    def _usual(self, took: float) -> float:
        self._seen = min(self._seen + 1, WINDOW)
        if self._seen <= WARM_UP:
            self._long += (took - self._long) / self._seen
        else:
            self._long += (took - self._long) * 2 / (WINDOW + 1)
        if self._long > 2 * took:  # it was slow for long, and is no more
            self._long *= 0.95
        return self._long

    def _within(self, limit: float) -> float:
        return max(float(self.least), min(float(self.most), limit))
