"""Windows of budgets: when one ends. Calendars are those of UTC; times are in seconds since the epoch."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime

HOUR, DAY = 3600, 86_400
SLOTS = 60
"""Parts of a rolling window: what was spent is forgotten a part at a time, so it is longer by 1/60 at most."""


def end_of(window: str, at: float) -> float:
    """When the hour, day or month that ``at`` lies in ends; 0 where the window is ``total``, which does not end."""
    if window == "hour":
        return (at // HOUR + 1) * HOUR
    if window == "day":
        return (at // DAY + 1) * DAY
    if window == "month":
        day = datetime.fromtimestamp(at, UTC)
        year, month = (day.year + 1, 1) if day.month == 12 else (day.year, day.month + 1)
        return datetime(year, month, 1, tzinfo=UTC).timestamp()
    return 0.0


def moment(at: float) -> str:
    """A time as RFC 3339 has it, to the second: ``2026-12-01T00:00:00Z``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Spending:
    """What was spent in a window of the calendar, or in one that does not end."""

    __slots__ = ("_ends", "_window", "spent")

    def __init__(self, window: str) -> None:
        self._window = window
        self._ends = 0.0
        self.spent = 0

    def roll(self, at: float) -> bool:
        """Forget what was spent in a window that has ended. Whether another one has begun."""
        if at < self._ends or self._window == "total":
            return False
        self.spent = 0
        self._ends = end_of(self._window, at)
        return True

    def add(self, amount: int, at: float) -> None:
        """So much has been spent now."""
        self.roll(at)
        self.spent += amount

    @property
    def ends(self) -> float:
        """When all that was spent is forgotten; 0 is never."""
        return self._ends


class RollingSpending:
    """What was spent in the last ``seconds``."""

    __slots__ = ("_seconds", "_slots", "_width", "spent")

    def __init__(self, seconds: float) -> None:
        self._seconds, self._width = seconds, seconds / SLOTS
        self._slots: deque[tuple[int, int]] = deque()
        self.spent = 0

    def roll(self, at: float) -> bool:
        """Forget what was spent longer ago. Never whether another window has begun: it always has."""
        slots, gone = self._slots, at - self._seconds
        while slots and (slots[0][0] + 1) * self._width <= gone:
            self.spent -= slots.popleft()[1]
        return False

    def add(self, amount: int, at: float) -> None:
        """So much has been spent now."""
        self.roll(at)
        slot = int(at // self._width)
        if self._slots and self._slots[-1][0] >= slot:  # a clock that was set back adds to the latest
            last, sum_ = self._slots[-1]
            self._slots[-1] = (last, sum_ + amount)
        else:
            self._slots.append((slot, amount))
        self.spent += amount

    @property
    def ends(self) -> float:
        """When the oldest part of what was spent is forgotten; 0 where nothing was."""
        return (self._slots[0][0] + 1) * self._width + self._seconds if self._slots else 0.0


def spending(window: str, seconds: float) -> Spending | RollingSpending:
    """What is spent in such a window; see ``BudgetSettings``."""
    return RollingSpending(seconds) if window == "rolling" else Spending(window)
