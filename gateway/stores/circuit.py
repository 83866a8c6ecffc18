"""A circuit breaker as a state machine; the caller brings the time.

    closed    -- consecutive failures, failure rate or slow-call rate reached --> open
    open      -- ``open`` seconds passed, a call asks                         --> half-open
    half-open -- ``probes`` calls succeeded --> closed;   one failed or was slow --> open

A probe that is abandoned (the agent left before the tool answered) gives its place back: it must not jam the circuit.
Nor may an agent that uploads or reads slowly: a probe of which nothing was heard for ``PATIENCE`` is in the way of its
own agent only, and who has abandoned one is given none for as long, so that another agent's may tell.
Answers of calls that began before the circuit last changed are counted only while it is closed.

Each probe that fails doubles the time until the next one, up to a bound; every time is longer than that
by a share of its own (``spread``), so that circuits which opened together do not probe together. Where replicas share a
circuit (``shared``), only one of them may probe: it stays open here until ``allow`` is called.
"""

from __future__ import annotations

import hashlib

from gateway.model import CircuitSettings

CLOSED, HALF_OPEN, OPEN = "closed", "half-open", "open"
_SLICES = 10

LEASE = 60.0
"""Seconds for which a probe holds its place at the least."""

PATIENCE = 5.0
"""Seconds after which a probe no longer keeps other agents from probing: the tool gets one more in so long at most."""

MOST_BARRED = 64
"""Agents of which it is remembered that they have abandoned a probe: the last ones, since agents have many names."""

DOUBLED = 3
"""So often the time until the next probe is doubled at most..."""
LONGEST = 30.0
"""... and up to so many seconds: a tool that is back is found out within these."""

ASK_AGAIN = 1.0
"""Seconds after which a circuit that may not probe asks again whether it may."""


class Circuit:
    """One breaker's state. Not safe for threads: the ledger calls it from one loop, never across an await."""

    __slots__ = (
        "_at",
        "_barred",
        "_calls",
        "_failed",
        "_half_open_at",
        "_name",
        "_passed",
        "_probes",
        "_slow",
        "_spread",
        "allowed",
        "ask_at",
        "asked_at",
        "consecutive",
        "epoch",
        "failed_probes",
        "open_for",
        "opened_at",
        "settings",
        "shared",
        "state",
    )

    def __init__(self, settings: CircuitSettings, name: str = "", spread: float = 0.0, *, shared: bool = False) -> None:
        """``name`` tells it from others; ``spread`` is how much longer than told it may stay open, as a share."""
        self.settings = settings
        self._name, self._spread, self.shared = name, spread, shared
        self.state = CLOSED
        self.open_for = settings.open
        """Seconds from ``opened_at`` to the first probe."""
        self.failed_probes = 0
        """How often a probe has failed since it was closed."""
        self.allowed = False
        """This replica may probe, of all that share it."""
        self.ask_at = 0.0
        """When to ask whether this replica may probe."""
        self.opened_at = self.asked_at = self._half_open_at = 0.0
        self.consecutive = 0
        self._probes: list[tuple[str, float]] = []
        """Of each probe under way, its agent, and since when."""
        self._barred: dict[str, float] = {}
        """Agents that have abandoned a probe, and until when they get no other."""
        self.epoch = 0
        """How often the circuit has been half-open: a probe of an earlier time must not pass for one of this."""
        self._passed = 0
        self._calls = [0] * _SLICES
        self._failed = [0] * _SLICES
        self._slow = [0] * _SLICES
        self._at = 0

    @property
    def healthy(self) -> bool:
        """Closed, and the last call did well."""
        return self.state == CLOSED and self.consecutive == 0

    @property
    def inside(self) -> int:
        """Probes under way."""
        return len(self._probes)

    def admits(self, now: float, agent: str = "") -> tuple[bool, float]:
        """Whether a call of this agent may pass now, else the seconds until asking again makes sense. Takes nothing."""
        self.asked_at = now
        if self.state == CLOSED:
            return True, 0.0
        if self.state == OPEN:
            waited = now - self.opened_at
            if waited < self.open_for:
                return False, self.open_for - waited
            if self.shared and not self.allowed:
                return False, ASK_AGAIN
            self._half_open()
        if self._probes and now - self._half_open_at > max(LEASE, self.settings.open):
            self._half_open()  # probes that never end must not hold the circuit for ever
        if self._barred.get(agent, now) > now:
            return False, self._barred[agent] - now
        if self._may_probe(agent, now):
            return True, 0.0
        return False, min(1.0, self.settings.open)

    def _may_probe(self, agent: str, now: float) -> bool:
        heeded = self._passed
        for whose, since in self._probes:
            if now - since < PATIENCE:
                heeded += 1
            elif whose == agent:
                return False
        return heeded < self.settings.probes

    def wants(self, now: float) -> bool:
        """Whether to ask if this replica may probe; after that, not again for a while."""
        if not self.shared or self.allowed or self.state != OPEN or now - self.opened_at < self.open_for:
            return False
        if now < self.ask_at:
            return False
        self.ask_at = now + ASK_AGAIN
        return True

    def allow(self) -> None:
        """This replica may probe."""
        self.allowed = True

    def opened(self, at: float, seconds: float, failed_probes: int) -> None:
        """Another replica has opened it, at ``at``, for so long."""
        self.state, self._probes, self._passed, self.allowed = OPEN, [], 0, False
        self.opened_at, self.open_for, self.failed_probes = at, seconds, failed_probes

    def closed(self) -> None:
        """Another replica has closed it."""
        self._close()

    def quiet(self, now: float) -> bool:
        """Whether nothing that is remembered can matter any more."""
        return now - self.asked_at > self.settings.window + max(self.settings.open, self.open_for) + LEASE

    def enter(self, agent: str = "") -> int:
        """Take the passage that ``admits`` has just offered; the epoch (above 0) where it is a probe's, else 0."""
        if self.state != HALF_OPEN:
            return 0
        self._probes.append((agent, self.asked_at))
        return self.epoch

    def leave(
        self, probe: int, ok: bool | None, slow: bool, now: float, agent: str = "", *, ended: bool = True
    ) -> None:
        """Tell how a call ended: ``probe`` is what ``enter`` gave, ``ok`` None means nobody knows (abandoned).

        Not ``ended``: only the head of the answer is here, and ``end`` will be told how the rest went.
        """
        if probe == self.epoch and self.state == HALF_OPEN:
            self._out(agent)
            if ok is None:
                self._bar(agent, now)
                return
            if not ok or slow:
                self.failed_probes += 1
                self._trip(now)
                return
            self._passed += 1
            if self._passed >= self.settings.probes:
                self._close()
            return
        if self.state != CLOSED or ok is None:
            return
        self._count(ok, slow, now, ended=ended)

    def end(self, now: float, *, broken: bool) -> None:
        """Tell how an answer went on whose head was counted as good. Broken off, it is a failure after all."""
        if self.state != CLOSED:
            return
        if not broken:
            self.consecutive = 0
            return
        slot = self._slot(now)
        self._calls[slot] = max(0, self._calls[slot] - 1)
        self._count(False, False, now)

    def adopt(self, settings: CircuitSettings) -> None:
        """Go on under new settings (a reload). Open stays open; what was counted under the old ones is forgotten."""
        self.settings = settings
        self._forget()
        self._at = 0
        if self.state == HALF_OPEN:
            self._half_open()

    def _count(self, ok: bool, slow: bool, now: float, *, ended: bool = True) -> None:
        settings = self.settings
        slot = self._slot(now)
        self._calls[slot] += 1
        if slow:
            self._slow[slot] += 1
        if ok:
            if ended:
                self.consecutive = 0
            if not slow:
                return
        else:
            self._failed[slot] += 1
            self.consecutive += 1
            if settings.failures and self.consecutive >= settings.failures:
                self._trip(now)
                return
        calls = sum(self._calls)
        if calls >= settings.minimum and (
            (settings.rate and sum(self._failed) >= settings.rate * calls)
            or (settings.slow_rate and sum(self._slow) >= settings.slow_rate * calls)
        ):
            self._trip(now)

    def _slot(self, now: float) -> int:
        """The slice of the window that ``now`` falls into, with the slices that have gone out of it emptied."""
        at = int(now * _SLICES / self.settings.window)
        gone = min(_SLICES, at - self._at)
        for step in range(gone):
            slot = (at - step) % _SLICES
            self._calls[slot] = self._failed[slot] = self._slow[slot] = 0
        if gone > 0:
            self._at = at
        return at % _SLICES

    def _trip(self, now: float) -> None:
        self.state, self.opened_at, self._probes, self._passed, self.allowed = OPEN, now, [], 0, False
        shortest = self.settings.open
        doubled = min(shortest * 2 ** min(self.failed_probes, DOUBLED), max(shortest, LONGEST))
        self.open_for = doubled * (1 + self._spread * self._share())

    def _share(self) -> float:
        """From 0 to 1: for this circuit and this time of being open, like no other's."""
        digest = hashlib.blake2b(f"{self._name} {self.epoch}".encode("utf-8", "surrogatepass"), digest_size=4).digest()
        return int.from_bytes(digest) / 2**32

    def _out(self, agent: str) -> None:
        """A probe of this agent is over: of several the newest, so that none passes for newer than it is."""
        for number in range(len(self._probes) - 1, -1, -1):
            if self._probes[number][0] == agent:
                del self._probes[number]
                return

    def _bar(self, agent: str, now: float) -> None:
        self._barred.pop(agent, None)
        self._barred[agent] = now + PATIENCE
        if len(self._barred) > MOST_BARRED:
            del self._barred[next(iter(self._barred))]

    def _half_open(self) -> None:
        self._half_open_at = self.asked_at
        self.state, self._probes, self._passed = HALF_OPEN, [], 0
        self.epoch += 1

    def _close(self) -> None:
        self.state, self.consecutive, self.failed_probes, self.allowed = CLOSED, 0, 0, False
        self._probes, self._barred = [], {}
        self._forget()

    def _forget(self) -> None:
        for counts in (self._calls, self._failed, self._slow):
            counts[:] = [0] * _SLICES
