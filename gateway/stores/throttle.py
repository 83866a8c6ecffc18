"""How much of an agent's retries a tool still gets, and how it is found out that the tool works again. Quiet: times are
arguments, in seconds.

A bucket for each agent and tool, as in gRPC's retry throttling (proposal A6): retries pass while it is more than half
full. Here each that passes takes a token, and a success puts a fraction of one back, so that of a tool which always
fails no more than half a bucket of retries is seen, and of one that fails now and then about ``ratio`` of the calls.

That alone would keep an empty bucket empty for ever, so that now and then one call passes as a probe: of an agent at
growing intervals, and of all agents together where several of them have met nothing but failures.

A tool that comes back from that meets all that has waited for it. So retries of all agents then pass as their like
succeed: each success lets the next one pass and a little more, each failure halves what may. That is over when nobody
has been kept waiting for a while.
"""

from __future__ import annotations

from collections import OrderedDict
from zlib import crc32

from gateway.model import RetrySettings

FIRST, LAST = 0.5, 5.0
"""Seconds from one probe to the next: each is twice as long as the one before, up to the last."""

MARKED = 32
"""Operations, and calls, of an agent and tool whose failures are remembered."""

DOWN = 3
"""Agents that must have met failures, and nobody a success, for a tool to count as down: what one agent meets may be of
its own making."""


GROWTH = 0.1
"""Retries that a success lets pass beside the next one, once a tool is back."""

MOST_AT_ONCE = 5.0
"""Retries that may pass at once, at most, of those that nobody has asked for."""

QUIET = 15.0
"""Seconds without a retry that was kept waiting, after which it has come back: longer than any is told to wait."""

RAMP = 60.0
"""Seconds after which it has in any case."""

RETRY, PROBE, RECOVERED = "retry", "probe", "recovered"
"""As what a retry passes: it takes a token; it is the one to find out; the tool works again, by what another met."""


class Probes:
    """Passes for single calls, ever further apart while they fail."""

    __slots__ = ("_gap", "_next")

    def __init__(self) -> None:
        self._next, self._gap = 0.0, FIRST

    def due(self, now: float) -> bool:
        """Whether one may pass now."""
        return now >= self._next

    def send(self, now: float) -> None:
        """One passes now."""
        self._next, self._gap = now + self._gap, min(LAST, 2 * self._gap)

    def give_back(self, now: float) -> None:
        """It was not sent after all."""
        self._next = now

    def delay(self, now: float) -> None:
        """The first one only after a while: something has just failed."""
        self._next = max(self._next, now + self._gap)

    def reset(self) -> None:
        """The tool works."""
        self._next, self._gap = 0.0, FIRST

    def wait(self, now: float) -> float:
        """Seconds to the next."""
        return max(0.0, self._next - now)


class Outage:
    """What all agents together have met at a tool since somebody's call succeeded, and how it comes back from that."""

    __slots__ = ("_back", "_credit", "_met", "_waited", "probes")

    def __init__(self) -> None:
        self._met: set[str] = set()
        self._back: float | None = None
        self._credit = self._waited = 0.0
        self.probes = Probes()

    @property
    def down(self) -> bool:
        """Whether several agents have met failures, and nobody anything else."""
        return len(self._met) >= DOWN

    def governs(self, now: float) -> bool:
        """Whether retries of all agents count together now: it is down, or has just come back."""
        if self._back is not None and (now - self._back > RAMP or now - self._waited > QUIET):
            self._back = None
        return self.down or self._back is not None

    def passes(self, now: float) -> str:
        """As what a retry may pass, while it ``governs``; empty for not at all."""
        if not self.down and self._credit >= 1:
            return RECOVERED
        return PROBE if self.probes.due(now) else ""

    def keep_waiting(self, now: float) -> None:
        """A retry was refused."""
        self._waited = now

    def draw(self) -> None:
        """A retry has passed on what others have met."""
        self._credit -= 1

    def give_back(self) -> None:
        """It was not made after all."""
        self._credit += 1

    def failed(self, agent: str, now: float, *, drew: bool) -> None:
        """A call of this agent has failed; ``drew``: one that had passed while this governs."""
        if drew:
            self._credit /= 2
        if not self.down:
            self._met.add(agent)
            if self.down:
                self.probes.delay(now)

    def worked(self, now: float, *, drew: bool) -> None:
        """The tool has answered somebody."""
        if self.down:
            self._back, self._waited, self._credit = now, now, 1.0
        if self._met:
            self._met.clear()
            self.probes.reset()
        if self._back is not None:
            self._credit = min(MOST_AT_ONCE, self._credit + GROWTH + drew)


class Throttle:
    """The retries of one agent at one tool."""

    __slots__ = ("_marks", "probes", "tokens")

    def __init__(self, tokens: float) -> None:
        self.tokens = tokens
        self.probes = Probes()
        self._marks: OrderedDict[str, float] = OrderedDict()

    def retries(self, names: tuple[str, str], now: float, within: float) -> bool:
        """Whether a call of this operation, or this very call, has failed, and nothing is known to have changed."""
        marks = self._marks
        return any(name in marks and now - marks[name] <= within for name in names)

    def passes(self, settings: RetrySettings, outage: Outage | None, now: float) -> str:
        """As what a retry may pass now; empty for not at all."""
        if outage is not None and outage.governs(now):
            return outage.passes(now)
        if self.tokens > settings.tokens / 2:
            return RETRY
        return PROBE if self.probes.due(now) else ""

    def failed(self, names: tuple[str, str], now: float) -> None:
        """A call of this operation has failed, by the tool's fault."""
        self._mark(names, now)
        self.probes.delay(now)

    def tried(self, names: tuple[str, str], now: float) -> None:
        """It was tried again and refused: to repeat is no way to be forgotten."""
        self._mark(names, now)

    def _mark(self, names: tuple[str, str], now: float) -> None:
        marks = self._marks
        for name in names:
            if name:
                marks[name] = now
                marks.move_to_end(name)
        while len(marks) > MARKED:
            marks.popitem(last=False)

    def draw(self) -> None:
        """A retry has passed."""
        self.tokens -= 1

    def give_back(self, settings: RetrySettings) -> None:
        """It was not made after all."""
        self.tokens = min(settings.tokens, self.tokens + 1)

    def answered(self, names: tuple[str, str], settings: RetrySettings, *, well: bool) -> None:
        """The tool works: the call has succeeded (``well``), or it is for the caller to make it another way."""
        if well:
            self.tokens = min(settings.tokens, self.tokens + settings.ratio)
        for name in names:
            self._marks.pop(name, None)
        self.probes.reset()

    def says_nothing(self, settings: RetrySettings) -> bool:
        """Whether it is as good as a new one."""
        return not self._marks and self.tokens >= settings.tokens


def jitter(seconds: float, name: str, now: float) -> float:
    """Between one and two times as long, the same for one name at one time, so that agents do not come back at once."""
    return seconds * (1.0 + crc32(f"{name} {now:.2f}".encode("utf-8", "surrogatepass")) / 0xFFFFFFFF)
