"""GETs of the gateway's own, over the same connections as the calls of agents: same TLS, same egress rules.

Implements ``ports.Revalidation``. Bounded in number, time and size, whatever stores answer.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence

from gateway.errors import ToolgateError, UpstreamError
from gateway.execute.forward import Forwarder
from gateway.model import Answered, Lent, Tool
from gateway.policy.guards import short
from gateway.ports import Errand
from gateway.wire.errand import ErrandExchange
from gateway.wire.pool import Pool
from gateway.wire.upstream import UpstreamConnection

WITHIN = 2.0
"""Seconds for all that one call asks for."""
FRESH = 1.0
"""Seconds for which an answer is not asked for again."""
MOST_AT_ONCE = 64
"""GETs under way at a time; others wait, as long as they may."""
MOST_FRESH = 10_000

_Fresh = tuple[str, tuple[str, str], str]


class Errands:
    """Asks stores again. ``way_to`` gives what leads to a tool; ``clock`` is monotonic."""

    def __init__(self, way_to: Callable[[Tool], tuple[Forwarder, Pool]], clock: Callable[[], float]) -> None:
        self._way_to, self._clock = way_to, clock
        self._places = asyncio.Semaphore(MOST_AT_ONCE)
        self._verified: OrderedDict[_Fresh, float] = OrderedDict()

    def fresh(self, agent: str, place: tuple[str, str], change: str) -> bool:
        """Whether it was found to stand so just now."""
        at = self._verified.get((short(agent), place, change))
        return at is not None and self._clock() - at < FRESH

    def verified(self, agent: str, place: tuple[str, str], change: str) -> None:
        """It stands so now."""
        key = (short(agent), place, change)
        self._verified[key] = self._clock()
        self._verified.move_to_end(key)
        if len(self._verified) > MOST_FRESH:
            self._verified.popitem(last=False)

    async def ask(self, errands: Sequence[Errand]) -> Sequence[tuple[Answered, bytes] | None]:
        """What is answered to each, within WITHIN seconds."""
        tasks = [asyncio.ensure_future(self._ask(errand)) for errand in errands]
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=WITHIN)
        finally:
            for task in tasks:
                task.cancel()
        return [task.result() if task.done() and not task.cancelled() else None for task in tasks]

    async def _ask(self, errand: Errand) -> tuple[Answered, bytes] | None:
        try:
            async with self._places:
                return await self._answer(errand)
        except (ToolgateError, OSError):
            return None

    async def _answer(self, errand: Errand) -> tuple[Answered, bytes]:
        call = errand.call
        forwarder, pool = self._way_to(call.tool)
        lent: Lent | None = None
        if errand.lender is not None:
            lending = errand.lender.lend(call, None)
            lent = lending if isinstance(lending, Lent) else await lending
        head, connection = forwarder.errand(call, lent), pool.pop()
        found = None if connection is None else await _reused(connection, head)
        if found is None:
            found = await _asked(await pool.connect(min(WITHIN, call.tool.timeouts.connect)), head)
        answered, body = found
        if answered.status == 401 and errand.lender is not None:
            errand.lender.rejected(call)
        return answered, body


async def _reused(connection: UpstreamConnection, head: bytes) -> tuple[Answered, bytes] | None:
    """The answer; None where the tool has closed the connection meanwhile."""
    try:
        return await _asked(connection, head)
    except UpstreamError:
        if connection.got:
            raise
        return None


async def _asked(connection: UpstreamConnection, head: bytes) -> tuple[Answered, bytes]:
    exchange = ErrandExchange()
    connection.attach(exchange)
    connection.transport.write(head)
    try:
        return await exchange.answer
    except BaseException:
        connection.abort()
        raise
