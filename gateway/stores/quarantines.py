"""Who may make no calls now: agents, runs, tools, or everybody."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.model import Call, Quarantine
from gateway.ports import Clock

Place = tuple[str, tuple[str, ...]]
"""Scope and key of a quarantine."""

EVERYTHING: Place = ("all", ())


class Register:
    """Quarantines in memory, for one process. Used on one loop, so each method is atomic."""

    def __init__(self, wall: Clock) -> None:
        """``wall`` gives seconds since the epoch."""
        self._wall = wall
        self._standing: dict[Place, Quarantine] = {}

    def standing(self, call: Call) -> Quarantine | None:
        """What keeps this call from being made, if anything."""
        if not self._standing:
            return None
        for place in (EVERYTHING, ("agent", (call.agent.id,)), ("tool", (call.tool.name,)), ("run", call.tree)):
            found = self._standing.get(place)
            if found is not None:
                if not found.until or found.until > self._wall():
                    return found
                del self._standing[place]
        return None

    def impose(self, call: Call, scope: str, reason: str, by: str, seconds: float) -> None:
        """Quarantine the call's agent, run or tool for so long; 0 is until somebody lifts it. A run that has no name
        cannot be told from the agent's others: nothing is imposed."""
        keys: dict[str, tuple[str, ...]] = {"agent": (call.agent.id,), "tool": (call.tool.name,), "run": call.tree}
        if scope == "run" and not call.tree[1]:
            return
        now = self._wall()
        self.put(Quarantine(scope, keys[scope], reason, by, now, now + seconds if seconds else 0.0))

    def put(self, quarantine: Quarantine) -> None:
        """Let it stand; one that is there already for the same is replaced."""
        self._standing[quarantine.scope, quarantine.key] = quarantine

    def lift(self, scope: str, key: tuple[str, ...]) -> bool:
        """Whether there was one to lift."""
        return self._standing.pop((scope, key), None) is not None

    def __iter__(self) -> Iterator[Quarantine]:
        now = self._wall()
        return iter([each for each in self._standing.values() if not each.until or each.until > now])
