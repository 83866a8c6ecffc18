"""Pools of places, by key: what each call in them used, how many places there are, who waits.

Quiet: times are arguments, and who waits is told through a function. ``lines.py`` lets calls wait. The places are those
of this process: each replica has as many.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping

from gateway.model import Answered, Hold, Outcome, PoolClaim, PoolSettings
from gateway.model.pools import WAIT_BUCKETS, PoolLine, PoolState
from gateway.stores.fairness import LEARNING, FairQueue
from gateway.stores.gradient import Gradient
from gateway.stores.keeper import Keeper
from gateway.stores.tickets import Line, State, Ticket

_USUAL = {"calls": 1.0, "seconds": 1.0, "tokens": 1000.0}
"""What a call is taken to use before any has ended."""
_LEAST = {"calls": 1.0, "seconds": 0.001, "tokens": 1.0}
"""What each is charged with at least, so that nobody's calls cost nothing and are always next."""

TIMEOUT = "timeout"
"""The state of a hold that was refused after waiting; else it is one of ``fairness.State``."""
LONGEST_RETRY = 60.0
"""Seconds that an agent is told to wait at most."""


class Placed(Hold, frozen=True):
    """A place that was given, with the ticket that gives it back. A rehearsal, which waits for nobody, has holds of
    pools that are none of these."""

    pool: _Pool | None = None
    ticket: Ticket | None = None


class _Pool:
    """One pool of one tool."""

    def __init__(self, settings: PoolSettings) -> None:
        self.settings = settings
        usual, share = _USUAL[settings.charge], settings.per_agent
        self.line = FairQueue(settings.concurrency, _queue(settings), settings.ageing, usual, share)
        self.gradient: Gradient | None = None
        self.seconds = 1.0
        """How long a call usually has its place."""
        self.waits = [0] * (len(WAIT_BUCKETS) + 1)
        self.waited = 0.0
        self.turned_away = {State.FULL.value: 0, State.DISPLACED.value: 0, TIMEOUT: 0}
        self._tune()

    def adopt(self, settings: PoolSettings, now: float) -> None:
        """New settings, for those who wait too. Places that are too many are given back as their calls end."""
        if settings.charge != self.settings.charge:
            self.line.recount(_USUAL[settings.charge])
        self.settings = settings
        self.line.queue, self.line.ageing = _queue(settings), settings.ageing
        self._tune()
        self.line.fill(now)

    def _tune(self) -> None:
        settings = self.settings
        if not settings.adaptive:
            self.gradient = None
        elif self.gradient is None:
            self.gradient = Gradient(settings.least, settings.concurrency)
        else:
            self.gradient.bound(settings.least, settings.concurrency)
        self.line.bound(settings.concurrency, settings.per_agent)
        self.learn()

    def learn(self) -> None:
        """As many places as the gradient says; ``fill`` gives out what is more than before."""
        if self.gradient is not None and (places := int(self.gradient.limit)) != self.line.places:
            self.line.bound(places, self.settings.per_agent)

    def placed(self, claim: PoolClaim, ticket: Ticket) -> Hold:
        """The hold of a ticket that has a place."""
        waited, line = ticket.placed_at - ticket.arrived, self.line
        free = line.places - line.taken
        if not waited:
            self.waits[0] += 1
            return Placed(claim, True, free, pool=self, ticket=ticket)
        self.waits[bisect_left(WAIT_BUCKETS, waited)] += 1
        self.waited += waited
        detail = f"waited {waited:.3f} s with {ticket.ahead} calls in line before it"
        return Placed(claim, True, free, state="queued", detail=detail, pool=self, ticket=ticket)

    def refused(self, claim: PoolClaim, ticket: Ticket, why: str) -> Hold:
        """The hold of a call that gets no place, with the seconds after which one is likely to be there."""
        self.turned_away[why] += 1
        line = self.line
        wait = (line.length + 1) * self.seconds / max(1, line.places)
        detail = f"{line.taken} calls in their places, {line.length} in line, {len(ticket.line.waiting)} of them yours"
        if ticket.line.placed >= line.most and line.taken < line.places:
            detail += f"; your agent has {ticket.line.placed} places already, as many as one may have"
        return Hold(claim, False, 0.0, max(1.0, min(LONGEST_RETRY, wait)), why, detail)

    def used(self, ticket: Ticket, outcome: Outcome, now: float) -> float:
        """What a call that was made has used."""
        charge = self.settings.charge
        used = 1.0
        if charge == "seconds":
            used = now - ticket.placed_at
        elif charge == "tokens":
            usage = outcome.found.usage
            used = 0.0 if usage is None else float(usage.input_tokens + usage.output_tokens)
        return max(used, _LEAST[charge])


class PoolKeeper(Keeper[PoolClaim]):
    """Every pool of the process."""

    hears = True
    ends = True

    def __init__(self) -> None:
        self._pools: dict[tuple[str, ...], _Pool] = {}
        self._settings: Mapping[str, PoolSettings] = {}

    def adopt(self, settings: Mapping[str, PoolSettings], now: float) -> None:
        """The settings of all pools, by name, after a reload. Pools that are no more end with their calls."""
        self._settings = settings
        for key, pool in list(self._pools.items()):
            found = settings.get(key[0])
            if found is not None:
                pool.adopt(found, now)
            elif pool.line.idle:
                del self._pools[key]

    def at_once(self, claim: PoolClaim, now: float) -> Hold | None:
        """The hold where a place is free, or none can be waited for; None where the call may ``enter`` to wait."""
        pool = self._pools.get(claim.key) or self._made(claim)
        line = pool.line
        if line.queue and not line.free_for(claim.agent):
            return None
        ticket = line.enter(claim.agent, claim.weight, claim.priority, now)
        if ticket.state is State.PLACED:
            return pool.placed(claim, ticket)
        return pool.refused(claim, ticket, ticket.state.value)

    def enter(self, claim: PoolClaim, now: float) -> Hold | Ticket:
        """The hold where a place is free or the line is full; else the ticket of the call, which now waits until
        ``tell`` has told of its place, or ``late`` or ``leave`` ends it."""
        pool = self._pools.get(claim.key) or self._made(claim)
        ticket = pool.line.enter(claim.agent, claim.weight, claim.priority, now)
        if ticket.state is State.PLACED:
            return pool.placed(claim, ticket)
        if ticket.state is State.WAITING:
            return ticket
        return pool.refused(claim, ticket, ticket.state.value)

    def tell(self, claim: PoolClaim, ticket: Ticket, told: Callable[[Hold], None]) -> None:
        """Tell of the hold that a waiting ticket comes to: a place, or none since others with fewer calls came."""
        pool = self._pools[claim.key]

        def heard(ticket: Ticket) -> None:
            placed = ticket.state is State.PLACED
            told(pool.placed(claim, ticket) if placed else pool.refused(claim, ticket, ticket.state.value))

        ticket.told = heard

    def late(self, claim: PoolClaim, ticket: Ticket, now: float) -> Hold | None:
        """The call has waited as long as it may: the hold that refuses it, if it waits still."""
        if ticket.state is not State.WAITING:
            return None
        pool = self._pools[claim.key]
        pool.line.leave(ticket, now)
        return pool.refused(claim, ticket, TIMEOUT)

    def leave(self, claim: PoolClaim, ticket: Ticket, now: float) -> None:
        """The call is gone, whether it waits still or has just got its place."""
        pool = self._pools.get(claim.key)
        if pool is not None:
            pool.line.leave(ticket, now)

    def look(self, claim: PoolClaim, now: float) -> Hold:  # noqa: ARG002
        pool = self._pools.get(claim.key)
        if pool is None:
            return Hold(claim, True, claim.settings.concurrency - 1)
        line = pool.line
        return Hold(claim, line.free_for(claim.agent), max(0, line.places - line.taken - 1))

    def take(self, claim: PoolClaim, hold: Hold, now: float) -> Hold:  # noqa: ARG002
        entered = self.enter(claim, now)
        if isinstance(entered, Ticket):
            raise TypeError("a place that was looked for is taken in the same step")
        return entered

    def answered(self, hold: Hold, answer: Answered, now: float) -> None:
        """The limit that adapts learns from the time to the head of an answer; refusals of a call (4xx) come too soon
        to tell anything of work, but 429 says that there is too much of it."""
        if not isinstance(hold, Placed) or hold.pool is None or hold.ticket is None:
            return
        pool, gradient = hold.pool, hold.pool.gradient
        if gradient is None:
            return
        if answer.status >= 500 or answer.status == 429:
            gradient.failed(hold.ticket.placed_at, now)
        elif answer.status < 400:
            gradient.answered(answer.first_byte, pool.line.taken)
        pool.learn()
        pool.line.fill(now)

    def settle(self, hold: Hold, outcome: Outcome, now: float) -> None:
        if not isinstance(hold, Placed) or hold.pool is None or hold.ticket is None:
            return
        pool, ticket = hold.pool, hold.ticket
        pool.seconds += LEARNING * (now - ticket.placed_at - pool.seconds)
        if pool.gradient is not None and outcome.fault == "tool" and not outcome.upstream:
            pool.gradient.failed(ticket.placed_at, now)
            pool.learn()
        pool.line.end(ticket, pool.used(ticket, outcome, now), now)

    def release(self, hold: Hold, now: float) -> None:
        if isinstance(hold, Placed) and hold.pool is not None and hold.ticket is not None:
            hold.pool.line.leave(hold.ticket, now)

    def states(self) -> Iterator[PoolState]:
        """Every pool that has been asked for a place, for the metrics and for operators."""
        for (name, tool), pool in self._pools.items():
            line, turned = pool.line, dict(pool.turned_away)
            waits, most = tuple(pool.waits), pool.settings.concurrency
            yield PoolState(name, tool, line.taken, line.length, line.places, most, waits, pool.waited, turned)

    def lines(self, pool: str, tool: str, now: float) -> tuple[PoolLine, ...]:
        """Agents with calls in the pool, those with most in line first."""
        found = self._pools.get((pool, tool))
        lines = [] if found is None else [_shown(line, now) for line in found.line.lines() if _is_here(line)]
        return tuple(sorted(lines, key=lambda line: (-line.waiting, -line.placed, line.agent)))

    def _made(self, claim: PoolClaim) -> _Pool:
        pool = self._pools[claim.key] = _Pool(self._settings.get(claim.guard, claim.settings))
        return pool


def _queue(settings: PoolSettings) -> int:
    """The calls that may wait."""
    return settings.queue if settings.wait else 0


def _is_here(line: Line) -> bool:
    return bool(line.placed or line.waiting)


def _shown(line: Line, now: float) -> PoolLine:
    waited = now - line.waiting[0].arrived if line.waiting else 0.0
    return PoolLine(line.agent, line.placed, len(line.waiting), line.weight, line.priority, waited)
