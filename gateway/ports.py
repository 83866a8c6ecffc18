"""The doors to the world. The pipeline knows these shapes, never who stands behind them."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

from gateway.model import Answered, Claim, Hold, Outcome, RateClaim, Trace


class Ledger(Protocol):
    """Counters, places and circuits behind every guard that counts.

    ``reserve`` is all or nothing: either every claim is granted, or nothing moved and at least one hold says why.
    ``settle`` ends what ``reserve`` granted, exactly once for each call, whatever its exit.
    """

    def reserve(self, claims: Sequence[Claim], now: float) -> tuple[Hold, ...]: ...

    def look(self, claims: Sequence[Claim], now: float) -> tuple[Hold, ...]:
        """What ``reserve`` would answer, without taking anything."""

    def answered(self, holds: Sequence[Hold], answer: Answered, now: float) -> None:
        """The head of the tool's answer is here: circuits learn now, not at the end of a long stream."""

    def settle(self, holds: Sequence[Hold], outcome: Outcome, now: float) -> None: ...


class Pacer(Protocol):
    """Limits that wait instead of refusing."""

    def pace(self, claim: RateClaim) -> bool | Awaitable[bool]:
        """True (at once or later) when there is room; False where that takes longer than ``claim.wait`` seconds."""


class Recorder(Protocol):
    """Where traces go. Never blocks the caller."""

    @property
    def available(self) -> bool:
        """False where calls must be refused because they could not be recorded."""

    def record(self, trace: Trace) -> None: ...


class Clock(Protocol):
    def __call__(self) -> float:
        """Seconds, monotonic."""


class Runs(Protocol):
    """What the runs of agents have cost so far, in US dollars, and what rules have marked them with. Nothing is kept of
    calls without a run id."""

    def cost(self, agent_id: str, run_id: str) -> float: ...

    def add(self, agent_id: str, run_id: str, usd: float) -> None: ...

    def labels(self, agent_id: str, run_id: str) -> tuple[str, ...]:
        """In alphabetical order."""

    def mark(self, agent_id: str, run_id: str, labels: tuple[str, ...]) -> None: ...
