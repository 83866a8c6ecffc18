"""The ledger in memory: the reference for every other."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic, time

from gateway.model import (
    BudgetClaim,
    CircuitClaim,
    LoopClaim,
    PoolClaim,
    RateClaim,
    RetryClaim,
    RunClaim,
    SlotClaim,
)
from gateway.ports import Clock
from gateway.stores.bounds import RunBounds
from gateway.stores.buckets import Buckets
from gateway.stores.budgets import Budgets
from gateway.stores.circuits import Circuits
from gateway.stores.keeper import Keeper
from gateway.stores.ledger import KeptLedger
from gateway.stores.loops import Loops
from gateway.stores.places import Places
from gateway.stores.pools import PoolKeeper
from gateway.stores.retries import Retries


class MemoryLedger(KeptLedger):
    """All kinds of claims, in the memory of this process."""

    def __init__(
        self,
        clock: Clock = monotonic,
        wall: Clock = time,
        budgets: Budgets | None = None,
        buckets: Keeper[RateClaim] | None = None,
    ) -> None:
        """``wall`` gives seconds since the epoch; ``budgets`` are those that replicas share, or whose calls wait;
        ``buckets`` those that replicas share."""
        self.buckets = Buckets() if buckets is None else buckets
        self.places, self.circuits = Places(), Circuits()
        self.bounds = RunBounds()
        self.pools = PoolKeeper()
        self.loops, self.retries = Loops(), Retries()
        self.budgets = Budgets(wall) if budgets is None else budgets
        super().__init__(
            {
                RateClaim: self.buckets,
                SlotClaim: self.places,
                CircuitClaim: self.circuits,
                RunClaim: self.bounds,
                PoolClaim: self.pools,
                BudgetClaim: self.budgets,
                LoopClaim: self.loops,
                RetryClaim: self.retries,
            },
            clock,
        )

    def breakers(self) -> Iterator[tuple[str, str, str]]:
        """Name, key and state of every circuit, for the metrics."""
        return self.circuits.breakers()
