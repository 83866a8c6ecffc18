"""Where calls wait: for room in a limit, or for a place in a pool."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator
from time import monotonic
from typing import Any

from gateway.model import Hold, PoolClaim, RateClaim
from gateway.ports import Clock, Pacer
from gateway.stores.pools import PoolKeeper


class Lines:
    """ports.Pacer for one process: ``limits`` paces limits; ``pools``, which the ledger holds too, gives places."""

    def __init__(self, limits: Pacer, pools: PoolKeeper, clock: Clock = monotonic) -> None:
        self._limits, self._pools, self._clock = limits, pools, clock

    def pace(self, claim: RateClaim | PoolClaim) -> Hold | Awaitable[Hold]:
        """A hold at once where that is possible; see ports.Pacer."""
        if not isinstance(claim, PoolClaim):
            return self._limits.pace(claim)
        return self._pools.at_once(claim, self._clock()) or _Turn(self._pools, claim, self._clock)


class _Turn:
    """A call's turn. It comes to stand in line when it is first awaited: one that never is leaves nothing behind."""

    __slots__ = ("_claim", "_clock", "_pools")

    def __init__(self, pools: PoolKeeper, claim: PoolClaim, clock: Clock) -> None:
        self._pools, self._claim, self._clock = pools, claim, clock

    def __await__(self) -> Generator[Any, None, Hold]:
        return self._wait().__await__()

    async def _wait(self) -> Hold:
        pools, claim, clock = self._pools, self._claim, self._clock
        ticket = pools.enter(claim, clock())
        if isinstance(ticket, Hold):
            return ticket
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Hold] = loop.create_future()

        def tell(hold: Hold) -> None:
            if not told.done():
                told.set_result(hold)

        def late() -> None:
            hold = pools.late(claim, ticket, clock())
            if hold is not None:
                tell(hold)

        pools.tell(claim, ticket, tell)
        timer = loop.call_later(claim.settings.wait, late)
        try:
            return await told
        except asyncio.CancelledError:
            # Also where a place was given in the same turn of the loop: nobody has heard of it.
            pools.leave(claim, ticket, clock())
            raise
        finally:
            timer.cancel()
