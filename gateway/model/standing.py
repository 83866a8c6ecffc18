"""How budgets stand, for metrics and operators."""

from __future__ import annotations

from msgspec import Struct


class Standing(Struct, frozen=True):
    """How a budget of one key stands. Amounts are in whole units: micro-dollars, tokens, calls."""

    budget: str
    unit: str
    key: tuple[str, ...]
    """What it counts by: agent, run, ...; nothing where one budget is for all."""
    window: str
    limit: int
    spent: int
    reserved: int
    """What calls under way may cost at most; of a budget that replicas share also what they have leased."""
    ends: float
    """When the window ends (of one that rolls: when something of it is forgotten), in seconds since the epoch; 0:
    never."""
    hard: bool = True
    """Whether calls are refused where it is spent."""
    replicas: bool = False
    """Whether this is how it stands for all replicas, not for this process."""

    @property
    def left(self) -> int:
        """What is neither spent nor reserved, from 0 upwards."""
        return max(0, self.limit - self.spent - self.reserved)
