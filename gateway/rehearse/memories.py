"""What calls find in memories, where files or records say it, and no book knows it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from msgspec import structs

from gateway.config.described import Described, MemorySaid
from gateway.decide.drift import Drift
from gateway.model import (
    Answered,
    Call,
    Change,
    Fields,
    Glance,
    How,
    Learnt,
    Outcome,
    Seen,
    Standing,
    Touch,
)
from gateway.ports import Errand
from gateway.rehearse.records import RecordedKey
from gateway.stores.coherence import CoherenceBook
from gateway.street import Street

_SEEN, _NEWEST = Change("seen", How.FOUND), "newest"


def said_in(described: Described, call: Call) -> Call:
    """The call with what the description says of memories, where it says something."""
    if described.drift or described.unverified:
        call = structs.replace(call, drift=described.drift, unverified=described.unverified)
    if described.memory is None:
        return call
    return structs.replace(call, glances=(glance_of(described.memory, call.tool.name, call.at),))


class SaidMap:
    """Stands in for the map of a tool that is no memory, where the file says what its call finds. Implements
    ``MemoryMap``."""

    def __init__(self, said: MemorySaid) -> None:
        self._said = said

    def touches(self, call: Call) -> tuple[Touch, ...]:
        return (glance_of(self._said, call.tool.name, call.at).touch,)

    def hears(self, call: Call) -> bool:  # noqa: ARG002 - a MemoryMap
        return False

    def ends(self, call: Call, answered: Answered, body: bytes) -> bool:  # noqa: ARG002
        return True

    def learnt(self, call: Call, answered: Answered, body: bytes | None) -> tuple[Learnt, ...]:  # noqa: ARG002
        return ()

    def creates(self, call: Call) -> bool:  # noqa: ARG002
        return False

    def wrote(
        self,
        call: Call,  # noqa: ARG002
        answered: Answered | None,  # noqa: ARG002
        outcome: Outcome,  # noqa: ARG002
        body: bytes | None,  # noqa: ARG002
    ) -> How | None:
        return How.WRITTEN

    def made(self, call: Call, answered: Answered, body: bytes | None) -> tuple[Learnt, ...]:  # noqa: ARG002
        return ()

    def ours(self, call: Call) -> str | None:  # noqa: ARG002
        return None

    def rewritten(self, call: Call, text: str) -> Mapping[str, Any] | None:  # noqa: ARG002
        return None

    def conditions(self, call: Call) -> Fields:  # noqa: ARG002
        return ()


class SaidBook(CoherenceBook):
    """A book in which calls find what the file says of them, where it says something."""

    described: Described | None = None
    """The call that is looking."""

    async def glance(self, call: Call, touches: Sequence[Touch]) -> tuple[int, tuple[Glance, ...]]:
        """What the call finds."""
        edition, found = await super().glance(call, touches)
        said = None if self.described is None else self.described.memory
        return edition, found if said is None else (glance_of(said, call.tool.name, self.now),)

    async def drift(self, call: Call) -> tuple[tuple[str, str], ...]:
        """What has changed since the run saw it."""
        said = () if self.described is None else self.described.drift
        if not said:
            return await super().drift(call)
        return tuple([(memory, key) for memory, _, key in [each.partition("/") for each in said]])

    async def held(
        self,
        call: Call,  # noqa: ARG002 - a Coherence
        memories: Collection[str],  # noqa: ARG002
    ) -> tuple[tuple[tuple[str, str], Seen], ...]:
        """What could not be asked for again; whatever else the run has seen, no store is there to be asked for it."""
        said = () if self.described is None else self.described.unverified
        return tuple([((memory, key), Seen("", 0.0)) for memory, _, key in [each.partition("/") for each in said]])

    async def claim(self, call: Call, glances: Sequence[Glance], seconds: float) -> None:
        """Begin to write; nobody else does where the file says what stands."""
        if self.described is None or self.described.memory is None:
            await super().claim(call, glances, seconds)

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        return self._wall()


class NoStore:
    """Stands where stores are asked again: there is none. Implements ``ports.Revalidation``."""

    def fresh(self, agent: str, place: tuple[str, str], change: str) -> bool:  # noqa: ARG002 - a Revalidation
        return False

    def verified(self, agent: str, place: tuple[str, str], change: str) -> None:
        """Nothing is."""

    async def ask(self, errands: Sequence[Errand]) -> Sequence[tuple[Answered, bytes] | None]:
        return [None for _ in errands]


class _ForAll(Drift):
    """What the file says holds for its call, whichever rules read it."""

    def __init__(self) -> None:
        self.memories = frozenset()

    def counts(self, call: Call) -> bool:  # noqa: ARG002
        return True


def street_of(street: Street, described: Described) -> Street:
    """The street of the call's tool, on which what the file says of memories is found."""
    memory = SaidMap(described.memory) if described.memory is not None and street.memory is None else street.memory
    drift = _ForAll() if described.unverified else street.drift
    drifts = street.drifts or bool(described.drift or described.unverified)
    return structs.replace(street, memory=memory, drifts=drifts, drift=drift)


def glance_of(said: MemorySaid, tool: str, now: float) -> Glance:
    """What is said of one key; ``tool`` names the memory that has no other name, ``now`` is when the call arrives, in
    seconds since the epoch."""
    age = max(said.age, 1.0) if said.old else said.age
    touch = Touch(said.name or tool, said.key, said.writes, max_age=age / 2 if said.old else 0.0)
    return _glance(touch, said.stale, said.read or said.stale, now - age, said.changed_by, now)


def recorded_glance(one: RecordedKey, now: float) -> Glance:
    """What a record says of one key."""
    touch = Touch(one.memory, one.key, one.does != "read", one.does == "delete")
    if one.found == "new":
        return Glance(touch)
    read = one.found in ("stale", "current", "merged")
    at = now - (one.seen_s or 0.0)
    glance = _glance(touch, one.found in ("stale", "merged"), read, at, one.changed_by or "", now)
    return structs.replace(glance, merged=one.changed_by or "somebody") if one.found == "merged" else glance


def _glance(touch: Touch, stale: bool, read: bool, seen: float, by: str, now: float) -> Glance:
    newest = Change(_NEWEST, How.WRITTEN if by else How.FOUND, by, at=now)
    standing = Standing((_SEEN, newest) if stale else (newest,))
    return Glance(touch, standing, Seen(_SEEN.id if stale else _NEWEST, seen) if read else None)
