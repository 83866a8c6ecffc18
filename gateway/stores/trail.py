"""What a run has done last, and whether it goes round in circles. Quiet: times are arguments, in seconds.

Each call that has ended is an event: what was asked (``intent``), and what came of it (``result``). One that asks for
something else than before, or gets another result, is *new*: the run learns something. From that follow four bounds:

- The same call with the same result counts up, and each new success in between forgives one. So an agent that lists a
  directory again and again between its edits is let be, and one that does nothing else is not.
- Rounds of two to five calls with the same results.
- All repetitions together: for each new event a run may make ``repeats`` - 1 others, whatever their order, so that of
  no run more than ``repeats`` calls are made for each distinct one.
- Errors in a row, whatever the calls.

Calls under way count as repetitions to be. A success of a call that may change something, and is new, makes those
before it that change nothing unknown again. Each refusal makes the bounds smaller by one, to no less than one, until a
run has made ``window`` calls without another.

No events are answers that nobody reads (of models), unless they fail, and failures of the tool, which say nothing of
the run: guards of retries and breakers bound these. They count as errors in a row all the same.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from msgspec import Struct

from gateway.model import LoopClaim, LoopSettings
from gateway.stores.failures import Ended

SHORTEST, LONGEST = 2, 5
"""Calls in a cycle."""

UNNAMED = 60.0
"""Seconds for which the calls of an agent that names no run are taken for one task."""


class Circle(Struct, frozen=True):
    """What was found: ``kind`` is repeats, errors, pending, cycle, streak or stalled, or ``near`` where one more of the
    same would be refused."""

    kind: str
    times: int
    detail: str


class _Seen:
    __slots__ = ("at", "changes", "count", "how", "mark", "position", "result")

    def __init__(self, result: str, how: Ended, *, changes: bool) -> None:
        self.result, self.how, self.changes = result, how, changes
        self.count = 1
        self.mark = self.position = 0
        self.at = 0.0


class Trail:
    """The events of one run. ``named``: the agent gave the run a name; else it stands for all that the agent does
    without one, where repetitions may be of several tasks: they count half, and only the same call counts."""

    __slots__ = (
        "_balance",
        "_cleared",
        "_named",
        "_pending",
        "_position",
        "_progress",
        "_refused",
        "_seen",
        "_settings",
        "_streak",
        "_strikes",
        "_struck",
        "_tail",
        "at",
    )

    def __init__(self, *, named: bool) -> None:
        self._named = named
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._tail: deque[tuple[str, str]] = deque(maxlen=0)
        self._pending: dict[str, int] = {}
        self._position = self._progress = self._balance = self._cleared = 0
        self._streak = self._refused = 0
        self._struck = self._strikes = 0
        self._settings: LoopSettings | None = None
        self.at = 0.0

    def found(self, claim: LoopClaim, now: float) -> Circle | None:
        """What this call would be, were it made now; None for nothing to speak of."""
        settings = claim.settings
        if self._named and settings.streak and self._streak >= settings.streak:
            return Circle("streak", self._streak, f"{self._streak} calls of this run have failed in a row")
        seen, waiting = self._seen.get(claim.intent), self._pending.get(claim.intent, 0)
        if seen is None or now - seen.at > memory_of(claim):
            return None if not waiting else self._waiting(claim, waiting)
        if not seen.changes and seen.position < self._cleared:
            return None if not waiting else self._waiting(claim, waiting)
        return self._again(claim, seen, waiting)

    def _waiting(self, claim: LoopClaim, waiting: int) -> Circle | None:
        settings = claim.settings
        bound = self._bound(settings.poll_repeats if claim.polls else settings.repeats)
        if not bound or waiting < bound:
            return None
        return Circle("pending", waiting, f"{waiting} calls that are the same are under way already")

    def _again(self, claim: LoopClaim, seen: _Seen, waiting: int) -> Circle | None:
        """The call was made before, and nothing that has happened since makes another result likely."""
        settings, failed = claim.settings, seen.how is not Ended.WELL
        if claim.polls and not failed:
            bound, count = self._bound(settings.poll_repeats), seen.count + waiting
        else:
            bound = self._bound(_errors(settings, seen.how) if failed else settings.repeats)
            count = max(0, seen.count - (self._progress - seen.mark)) + waiting
        kind = "errors" if failed else "repeats"
        what = "and failed in the same way" if failed else "with the same result"
        if bound and count >= bound:
            return Circle(kind, count, f"the same call was made {_times(count)} {what}, and nothing new in between")
        if self._named and not claim.polls:
            if settings.repeats and self._balance - waiting <= 0:
                return Circle("stalled", count, "this run repeats itself, and learns nothing new by it")
            length = self._cycle(claim.intent, settings)
            if length:
                detail = f"the same {length} calls were made in turn, round after round, with the same results"
                return Circle("cycle", length, detail)
        if bound and count == bound - 1:
            detail = f"the same call was made {_times(count)} {what}: once more, and the next is refused"
            return Circle("near", count, detail)
        return None

    def _cycle(self, intent: str, settings: LoopSettings) -> int:
        """The length of the cycle that this call would go on with, or 0."""
        tail, rounds = self._tail, settings.cycles
        if not rounds:
            return 0
        rounds = max(2, rounds - self._strikes)
        for length in range(SHORTEST, LONGEST + 1):
            if len(tail) < length * rounds:
                return 0
            if tail[-length][0] == intent and all(
                tail[-at] == tail[-at - length] for at in range(1, length * (rounds - 1) + 1)
            ):
                return length
        return 0

    def _bound(self, bound: int) -> int:
        if not self._named:
            return 2 * bound
        return max(1, bound - self._strikes) if bound else 0

    def begin(self, intent: str) -> None:
        """The call is under way."""
        self._pending[intent] = self._pending.get(intent, 0) + 1

    def drop(self, intent: str) -> None:
        """The call is under way no more."""
        left = self._pending.get(intent, 0) - 1
        if left > 0:
            self._pending[intent] = left
        else:
            self._pending.pop(intent, None)

    def end(self, claim: LoopClaim, how: Ended, result: str, now: float) -> None:
        """The call has ended; an empty ``result`` is one that nobody knows."""
        if not result:
            return
        self.at = now
        self._streak = 0 if how is Ended.WELL else self._streak + 1
        if how is Ended.TROUBLE:
            return
        settings = claim.settings
        if settings is not self._settings:
            self._adopt(settings)
        self._position += 1
        if self._strikes and self._position - self._struck > settings.window:
            self._strikes = 0
        seen = self._seen.get(claim.intent)
        if seen is None or seen.result != result or now - seen.at > memory_of(claim):
            seen = self._learn(claim, how, result)
        else:
            self._repeat(claim, seen)
        seen.mark, seen.position, seen.at = self._progress, self._position, now
        # What is polled is bounded by its own count: it belongs to no cycle.
        self._tail.append((claim.intent, f"{result} {self._position}" if claim.polls else result))

    def _learn(self, claim: LoopClaim, how: Ended, result: str) -> _Seen:
        settings = claim.settings
        seen = self._seen[claim.intent] = _Seen(result, how, changes=claim.changes)
        self._seen.move_to_end(claim.intent)
        if len(self._seen) > settings.window:
            self._seen.popitem(last=False)
        self._balance = min(self._balance + max(1, settings.repeats - 1), settings.window)
        if how is Ended.WELL:
            self._progress += 1
            self._refused = 0
            if claim.changes:
                self._cleared = self._position
        return seen

    def _repeat(self, claim: LoopClaim, seen: _Seen) -> None:
        self._seen.move_to_end(claim.intent)
        if not seen.changes and seen.position < self._cleared:
            seen.count = 1
        elif claim.polls and seen.how is Ended.WELL:
            seen.count += 1
        else:
            seen.count = max(0, seen.count - (self._progress - seen.mark)) + 1
            self._balance = max(0, self._balance - 1)

    def _adopt(self, settings: LoopSettings) -> None:
        self._settings = settings
        length = LONGEST * settings.cycles
        if self._tail.maxlen != length:
            self._tail = deque(self._tail, maxlen=length)

    def tried(self, intent: str) -> None:
        """The call was tried, and not made: one that had failed by its caller's fault was repeated all the same."""
        seen = self._seen.get(intent)
        if seen is not None and seen.how is Ended.FAULT:
            seen.count = max(0, seen.count - (self._progress - seen.mark)) + 1
            seen.mark = self._progress

    def refuse(self) -> int:
        """A call was refused; how many that makes since the run last learned something."""
        self._struck = self._position
        self._strikes += 1
        self._streak = 0
        self._refused += 1
        return self._refused

    def pardon(self) -> None:
        """Refusals count from none again: the run was stopped for these, and whoever lets it go on means it."""
        self._refused = 0

    @property
    def busy(self) -> bool:
        """Whether calls of the run are under way."""
        return bool(self._pending)


def _errors(settings: LoopSettings, how: Ended) -> int:
    """How often the same error may come. One that says that it passes is as good a reason to go on as any result that
    is not new, and no better: tools may write what they like."""
    return max(settings.errors, settings.repeats) if settings.errors and how is Ended.PASSING else settings.errors


def memory_of(claim: LoopClaim) -> float:
    """Seconds for which events are remembered."""
    return claim.settings.memory if claim.key[2] else min(UNNAMED, claim.settings.memory)


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
