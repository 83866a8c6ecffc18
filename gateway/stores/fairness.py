"""Who has the next place: weighted fair queueing between agents, first come first served within one.

Each agent has a counter, charged with what its calls use divided by its weight; the place goes to the lowest. That is
the virtual token counter of Sheng et al. (Fairness in serving large language models, OSDI 2024). A call is charged with
what calls of its agent usually use when it gets its place, and with the difference when it ends: else an agent could
have all places before the first of its calls has told what it costs. An agent that comes to wait starts at the lowest
counter of those who wait, so nobody saves up credit by doing nothing.
That start also rises with every place, by as much as anybody's counter rises at least when as many agents wait as can:
else agents that have not been here before, coming without end, would keep one that has been here waiting for ever.

An agent of a higher priority goes first; one that has waited ``ageing`` seconds without a place makes up one level, up
to the highest that waits now, where the counters decide again. Times are arguments, in seconds.

One agent has at most a part of the places (``share``), else one whose calls do not end would shut the others out. An
agent that has so many is passed over, and its calls wait although places are free.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush, nlargest
from itertools import count
from math import ceil, inf

from gateway.stores.tickets import Line, State, Ticket

REMEMBERED = 1000
"""Idle agents whose debts are kept; agents have as many names as they like. Those who owe least are forgotten first."""

LEARNING = 0.2
"""What the newest call weighs in what calls usually use (an exponential average)."""

UNUSED = 0.1
"""What a place costs, of what is usual, that was taken and not used: something, else an agent whose calls are all
refused further on would always be next."""


class FairQueue:
    """``places`` calls at once, ``queue`` that wait. No place stays empty while a call waits that may have it."""

    def __init__(self, places: int, queue: int, ageing: float, usual: float = 1.0, share: float = 1.0) -> None:
        """``usual`` is what a call is taken to use before any has ended."""
        self.queue, self.ageing = queue, ageing
        self.taken = 0
        self.length = 0
        """Calls that wait."""
        self._lines: dict[str, Line] = {}
        self._queued: dict[str, Line] = {}
        """Those with calls that wait."""
        self._passed: dict[str, Line] = {}
        """Those of them that are passed over, since they have as many places as one agent may."""
        self._priorities: dict[int, int] = {}
        """How many of the others have which priority."""
        self._ranks: list[tuple[float, int, int, Line]] = []
        """A heap of these by counter and turn; an entry that is not as its line is now says nothing."""
        self._number = count()
        self._most = 0.0
        """No agent has more calls waiting for its weight than this."""
        self._reached = 0.0
        """The highest counter that has got a place: where who comes back starts while nobody waits."""
        self._floor = 0.0
        """Where who comes back starts while others wait."""
        self._heaviest = 0.0
        self._turns = 0
        self._count = 0
        self._usual = usual
        self._sweep_at = 2 * REMEMBERED
        self.bound(places, share)

    def bound(self, places: int, share: float) -> None:
        """So many places from now on, of which one agent has at most this share, but always one, and below 1 never the
        last of several. Where there are fewer than before, no call loses its own. Call ``fill`` afterwards."""
        self.places = places
        self.most = inf if share >= 1 or places == 1 else max(1, min(places - 1, ceil(places * share)))
        """Places that one agent has at most."""
        for line in self._queued.values():
            over = line.placed >= self.most
            if over != (line.agent in self._passed):
                self._pass_over(line) if over else self._restore(line)

    def free_for(self, agent: str) -> bool:
        """Whether a call of this agent would have a place at once."""
        if self.taken >= self.places or self._priorities:
            return False
        line = self._lines.get(agent)
        return line is None or line.placed < self.most

    def enter(self, agent: str, weight: float, priority: int, now: float) -> Ticket:
        """A ticket that has a place, waits for one, or is turned away."""
        line = self._line(agent)
        line.weight = weight
        if line.waiting:
            self._most = max(self._most, _length(line))
            if priority != line.priority:
                if agent in self._passed:
                    line.priority = priority
                else:
                    self._unlisted(line)
                    line.priority = priority
                    self._listed(line)
        else:
            line.priority = priority
            start = self._start()
            if line.counter < start:
                line.counter = start
            line.since = now
        ticket = Ticket(line, now, self.length)
        if self.taken < self.places and line.placed < self.most and not self._priorities:
            self._place(ticket, now)
        elif self.length < self.queue or self._displace(line):
            line.waiting.append(ticket)
            self.length += 1
            self._most = max(self._most, _length(line))
            if agent not in self._queued:
                self._queued[agent] = line
                if line.placed >= self.most:
                    self._passed[agent] = line
                else:
                    self._listed(line)
                    self._rank(line)
        else:
            ticket.state = State.FULL
        return ticket

    def leave(self, ticket: Ticket, now: float) -> None:
        """The call waits no longer, or has a place and will not use it."""
        if ticket.state is State.WAITING:
            ticket.state = State.ENDED
            self._unqueue(ticket)
        elif ticket.state is State.PLACED:
            self._free(ticket, UNUSED * ticket.line.usual, now)

    def end(self, ticket: Ticket, used: float, now: float) -> None:
        """The call that had the place has ended, and used so much; counted once."""
        if ticket.state is State.PLACED:
            line = ticket.line
            if ticket.count == self._count:
                line.usual += LEARNING * (used - line.usual)
                self._usual += LEARNING * (used - self._usual)
            self._free(ticket, used, now)

    def fill(self, now: float) -> None:
        """Give out the places that are free."""
        while self._priorities and self.taken < self.places:
            line = self._next(now)
            ticket = line.waiting.popleft()
            self._shorter(line)
            self._place(ticket, now)
            if ticket.told is not None:
                ticket.told(ticket)

    def recount(self, usual: float) -> None:
        """What calls use is counted by something else from now on: everybody begins anew."""
        self._usual, self._reached, self._floor = usual, 0.0, 0.0
        self._count += 1
        for line in self._lines.values():
            line.counter, line.usual = 0.0, usual
            if line.waiting:
                self._rank(line)

    @property
    def idle(self) -> bool:
        """Nobody has a place, and nobody waits."""
        return not self.taken and not self.length

    def lines(self) -> Iterator[Line]:
        """Agents with calls here, or with debts."""
        return iter(self._lines.values())

    def _line(self, agent: str) -> Line:
        line = self._lines.get(agent)
        if line is None:
            if len(self._lines) >= self._sweep_at:
                self._forget()
            line = self._lines[agent] = Line(agent, 0.0, self._usual)
        return line

    def _start(self) -> float:
        """Where the counter of an agent starts that had no call waiting."""
        if self._priorities:
            lowest = self._lowest().counter
        elif self._passed:
            lowest = min(line.counter for line in self._passed.values())
        else:
            return max(self._floor, self._reached)
        self._floor = max(self._floor, lowest)
        return self._floor

    def _lowest(self) -> Line:
        """Of those who are next in turn: the lowest counter, and of the same, who got a place longest ago."""
        ranks, passed = self._ranks, self._passed
        while True:
            counter, turn, _, line = ranks[0]
            if line.waiting and line.counter == counter and line.turn == turn and line.agent not in passed:
                return line
            heappop(ranks)

    def _rank(self, line: Line) -> None:
        """Note where a line stands that waits; whenever that changes."""
        ranks = self._ranks
        if len(ranks) > 4 * len(self._queued) + 16:
            ranks[:] = [(each.counter, each.turn, next(self._number), each) for each in self._queued.values()]
            heapify(ranks)
        else:
            heappush(ranks, (line.counter, line.turn, next(self._number), line))

    def _listed(self, line: Line) -> None:
        self._priorities[line.priority] = self._priorities.get(line.priority, 0) + 1

    def _unlisted(self, line: Line) -> None:
        left = self._priorities[line.priority] - 1
        if left:
            self._priorities[line.priority] = left
        else:
            del self._priorities[line.priority]

    def _pass_over(self, line: Line) -> None:
        self._passed[line.agent] = line
        self._unlisted(line)

    def _restore(self, line: Line) -> None:
        del self._passed[line.agent]
        self._listed(line)
        self._rank(line)

    def _shorter(self, line: Line) -> None:
        """A call waits no longer."""
        self.length -= 1
        if not line.waiting:
            del self._queued[line.agent]
            if self._passed.pop(line.agent, None) is None:
                self._unlisted(line)

    def _next(self, now: float) -> Line:
        """Of the highest level, the lowest counter; nobody ages beyond the highest priority that waits."""
        if len(self._priorities) == 1:
            return self._lowest()
        top = max(self._priorities)
        ageing = self.ageing

        def order(line: Line) -> tuple[float, float, int]:
            level = line.priority
            if level < top:
                level = min(top, level + int((now - line.since) / ageing))
            return -level, line.counter, line.turn

        passed = self._passed
        return min((line for line in self._queued.values() if line.agent not in passed), key=order)

    def _place(self, ticket: Ticket, now: float) -> None:
        line = ticket.line
        self._turns += 1
        line.turn = self._turns
        line.since = ticket.placed_at = now
        line.placed += 1
        self.taken += 1
        if line.counter > self._reached:
            self._reached = line.counter
        if line.weight > self._heaviest:
            self._heaviest = line.weight
        self._floor += line.usual / (self._heaviest * (self.places + self.queue))
        ticket.state = State.PLACED
        ticket.count = self._count
        ticket.charged = line.usual / line.weight
        line.counter += ticket.charged
        if line.waiting:
            if line.placed < self.most:
                self._rank(line)
            else:
                self._pass_over(line)

    def _free(self, ticket: Ticket, used: float, now: float) -> None:
        line = ticket.line
        ticket.state = State.ENDED
        if ticket.count == self._count:
            line.counter += used / line.weight - ticket.charged
        line.placed -= 1
        self.taken -= 1
        if line.agent not in self._passed:
            if line.waiting:
                self._rank(line)
        elif line.placed < self.most:
            self._restore(line)
        if self.length:
            self.fill(now)
        elif not self.taken:  # nobody has been kept waiting for what the others used
            self._lines.clear()
            self._reached = self._floor = self._heaviest = 0.0

    def _unqueue(self, ticket: Ticket) -> None:
        line = ticket.line
        line.waiting.remove(ticket)
        self._shorter(line)

    def _displace(self, line: Line) -> bool:
        """Make room in a full line, if some agent has more calls in it for its weight than this one would have: the
        newest of these goes (longest queue drop: Suter et al., INFOCOM 1998)."""
        own = (len(line.waiting) + 1) / line.weight
        if self._most <= own:
            return False
        longest = max(self._queued.values(), key=_length, default=line)
        self._most = _length(longest)
        if self._most <= own:
            return False
        ticket = longest.waiting[-1]
        self._unqueue(ticket)
        ticket.state = State.DISPLACED
        if ticket.told is not None:
            ticket.told(ticket)
        return True

    def _forget(self) -> None:
        """Agents without calls here whose counters the others have reached are as good as new ones."""
        reached = self._start()
        busy = {agent: line for agent, line in self._lines.items() if line.placed or line.waiting}
        owing = [line for line in self._lines.values() if line.agent not in busy and line.counter > reached]
        for line in nlargest(REMEMBERED, owing, key=lambda line: line.counter):
            busy[line.agent] = line
        self._lines = busy
        self._sweep_at = max(2 * REMEMBERED, 2 * len(busy))


def _length(line: Line) -> float:
    return len(line.waiting) / line.weight
