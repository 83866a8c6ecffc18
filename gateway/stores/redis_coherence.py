"""What all replicas know of memories that tools keep. Implements ``ports.Coherence`` over Redis or Valkey.

The same steps as in one process (``stores/coherence.py``), taken by compare and set. What an answer tells is written
while the agent has it already: the next call of the same run, or to the same key, by this replica waits for that; by
another replica it may find less, and is refused at worst. A writer that cannot be settled counts as gone in time.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct, structs

from gateway.coherence.steps import abandoned, claimed, found, unwritten, with_evidence, written
from gateway.errors import StoreUnavailable
from gateway.model import Call, Change, Glance, Learnt, Seen, Standing, Touch
from gateway.policy.guards import short
from gateway.stores.redis_coherence_scripts import DRIFT, LOOK, STEP
from gateway.stores.redis_link import RedisLink

MOST_KEYS = 20_000
KEPT = 86_400
"""Seconds for which what nobody uses is remembered."""
_TEXTS, _LONGEST = 3, 2048
"""Changes of a key whose texts are remembered, of so many characters at most."""
MOST_CLAIMS = 10_000
"""Calls under way whose claims are remembered here; of others, Redis is asked."""
_TRIES = 20
_AGAIN = (0.1, 0.3, 1.0, 3.0)
"""Seconds between attempts to write down how a call has ended."""

log = logging.getLogger("toolgate.state")

_Place = tuple[str, str]


class _Noted(Struct, array_like=True):
    """What a run has seen, as it is stored."""

    memory: str
    key: str
    seen: Seen


class _Found(Struct):
    """One key, as it stands in Redis."""

    place: _Place
    edition: int
    changed: int
    """The edition in which its newest change came, or its writer."""
    standing: Standing | None
    raw: Standing | None
    """Before a writer that has gone was taken for gone."""
    seen: Seen | None = None
    spilt: tuple[str, ...] = ()
    """Where nothing is known of it: labels of what has been forgotten."""

    @property
    def steady(self) -> int:
        """Its edition, where time alone does not change how it stands, and something is known; else 0."""
        return 0 if self.raw is None or self.raw.writer else self.edition

    def now(self, at: float) -> _Found:
        """The same, where nothing but time has passed."""
        standing = None if self.raw is None else abandoned(self.raw, at)
        return _Found(self.place, self.edition, self.changed, standing, self.raw, self.seen)


class _Next(Struct):
    """What is to come in its place. ``sees``: what the run has seen of it changes to ``seen``."""

    standing: Standing | None
    sees: bool = False
    seen: Seen | None = None


class RedisCoherence:
    """How keys stand, and what runs have seen, for all replicas."""

    def __init__(self, link: RedisLink, prefix: str, wall: Callable[[], float], most: int = MOST_KEYS) -> None:
        """``wall`` gives seconds since the epoch; the clocks of all replicas must agree."""
        self._link, self._wall, self._most = link, wall, most
        self._home = f"{prefix}{{state}}:coherence"
        self._under_way: dict[str, set[asyncio.Task[None]]] = {}
        self._claims: dict[str, list[_Found]] = {}
        """How keys stand since calls under way have claimed them, by call."""

    async def glance(self, call: Call, touches: Sequence[Touch]) -> tuple[int, tuple[Glance, ...]]:
        """What the call finds."""
        places = [_place(touch.place) for touch in touches]
        await self._told(call, places)
        edition, _, rows = await self._look(call, places, [not touch.writes for touch in touches])
        glances = [
            Glance(touch, row.standing, row.seen, labels=row.spilt, edition=row.steady)
            for touch, row in zip(touches, rows, strict=True)
        ]
        return edition, tuple(glances)

    async def drift(self, call: Call) -> tuple[_Place, ...]:
        """What has changed since the run saw it."""
        return tuple([(noted.memory, noted.key) for noted, stands in await self._all_seen(call) if not stands])

    async def held(self, call: Call, memories: Collection[str]) -> tuple[tuple[_Place, Seen], ...]:
        """What still stands as the run saw it."""
        noted = [noted for noted, stands in await self._all_seen(call) if stands and noted.memory in memories]
        return tuple([((each.memory, each.key), each.seen) for each in noted])

    async def _all_seen(self, call: Call) -> list[tuple[_Noted, bool]]:
        """All that the run has seen, and whether it still stands so."""
        await self._told(call, ())
        rows = await self._link.run(DRIFT, (self._keys(call)[0], self._keys(call)[3]), ())
        found, several = [], iter(rows)
        for noted, head in zip(several, several, strict=True):
            kept = _noted.decode(noted)
            newest, writer, until = head.decode().split(" ") if head else ("", "-", "0")
            gone = writer != "-" and float(until) <= self._wall()
            found.append((kept, not gone and bool(head) and _named(kept.seen.change) == newest))
        return found

    async def claim(self, call: Call, glances: Sequence[Glance], seconds: float) -> None:
        """Begin to write, all or nothing."""
        by_place = {_place(glance.touch.place): glance for glance in glances}

        def begun(row: _Found) -> _Next:
            if row.raw is not None and row.raw.writer == call.id:
                return _Next(row.raw)  # it was written down, and the answer was lost
            now = self._wall()
            return _Next(claimed(row.raw, by_place[row.place], call.id, call.agent.id, now, now + seconds))

        await self._told(call, list(by_place))
        try:
            claims = await self._step(call, list(by_place), begun, known=_known(glances))
        except StoreUnavailable:
            self.release(call, glances)  # it may have been claimed all the same
            raise
        if len(self._claims) < MOST_CLAIMS:
            self._claims[call.id] = claims

    def settle(self, call: Call, glances: Sequence[Glance], change: Change, made: Sequence[Learnt] = ()) -> None:
        """A write has ended."""
        told = {_place(learnt.place): learnt for learnt in made}
        began = {_place(glance.touch.place): glance for glance in glances}

        def ended(row: _Found) -> _Next:
            known = change if (learnt := told.get(row.place)) is None else with_evidence(change, learnt)
            if row.raw is not None and row.raw.find(change.id) is not None:
                return _Next(row.raw)
            standing, seen = written(row.standing, began.get(row.place), known)
            return _Next(standing, True, seen)

        self._later(call, list({**began, **told}), ended, known=self._claims.pop(call.id, ()))

    def release(self, call: Call, glances: Sequence[Glance]) -> None:
        """A write has not been made."""

        def ended(row: _Found) -> _Next:
            return _Next(unwritten(row.standing, call.id))

        places = [_place(glance.touch.place) for glance in glances]
        self._later(call, places, ended, known=self._claims.pop(call.id, ()))

    def learn(
        self,
        call: Call,
        glances: Sequence[Glance],
        learnt: Sequence[Learnt],
        change: Change,
        mark: Callable[[tuple[str, ...]], object] | None = None,
    ) -> None:
        """An answer tells something."""
        told = {_place(each.place): each for each in learnt}
        began = {_place(glance.touch.place): glance for glance in glances}

        def ended(row: _Found, forgot: int) -> _Next:
            glance = began.get(row.place)
            if row.standing is None:
                known = forgot <= call.edition and (glance is None or glance.standing is None)
                glance = Glance(Touch(*row.place)) if known else None
            elif glance is None and row.changed <= call.edition:
                glance = Glance(Touch(*row.place), row.standing)
            new = change if row.standing is not None else structs.replace(change, labels=row.spilt)
            standing, seen = found(row.standing, glance, told[row.place], new)
            if mark is not None and standing.newest.labels:
                mark(standing.newest.labels)
            return _Next(standing, True, seen)

        self._later(call, list(told), ended, forgets=True, known=_known(glances))

    async def close(self) -> None:
        """Wait for what is still being written down."""
        tasks = [task for several in self._under_way.values() for task in several]
        if tasks:
            await asyncio.wait(tasks, timeout=2.0)

    def _later(self, call: Call, places: list[_Place], step: Any, **how: Any) -> None:
        task = asyncio.get_running_loop().create_task(self._surely(call, places, step, **how))
        for name in (_run(call), *map(_field, places)):
            self._under_way.setdefault(name, set()).add(task)
            task.add_done_callback(partial(self._done, name))

    def _done(self, name: str, task: asyncio.Task[None]) -> None:
        several = self._under_way[name]
        several.discard(task)
        if not several:
            del self._under_way[name]

    async def _surely(self, call: Call, places: list[_Place], step: Any, **how: Any) -> None:
        for pause in (*_AGAIN, None):
            try:
                await self._step(call, places, step, **how)
            except StoreUnavailable as error:
                if pause is None:
                    log.warning("what call %s did to a memory could not be written down: %s", call.id, error)
                else:
                    await asyncio.sleep(pause)
            else:
                return

    async def _told(self, call: Call, places: Sequence[_Place]) -> None:
        """Wait for what this replica has not written down yet of this run, and of these keys."""
        names = [_run(call), *map(_field, places)]
        tasks = {task for name in names for task in self._under_way.get(name, ())}
        if tasks:
            await asyncio.wait(tasks, timeout=sum(_AGAIN))

    async def _step(
        self, call: Call, places: list[_Place], step: Any, *, forgets: bool = False, known: Sequence[_Found] = ()
    ) -> list[_Found]:
        """Take a step at each of these keys; all of them, or none. Gives how they stand then. ``known`` is how they
        stood when this replica last looked: nothing more is asked where that holds for all of them.

        Raises:
            StoreUnavailable: Redis cannot be reached, or others were faster again and again.
        """
        by_place = {row.place: row for row in known}
        rows = [by_place[place].now(self._wall()) for place in places if place in by_place]
        forgot = 0  # of no interest where something is known of all of them
        for number in range(_TRIES):
            if number or len(rows) < len(places):
                _, forgot, rows = await self._look(call, places)
            taken = [(row, step(row, forgot) if forgets else step(row)) for row in rows]
            given: list[Any] = []
            for row, after in taken:
                given += [_field(row.place), row.edition, *self._written(row, after)]
            first = (f"{self._wall():.3f}", self._most, KEPT, len(rows))
            if edition := await self._link.run(STEP, self._keys(call), (*first, *given)):
                return [
                    _Found(row.place, edition + at, 0, after.standing, after.standing)
                    for at, (row, after) in enumerate(taken)
                ]
        raise StoreUnavailable("others change the same keys all the time")

    def _written(self, row: _Found, after: _Next) -> tuple[int, str, str, str]:
        """Whether it is still the same change, its last use, how it stands, and what the run has seen."""
        noted = ""
        if after.sees:
            noted = "-" if after.seen is None else _encoded(_Noted(*row.place, after.seen))
        standing, now = after.standing, self._wall()
        if standing is None:
            return 0, "0", "", noted
        before = row.raw
        same = before is not None and (before.newest.id, before.writer) == (standing.newest.id, standing.writer)
        head = f"{_named(standing.newest.id)} {_named(standing.writer)} {standing.until:.3f}"
        return int(same), f"{max(now, standing.until):.3f}", f"{head} {_encoded(_lean(standing))}", noted

    async def _look(
        self, call: Call, places: Sequence[_Place], anew: Sequence[bool] = ()
    ) -> tuple[int, int, list[_Found]]:
        """``anew``: which of them the run is about to read. What it has seen counts no more from then on, since another
        replica may not hear in time what it sees now."""
        args = [f"{self._wall():.3f}"]
        for place, reads in zip(places, anew or [False] * len(places), strict=True):
            args += [_field(place), "1" if reads else "0"]
        edition, forgot, labels, *kept = await self._link.run(LOOK, self._keys(call), args)
        spilt = tuple(labels.decode().split("\n")) if labels else ()
        rows, several = [], iter(kept)
        for place, stands, noted in zip(places, several, several, strict=True):
            seen = _noted.decode(noted).seen if noted else None
            if not stands:
                rows.append(_Found(place, 0, 0, None, None, seen, spilt))
                continue
            number, changed, _, _, _, text = stands.split(b" ", 5)
            raw = _standing.decode(text)
            rows.append(_Found(place, int(number), int(changed), abandoned(raw, self._wall()), raw, seen))
        return int(edition), int(forgot), rows

    def _keys(self, call: Call) -> tuple[str, str, str, str, str]:
        home = self._home
        return home, f"{home}:used", f"{home}:head", f"{home}:seen:{_run(call)}", f"{home}:spilt"


_standing = msgspec.json.Decoder(Standing)
_noted = msgspec.json.Decoder(_Noted)


def _encoded(value: Struct) -> str:
    return msgspec.json.encode(value).decode()


def _lean(standing: Standing) -> Standing:
    """With no more texts than all replicas can keep of all keys; without them there is no difference to show."""
    last = len(standing.changes) - _TEXTS
    changes = [
        structs.replace(change, text=None) if number < last or len(change.text or "") > _LONGEST else change
        for number, change in enumerate(standing.changes)
    ]
    return structs.replace(standing, changes=tuple(changes))


def _known(glances: Sequence[Glance]) -> list[_Found]:
    return [
        _Found(_place(glance.touch.place), glance.edition, 0, glance.standing, glance.standing)
        for glance in glances
        if glance.edition
    ]


def _place(place: _Place) -> _Place:
    return place[0], short(place[1])


def _field(place: _Place) -> str:
    return _digest(*place)


def _run(call: Call) -> str:
    return _digest(call.agent.id, call.run.id)


def _digest(*parts: str) -> str:
    about = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(about).hexdigest()[:40]


def _named(ident: str) -> str:
    """An id where it stands between spaces."""
    return ident or "-"
