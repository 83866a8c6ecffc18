"""The calls in a pool, by agent."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum


class State(Enum):
    """Where a call stands."""

    WAITING = "waiting"
    PLACED = "placed"
    FULL = "full"
    """Turned away: the line is full, and nobody in it has more calls waiting than its agent."""
    DISPLACED = "displaced"
    """Turned away from the line for an agent with fewer calls in it."""
    ENDED = "ended"


class Line:
    """One agent's calls."""

    __slots__ = ("agent", "counter", "placed", "priority", "since", "turn", "usual", "waiting", "weight")

    def __init__(self, agent: str, counter: float, usual: float) -> None:
        self.agent, self.counter, self.usual = agent, counter, usual
        self.weight, self.priority = 1.0, 0
        self.since = 0.0
        """When it last got a place, or came to wait."""
        self.turn = 0
        """The number of the last place that it got: where counters are the same, who got one longest ago is next."""
        self.placed = 0
        self.waiting: deque[Ticket] = deque()


class Ticket:
    """One call. ``told`` is called where it gets a place, or is displaced, after it began to wait."""

    __slots__ = ("ahead", "arrived", "charged", "count", "line", "placed_at", "state", "told")

    def __init__(self, line: Line, arrived: float, ahead: int) -> None:
        self.line, self.arrived, self.ahead = line, arrived, ahead
        self.state = State.WAITING
        self.placed_at = arrived
        self.charged = 0.0
        self.count = 0
        """Which count it was charged in."""
        self.told: Callable[[Ticket], None] | None = None
