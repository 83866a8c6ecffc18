"""What one process knows of memories that tools keep. Implements ``ports.Coherence``; bounded, and shared fairly.

What has been pushed out makes nothing unsafe: what a run has seen of a key of which nothing is known any more counts as
stale, and who has seen nothing must read first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence

from msgspec import structs

from gateway.coherence.steps import abandoned, claimed, found, unwritten, with_evidence, written
from gateway.model import Call, Change, Glance, Learnt, Seen, Standing, Touch
from gateway.policy.guards import short
from gateway.stores.shares import Shares

MOST_KEYS = 20_000
MOST_RUNS = 10_000
MOST_SEEN = 1_000
"""Keys that are remembered of one run."""

MOST_TEXT = 32 << 20
"""Characters that are remembered of what stands under all keys together."""

_Place = tuple[str, str]
_RunKey = tuple[str, str]


def _run(call: Call) -> _RunKey:
    """Whose reads count for whose writes: those of one run of one agent. Another agent has not seen what this one saw,
    also where one led to the other."""
    return call.agent.id, short(call.run.id)


def _place(place: _Place) -> _Place:
    return place[0], short(place[1])


class CoherenceBook:
    """How keys stand, and what runs have seen."""

    def __init__(self, wall: Callable[[], float], most: int = MOST_KEYS, most_text: int = MOST_TEXT) -> None:
        """``wall`` gives seconds since the epoch; ``most`` keys are remembered, and ``most_text`` characters."""
        self._wall = wall
        self._most_text, self._text = most_text, 0
        self._lengths: dict[_Place, int] = {}
        """Characters of each key, which make up the sum."""
        self._labelled: dict[_Place, tuple[str, ...]] = {}
        self._spilt: dict[str, tuple[str, ...]] = {}
        """Labels of keys that have labels; and of those that have been forgotten, by memory."""
        self._standings: Shares[_Place, tuple[int, Standing]] = Shares(most)
        self._written: dict[_Place, tuple[int, Standing]] = {}
        """Those that are being written: never pushed out, and no more than calls under way."""
        self._seen: Shares[_RunKey, OrderedDict[_Place, Seen]] = Shares(MOST_RUNS)
        self._edition = self._forgot = 0
        """Grows with each change of how a key stands; and what it was when a key was forgotten last."""

    async def glance(self, call: Call, touches: Sequence[Touch]) -> tuple[int, tuple[Glance, ...]]:
        """What the call finds."""
        return self._edition, tuple([self._glance(call, touch) for touch in touches])

    async def drift(self, call: Call) -> tuple[_Place, ...]:
        """What has changed since the run saw it."""
        seen = self._seen.use(_run(call))
        if seen is None:
            return ()
        return tuple([place for place, what in seen.items() if self._superseded(place, what)])

    async def held(self, call: Call, memories: Collection[str]) -> tuple[tuple[_Place, Seen], ...]:
        """What still stands as the run saw it."""
        seen = self._seen.use(_run(call))
        ours = [] if seen is None else [each for each in seen.items() if each[0][0] in memories]
        return tuple([(place, what) for place, what in ours if not self._superseded(place, what)])

    async def claim(self, call: Call, glances: Sequence[Glance], seconds: float) -> None:
        """Begin to write, all or nothing."""
        now = self._wall()
        begun = []
        for glance in glances:
            place = _place(glance.touch.place)
            stands = self._standing(place)
            begun.append((place, claimed(stands, glance, call.id, call.agent.id, now, now + seconds)))
        for place, standing in begun:
            self._put(call, place, standing)

    def settle(self, call: Call, glances: Sequence[Glance], change: Change, made: Sequence[Learnt] = ()) -> None:
        """A write has ended."""
        told = {_place(learnt.place): learnt for learnt in made}
        began = {_place(glance.touch.place): glance for glance in glances}
        for place in {**began, **told}:
            known = change if (learnt := told.get(place)) is None else with_evidence(change, learnt)
            standing, seen = written(self._standing(place), began.get(place), known)
            self._put(call, place, standing)
            self._see(call, place, seen)

    def release(self, call: Call, glances: Sequence[Glance]) -> None:
        """A write has not been made."""
        for glance in glances:
            place = _place(glance.touch.place)
            self._put(call, place, unwritten(self._standing(place), call.id))

    def learn(
        self,
        call: Call,
        glances: Sequence[Glance],
        learnt: Sequence[Learnt],
        change: Change,
        mark: Callable[[tuple[str, ...]], object] | None = None,
    ) -> None:
        """An answer tells something."""
        began = {_place(glance.touch.place): glance for glance in glances}
        for told in learnt:
            place = _place(told.place)
            stands = self._standing(place)
            new = change if stands is not None else structs.replace(change, labels=self._spilt.get(place[0], ()))
            standing, seen = found(stands, self._began(call, place, began.get(place)), told, new)
            if mark is not None and standing.newest.labels:
                mark(standing.newest.labels)
            self._put(call, place, standing)
            self._see(call, place, seen)

    def _began(self, call: Call, place: _Place, glance: Glance | None) -> Glance | None:
        """What stood when the call came; of a key that only its answer names, what stands, where that has not changed
        since."""
        kept = self._kept(place)
        if kept is None:
            known = self._forgot <= call.edition and (glance is None or glance.standing is None)
            return Glance(Touch(*place)) if known else None
        if glance is None and kept[0] <= call.edition:
            return Glance(Touch(*place), kept[1])
        return glance

    def _glance(self, call: Call, touch: Touch) -> Glance:
        place = _place(touch.place)
        standing = self._standing(place)
        seen = self._seen.use(_run(call))
        labels = self._spilt.get(place[0], ()) if standing is None else ()
        return Glance(touch, standing, None if seen is None else seen.get(place), labels=labels)

    def _standing(self, place: _Place) -> Standing | None:
        kept = self._kept(place)
        return None if kept is None else abandoned(kept[1], self._wall())

    def _kept(self, place: _Place) -> tuple[int, Standing] | None:
        """With the edition in which it came to stand so."""
        return self._written.get(place) or self._standings.use(place)

    def _superseded(self, place: _Place, seen: Seen) -> bool:
        return Glance(Touch(*place), self._standing(place), seen).stale

    def _put(self, call: Call, place: _Place, standing: Standing | None) -> None:
        self._edition += 1
        kept = self._kept(place)
        self._written.pop(place, None)
        if standing is None:
            self._drop(place)
            return
        same = kept is not None and (kept[1].newest.id, kept[1].writer) == (standing.newest.id, standing.writer)
        stands = (kept[0] if kept is not None and same else self._edition, standing)
        if standing.writer:
            self._written[place] = stands
        # for whoever touched it first: who floods a memory with keys pushes out such keys, not others'
        owner = self._standings.owner(place) or call.agent.id
        length = sum(len(change.text or "") for change in standing.changes)
        self._text += length - self._lengths.get(place, 0)
        self._lengths[place] = length
        if standing.newest.labels:
            self._labelled[place] = standing.newest.labels
        else:
            self._labelled.pop(place, None)
        gone = self._standings.put(owner, place, stands)
        if gone is not None:
            self._forget(gone)
        self._bound(owner, place)

    def _bound(self, owner: str, place: _Place) -> None:
        """Where too much text is remembered, whoever adds to it loses what it used least recently; then all others."""
        while self._text > self._most_text:
            oldest = self._standings.oldest_of(owner)
            if oldest is None or oldest == place:
                first = self._standings.oldest()
                oldest = None if first is None else first[0]
            if oldest is None or oldest == place:
                return
            self._standings.pop(oldest)
            self._forget(oldest)

    def _forget(self, place: _Place) -> None:
        """What has been pushed out may be read later, and nobody knows by then whose it is: its labels are those of all
        of which nothing is known, or who floods a memory could wash what it has written there."""
        self._forgot = self._edition
        labels = self._labelled.get(place, ())
        if labels:
            self._spilt[place[0]] = tuple(dict.fromkeys([*self._spilt.get(place[0], ()), *labels]))
        self._drop(place)

    def _drop(self, place: _Place) -> None:
        self._standings.pop(place)
        self._labelled.pop(place, None)
        self._text -= self._lengths.pop(place, 0)

    def _see(self, call: Call, place: _Place, seen: Seen | None) -> None:
        run = _run(call)
        having = self._seen.use(run)
        if having is None:
            having = OrderedDict()
            self._seen.put(run[0], run, having)
        if seen is None:
            having.pop(place, None)
            return
        having[place] = seen
        having.move_to_end(place)
        if len(having) > MOST_SEEN:
            having.popitem(last=False)
