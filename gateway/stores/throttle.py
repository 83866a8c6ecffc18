"""How much of an agent's retries a tool still gets, and how it is found out that the tool works again. Quiet: times are
arguments, in seconds.

A bucket for each agent and tool, as in gRPC's retry throttling (proposal A6): retries pass while it is more than half
full. Here each that passes takes a token, and a success puts a fraction of one back, so that of a tool which always
fails no more than half a bucket of retries is seen, and of one that fails now and then about ``ratio`` of the calls.

That alone would keep an empty bucket empty for ever, so that now and then one call passes as a probe: of an agent at
growing intervals, and of all agents together where several of them have met nothing but failures. Once anybody's call
succeeds then, all may try again: what they meet is a tool that works.
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
    """What all agents together have met at a tool since somebody's call succeeded."""

    __slots__ = ("_met", "probes", "recovered")

    def __init__(self) -> None:
        self._met: set[str] = set()
        self.probes = Probes()
        self.recovered = float("-inf")
        """When it last came back from being down."""

    @property
    def down(self) -> bool:
        """Whether several agents have met failures, and nobody anything else."""
        return len(self._met) >= DOWN

    def failed(self, agent: str, now: float) -> None:
        """A call of this agent has failed."""
        if len(self._met) < DOWN:
            self._met.add(agent)
            if self.down:
                self.probes.delay(now)

    def worked(self, now: float) -> None:
        """The tool has answered somebody."""
        if self._met:
            if self.down:
                self.recovered = now
            self._met.clear()
            self.probes.reset()


class Throttle:
    """The retries of one agent at one tool."""

    __slots__ = ("_failed", "_marks", "probes", "tokens")

    def __init__(self, tokens: float) -> None:
        self.tokens = tokens
        self.probes = Probes()
        self._marks: OrderedDict[str, float] = OrderedDict()
        self._failed = 0.0

    def retries(self, names: tuple[str, str], now: float, within: float) -> bool:
        """Whether a call of this operation, or this very call, has failed, and nothing is known to have changed."""
        marks = self._marks
        return any(name in marks and now - marks[name] <= within for name in names)

    def passes(self, settings: RetrySettings, outage: Outage | None, now: float) -> str:
        """As what a retry may pass now; empty for not at all."""
        if outage is not None:
            if outage.down:
                return PROBE if outage.probes.due(now) else ""
            if outage.recovered > self._failed:
                return RECOVERED
        if self.tokens > settings.tokens / 2:
            return RETRY
        return PROBE if self.probes.due(now) else ""

    def failed(self, names: tuple[str, str], now: float) -> None:
        """A call of this operation has failed, by the tool's fault."""
        self._failed = now
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
