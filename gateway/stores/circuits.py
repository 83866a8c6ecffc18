"""Circuits behind breakers, in memory; see ``circuit.py`` for how one opens and closes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import Struct

from gateway.model import Answered, CircuitClaim, Hold, Outcome
from gateway.stores.circuit import CLOSED, OPEN, Circuit
from gateway.stores.keeper import Keeper

Key = tuple[str, ...]
"""The breaker's name, the tool, and the operation where each has a circuit of its own."""

PROBE = "probe"
"""The state written on a hold that passed a half-open circuit; its ``left`` is the circuit's epoch."""

SWEEP = 10_000
"""Circuits at which those that say nothing are forgotten."""

MOST = 50_000
"""Circuits that are kept then, the newest: agents may think of ever new operations, and make them fail. Those that are
not closed are kept before all others."""

SPREAD = 0.2
"""The spread of circuits in a process, see ``Circuit``; cases of policies have none, so that their times are round."""

HELD = {OPEN: "held open", CLOSED: "held closed"}
"""The state written on a hold where an operator's word stands."""


class Word(Struct, frozen=True):
    """An operator's word on circuits: open or closed, whatever they would be by themselves. ``until`` is in seconds
    since the epoch, 0 until it is taken back."""

    state: str
    reason: str
    by: str
    since: float
    until: float = 0.0


class CircuitLine(Struct, frozen=True):
    """How a circuit stands. ``probe_in`` is in seconds, 0 where it is not open; ``failures`` are consecutive."""

    key: Key
    state: str
    probe_in: float
    failures: int


class Sharing(Struct, frozen=True):
    """How circuits are shared with other replicas. Each is called at once and must not wait."""

    opened: Callable[[Key, Circuit], None]
    """A circuit has opened here."""
    closed: Callable[[Key, Circuit], None]
    """A circuit has closed here, after its probes."""
    ask: Callable[[Key, Circuit], None]
    """May this replica probe? ``Circuit.allow`` is the answer, if so."""


class Circuits(Keeper[CircuitClaim]):
    """One circuit for each key, and the operators' words on them. A word for a shorter key is for all that begin so."""

    hears = True
    ends = True

    def __init__(self) -> None:
        self._circuits: dict[Key, Circuit] = {}
        self._sweep_at = SWEEP
        self._words: dict[Key, tuple[Word, float]] = {}
        self._heard: dict[Key, tuple[float, float, int]] = {}
        """Circuits that others have opened and nobody has asked for here: since when, for how long, failed probes."""
        self._sharing: Sharing | None = None
        self.spread = 0.0
        """How much longer than told circuits may stay open, as a share."""

    def share(self, sharing: Sharing) -> None:
        """From now on circuits are shared with other replicas. Before the first call."""
        self._sharing = sharing

    def look(self, claim: CircuitClaim, now: float) -> Hold:
        circuit = self._circuit(claim)
        if self._words and (found := self._word(claim.key, now)) is not None:
            word, until = found
            left = until - now if word.until else 0.0
            return Hold(claim, word.state == CLOSED, 0.0, left, HELD[word.state], word.reason)
        ok, wait = circuit.admits(now, claim.agent)
        if not ok and self._sharing is not None and circuit.wants(now):
            self._sharing.ask(claim.key, circuit)
        return Hold(claim, ok, 0.0, wait, circuit.state)

    def take(self, claim: CircuitClaim, hold: Hold, now: float) -> Hold:  # noqa: ARG002
        if hold.state == HELD[CLOSED]:
            return hold
        epoch = self._circuits[claim.key].enter(claim.agent)
        return Hold(claim, True, epoch, 0.0, PROBE) if epoch else hold

    def answered(self, hold: Hold, answer: Answered, now: float) -> None:
        """Circuits learn from the head of the answer: 5xx is a failure, 4xx (429 too) is not the tool's fault."""
        claim = hold.claim
        if not isinstance(claim, CircuitClaim):
            raise TypeError(f"not a claim of a breaker: {claim!r}")
        settings = claim.settings
        if settings.result_errors and answer.status < 500:
            return  # whether it failed is known at its end
        circuit = self._circuits.get(claim.key)
        if circuit is not None:
            before = circuit.state
            slow = settings.slow > 0 and answer.first_byte >= settings.slow
            circuit.leave(_probe(hold), answer.status < 500, slow, now, claim.agent, ended=False)
            if circuit.state != before:
                self._changed(claim.key, circuit)

    def settle(self, hold: Hold, outcome: Outcome, now: float) -> None:
        """Tell circuits of calls that never got an answer, or whose answer broke off."""
        claim = hold.claim
        circuit = self._circuits.get(claim.key)
        if circuit is None or not isinstance(claim, CircuitClaim):
            return
        before = circuit.state
        self._ended(circuit, claim, hold, outcome, now)
        if circuit.state != before:
            self._changed(claim.key, circuit)

    @staticmethod
    def _ended(circuit: Circuit, claim: CircuitClaim, hold: Hold, outcome: Outcome, now: float) -> None:
        settings = claim.settings
        broken = outcome.fault == "tool"
        if settings.result_errors and 0 < outcome.upstream < 500:
            slow = settings.slow > 0 and outcome.first_byte >= settings.slow
            failed = broken or outcome.found.is_error
            nobody_knows = outcome.fault and not failed
            circuit.leave(_probe(hold), None if nobody_knows else not failed, slow, now, claim.agent)
        elif not outcome.upstream:
            circuit.leave(_probe(hold), False if broken else None, False, now, claim.agent)
        elif outcome.upstream < 500:
            circuit.end(now, broken=broken)

    def release(self, hold: Hold, now: float) -> None:
        claim = hold.claim
        circuit = self._circuits.get(claim.key)
        if circuit is not None and isinstance(claim, CircuitClaim):
            circuit.leave(_probe(hold), None, False, now, claim.agent)

    def breakers(self) -> Iterator[tuple[str, str, str]]:
        """Name, key and state of every circuit, as it is for calls, for the metrics."""
        for key, circuit in self._circuits.items():
            word = next((word for word, _ in self._words_on(key)), None) if self._words else None
            yield key[0], " ".join(key[1:]), circuit.state if word is None else word.state

    def lines(self, now: float) -> Iterator[CircuitLine]:
        """How every circuit stands by itself, whatever operators say."""
        for key, circuit in self._circuits.items():
            probe_in = max(0.0, circuit.opened_at + circuit.open_for - now) if circuit.state == OPEN else 0.0
            yield CircuitLine(key, circuit.state, probe_in, circuit.consecutive)

    def words(self, now: float) -> Iterator[tuple[Key, Word]]:
        """The operators' words that stand."""
        return iter([(key, word) for key, (word, until) in self._words.items() if not word.until or until > now])

    def say(self, key: Key, word: Word | None, until: float) -> None:
        """Let an operator's word stand until then (monotonic; where the word ends), or take it back (None)."""
        if word is None:
            self._words.pop(key, None)
        else:
            self._words[key] = (word, until)

    def hear_opened(self, key: Key, at: float, seconds: float, failed_probes: int) -> None:
        """Another replica has opened this circuit, at ``at`` (monotonic)."""
        circuit = self._circuits.get(key)
        if circuit is not None:
            circuit.opened(at, seconds, failed_probes)
        else:
            self._heard[key] = (at, seconds, failed_probes)

    def hear_closed(self, key: Key) -> None:
        """Another replica has closed this circuit."""
        self._heard.pop(key, None)
        circuit = self._circuits.get(key)
        if circuit is not None:
            circuit.closed()

    def forget_heard(self, key: Key) -> None:
        """What another replica said of this circuit is of no use any more to who has not asked for it until now."""
        self._heard.pop(key, None)

    def tidy(self, now: float) -> None:
        """A closed circuit without a failure to remember is as good as a new one, and so is one long unasked."""
        if len(self._circuits) > self._sweep_at:
            self._circuits = {
                key: circuit
                for key, circuit in self._circuits.items()
                if not circuit.healthy and not circuit.quiet(now)
            }
            if len(self._circuits) > MOST:
                newest = sorted(self._circuits.items(), key=_is_closed, reverse=True)[-MOST:]
                self._circuits = dict(newest)
            self._sweep_at = max(SWEEP, 2 * len(self._circuits))

    def __len__(self) -> int:
        return len(self._circuits)

    def _circuit(self, claim: CircuitClaim) -> Circuit:
        circuit = self._circuits.get(claim.key)
        if circuit is None:
            circuit = self._circuits[claim.key] = self._new(claim)
        elif circuit.settings is not claim.settings and circuit.settings != claim.settings:
            circuit.adopt(claim.settings)
        return circuit

    def _new(self, claim: CircuitClaim) -> Circuit:
        name = " ".join(claim.key)
        circuit = Circuit(claim.settings, name, self.spread, shared=self._sharing is not None)
        heard = self._heard.pop(claim.key, None)
        if heard is not None:
            circuit.opened(*heard)
        return circuit

    def _changed(self, key: Key, circuit: Circuit) -> None:
        if self._sharing is None:
            return
        if circuit.state == OPEN:
            self._sharing.opened(key, circuit)
        elif circuit.state == CLOSED:
            self._sharing.closed(key, circuit)

    def _word(self, key: Key, now: float) -> tuple[Word, float] | None:
        """The word on the longest beginning of the key."""
        return next(((word, until) for word, until in self._words_on(key) if not word.until or until > now), None)

    def _words_on(self, key: Key) -> Iterator[tuple[Word, float]]:
        return (self._words[key[:length]] for length in range(len(key), 0, -1) if key[:length] in self._words)


def _probe(hold: Hold) -> int:
    return int(hold.left) if hold.state == PROBE else 0


def _is_closed(entry: tuple[Key, Circuit]) -> bool:
    return entry[1].state == CLOSED
