"""The ledger in memory: the reference for every other."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic

from gateway.model import CircuitClaim, PoolClaim, RateClaim, RunClaim, SlotClaim
from gateway.ports import Clock
from gateway.stores.bounds import RunBounds
from gateway.stores.buckets import Buckets
from gateway.stores.circuits import Circuits
from gateway.stores.ledger import KeptLedger
from gateway.stores.places import Places
from gateway.stores.pools import PoolKeeper


class MemoryLedger(KeptLedger):
    """All kinds of claims, in the memory of this process."""

    def __init__(self, clock: Clock = monotonic) -> None:
        self.buckets, self.places, self.circuits = Buckets(), Places(), Circuits()
        self.bounds = RunBounds()
        self.pools = PoolKeeper()
        super().__init__(
            {
                RateClaim: self.buckets,
                SlotClaim: self.places,
                CircuitClaim: self.circuits,
                RunClaim: self.bounds,
                PoolClaim: self.pools,
            },
            clock,
        )

    def breakers(self) -> Iterator[tuple[str, str, str]]:
        """Name, key and state of every circuit, for the metrics."""
        return self.circuits.breakers()
