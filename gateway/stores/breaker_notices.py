"""Circuits on the board: one that opens here opens everywhere, one replica probes for all, and what an operator says of
a breaker holds for all.

Away from the store each replica goes on by itself: what it has heard stands, and it probes when the time has come.
"""

from __future__ import annotations

import asyncio
import logging

import msgspec

from gateway.errors import StoreUnavailable
from gateway.ports import Board, Clock
from gateway.stores.circuit import LEASE, Circuit
from gateway.stores.circuits import SPREAD, Circuits, Key, Sharing, Word
from gateway.stores.notices import Notices

WORDS, TRIPS = "breaker", "circuit"
"""Kinds on the board: what operators say, and what circuits did by themselves."""

MOST_TOLD = 1000
"""Open circuits of this replica that others are told of at once: agents may think of ever new operations."""

log = logging.getLogger("toolgate.state")


class Trip(msgspec.Struct, frozen=True):
    """A circuit has opened (``seconds`` above 0) or closed. ``since`` is in seconds since the epoch."""

    holder: str
    since: float
    seconds: float = 0.0
    failed_probes: int = 0


class BreakerNotices:
    """Between the circuits of this process and the board."""

    def __init__(self, board: Board, holder: str, circuits: Circuits, clock: Clock, wall: Clock) -> None:
        """``clock`` is monotonic, ``wall`` gives seconds since the epoch."""
        self._board, self._holder, self._circuits = board, holder, circuits
        self._clock, self._wall = clock, wall
        self._words = Notices(board, WORDS, self._hear_word)
        self._trips = Notices(board, TRIPS, self._hear_trip)
        self._told: dict[Key, float] = {}
        """Circuits that others were told are open, and until when they remember it (monotonic)."""
        self._asking: set[asyncio.Task[None]] = set()
        circuits.spread = SPREAD

    def start(self, *, shared: bool) -> None:
        """Learn what stands. ``shared``: other replicas may use the same board."""
        self._words.start()
        if shared:
            self._circuits.share(Sharing(self._opened, self._closed, self._ask))
            self._trips.start()

    async def close(self) -> None:
        """Say what is unsaid, if that can be done soon."""
        for task in self._asking:
            task.cancel()
        await self._words.close()
        await self._trips.close()

    def say(self, key: Key, word: Word | None) -> None:
        """Let an operator's word stand for all replicas, or take it back (None)."""
        self._apply(key, word)
        seconds = max(0.001, word.until - self._wall()) if word is not None and word.until else 0.0
        self._words.say(_text(key), None if word is None else msgspec.json.encode(word), seconds)

    async def said(self) -> bool:
        """Wait, but not for long, for the store to have all words that were said here. Whether it has."""
        return await self._words.said()

    def _apply(self, key: Key, word: Word | None) -> None:
        until = self._clock() + word.until - self._wall() if word is not None and word.until else 0.0
        self._circuits.say(key, word, until)

    def _hear_word(self, text: str, value: bytes | None) -> None:
        try:
            key = msgspec.json.decode(text, type=tuple[str, ...])
            self._apply(key, None if value is None else msgspec.json.decode(value, type=Word))
        except msgspec.DecodeError:
            log.warning("a word on a breaker in the state cannot be read: %.200r", text)

    def _opened(self, key: Key, circuit: Circuit) -> None:
        now = self._clock()
        if len(self._told) >= MOST_TOLD:
            self._told = {each: until for each, until in self._told.items() if until > now}
        if key not in self._told and len(self._told) >= MOST_TOLD:
            return
        seconds = circuit.open_for + 2 * LEASE  # beyond its probes; one that nobody asks for by then is forgotten
        self._told[key] = now + seconds
        trip = Trip(self._holder, self._wall() - (now - circuit.opened_at), circuit.open_for, circuit.failed_probes)
        self._trips.say(_text(key), msgspec.json.encode(trip), seconds)

    def _closed(self, key: Key, circuit: Circuit) -> None:  # noqa: ARG002
        self._told.pop(key, None)
        self._trips.say(_text(key), msgspec.json.encode(Trip(self._holder, self._wall())), LEASE)

    def _hear_trip(self, text: str, value: bytes | None) -> None:
        try:
            key = msgspec.json.decode(text, type=tuple[str, ...])
            trip = None if value is None else msgspec.json.decode(value, type=Trip)
        except msgspec.DecodeError:
            log.warning("a circuit in the state cannot be read: %.200r", text)
            return
        if trip is None:  # its time on the board is over, which says nothing of the tool
            self._circuits.forget_heard(key)
            return
        if trip.holder == self._holder:
            return
        self._told.pop(key, None)
        if not trip.seconds:
            self._circuits.hear_closed(key)
            return
        ago = max(0.0, self._wall() - trip.since)  # clocks differ: it has not opened in the future
        self._circuits.hear_opened(key, self._clock() - ago, trip.seconds, trip.failed_probes)

    def _ask(self, key: Key, circuit: Circuit) -> None:
        task = asyncio.get_running_loop().create_task(self._seize(key, circuit))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _seize(self, key: Key, circuit: Circuit) -> None:
        """Each time of being open has one replica that probes; after a while without a word of it, another may."""
        opened_at = circuit.opened_at
        try:
            mine = await self._board.seize(f"{TRIPS}:{_text(key)}:{circuit.failed_probes}", self._probing(circuit))
        except StoreUnavailable:
            mine = True
        if mine and circuit.opened_at == opened_at:
            circuit.allow()

    @staticmethod
    def _probing(circuit: Circuit) -> float:
        """Seconds for which a replica alone may probe. Shorter than the next time of being open, so that it does not
        stand in the way of the next one to probe."""
        return max(1.0, circuit.settings.open)


def _text(key: Key) -> str:
    return msgspec.json.encode(key).decode()
