"""Who may make no calls now: agents, runs, tools, or everybody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from gateway.model import Call, Quarantine
from gateway.policy.guards import short
from gateway.policy.visible import visible
from gateway.ports import Clock

Place = tuple[str, tuple[str, ...]]
"""Scope and key of a quarantine."""

SCOPES = ("all", "agent", "tool", "run")
EVERYTHING: Place = ("all", ())

MOST_RUNS = 100
"""Runs of one agent that are quarantined at once; with one more, the agent itself is. Agents think of ids of runs, and
must not fill the memory with them, nor go on by taking ever new ones."""

MOST = 20_000
"""Quarantines that stand at once; beyond, the oldest that a rule imposed is lifted for a new one, never a person's."""

SWEEP = 1000
"""Entries at which those that have ended are forgotten."""


def _nobody(*_: object) -> None:
    """Where nobody wants to be told."""


class Register:
    """Quarantines by what is quarantined. Used on one loop, so each method is atomic; no call pays where there are
    none."""

    def __init__(
        self,
        wall: Clock,
        announce: Callable[[Place, Quarantine | None], None] = _nobody,
        heed: Callable[[Quarantine], None] = _nobody,
    ) -> None:
        """``wall`` gives seconds since the epoch. ``announce`` is told what is imposed or lifted (None) here, for other
        replicas; ``heed`` of all that comes to stand, wherever it was imposed."""
        self._wall, self._announce, self._heed = wall, announce, heed
        self._standing: dict[Place, Quarantine] = {}
        self._sweep_at = SWEEP
        self.refused: Counter[str] = Counter()
        """Calls that were kept from being made, by scope."""

    def standing(self, call: Call) -> Quarantine | None:
        """What keeps this call from being made, if anything."""
        if not self._standing:
            return None
        agent, run = call.tree
        for place in (
            EVERYTHING,
            ("agent", (call.agent.id,)),
            ("tool", (call.tool.name,)),
            ("run", (agent, short(run))),
        ):
            found = self._standing.get(place)
            if found is not None:
                if self._stands(found):
                    self.refused[place[0]] += 1
                    return found
                del self._standing[place]
        return None

    def impose(self, call: Call, scope: str, reason: str, by: str, seconds: float) -> None:
        """Quarantine the call's agent, run or tool for so long; 0 is until somebody lifts it. A run that has no name
        cannot be told from the agent's others: nothing is imposed. What stands already is never shortened by this."""
        if scope == "run" and not call.tree[1]:
            return
        place, now = place_of(call, scope), self._wall()
        until = now + seconds if seconds else 0.0
        if scope == "run" and place not in self._standing and self._runs_of(place[1][0]) >= MOST_RUNS:
            reason = f"{MOST_RUNS} of its runs are quarantined, and one more: {reason}"
            place = place_of(call, "agent")
        before = self._standing.get(place)
        if before is not None and self._stands(before) and (not before.until or 0 < until <= before.until):
            return
        if before is None and len(self._standing) >= MOST:
            self._make_room()
        self.put(Quarantine(place[0], place[1], reason, by, now, until))

    def put(self, quarantine: Quarantine) -> None:
        """Let it stand, for all; one that is there already for the same is replaced."""
        place = (quarantine.scope, quarantine.key)
        self.hear(place, quarantine)
        self._announce(place, quarantine)

    def lift(self, scope: str, key: tuple[str, ...]) -> bool:
        """Lift it, for all. Whether there was one to lift."""
        found = self._standing.pop((scope, key), None)
        self._announce((scope, key), None)
        return found is not None and self._stands(found)

    def hear(self, place: Place, quarantine: Quarantine | None) -> None:
        """Another replica has imposed it, or lifted it (None)."""
        if quarantine is None:
            self._standing.pop(place, None)
        elif self._stands(quarantine) and self._standing.get(place) != quarantine:
            self._tidy()
            self._standing[place] = quarantine
            self._heed(quarantine)

    def counts(self) -> Iterator[tuple[str, int]]:
        """Each scope, and how many quarantines of it stand."""
        found = Counter(each.scope for each in self)
        return iter([(scope, found[scope]) for scope in SCOPES])

    def __iter__(self) -> Iterator[Quarantine]:
        return iter([each for each in self._standing.values() if self._stands(each)])

    def _stands(self, quarantine: Quarantine) -> bool:
        return not quarantine.until or quarantine.until > self._wall()

    def _runs_of(self, agent: str) -> int:
        return sum(each.scope == "run" and each.key[0] == agent for each in self)

    def _make_room(self) -> None:
        """Ids of agents may be whatever a trusted peer says: they must not fill the memory either."""
        oldest = next((place for place, each in self._standing.items() if each.by_rule), None)
        if oldest is not None:
            self.lift(*oldest)

    def _tidy(self) -> None:
        if len(self._standing) >= self._sweep_at:
            self._standing = {place: each for place, each in self._standing.items() if self._stands(each)}
            self._sweep_at = max(SWEEP, 2 * len(self._standing))


def place_of(call: Call, scope: str) -> Place:
    """What a quarantine of this scope must stand for to keep the call from being made."""
    if scope == "agent":
        return scope, (call.agent.id,)
    if scope == "tool":
        return scope, (call.tool.name,)
    if scope == "run":
        agent, run = call.tree
        return scope, (agent, short(run))
    return EVERYTHING


def covers(quarantine: Quarantine, call: Call) -> bool:
    """Whether it keeps this call from being made."""
    return place_of(call, quarantine.scope) == (quarantine.scope, quarantine.key)


def told(quarantine: Quarantine) -> str:
    """One line for the log."""
    what = " ".join((quarantine.scope, *quarantine.key))
    until = datetime.fromtimestamp(quarantine.until, UTC).isoformat(timespec="seconds") if quarantine.until else ""
    end = f"until {until}" if until else "until it is lifted"
    line = f"quarantined by {quarantine.by}, {end}: {what}: {quarantine.reason}"
    return visible(line).replace("\n", "\\n")
