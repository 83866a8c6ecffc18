"""What bounds of runs count with: steps, the runs that each run led to, and when a tree of runs began."""

from __future__ import annotations

from collections import Counter

from gateway.model import Hold, RunClaim
from gateway.stores.keeper import Keeper
from gateway.stores.shares import Shares

CAPACITY = 10_000
"""Trees that are remembered; beyond, those of the agent with the most are forgotten, the least recently used first."""
MOST_LED = 200_000
"""Runs that are remembered as led to by others, in all trees together."""
IDLE = 86_400.0
"""Seconds after which a tree that nobody asked for is forgotten: an agent that calls all its runs by one name is not
locked out for ever."""

Run = tuple[str, str]


class _Tree:
    __slots__ = ("began", "led", "steps", "used")

    def __init__(self, now: float) -> None:
        self.began = self.used = now
        self.steps = 0
        self.led: dict[Run, set[Run]] = {}


class RunBounds(Keeper[RunClaim]):
    """One count for each guard and tree of runs."""

    ends = True

    def __init__(self, capacity: int = CAPACITY, most_led: int = MOST_LED) -> None:
        self._trees: Shares[tuple[str, ...], _Tree] = Shares(capacity)
        self._most_led = most_led
        self._led = 0

    def look(self, claim: RunClaim, now: float) -> Hold:
        settings = claim.settings
        if settings.depth and claim.depth > settings.depth:
            detail = f"the call lies within {claim.depth} others, and {settings.depth} are allowed"
            return Hold(claim, False, state="depth", detail=detail)
        if not claim.key[2]:
            return Hold(claim, True)
        tree = self._trees.use(claim.key)
        if tree is None:
            return self._first(claim)
        tree.used = now
        if settings.steps and tree.steps + claim.steps > settings.steps:
            left, word = settings.steps - tree.steps, "step" if settings.steps == 1 else "steps"
            detail = f"it has made {tree.steps} of the {settings.steps} {word} that it may"
            return Hold(claim, False, float(max(0, left)), state="steps", detail=detail)
        if settings.duration and now - tree.began >= settings.duration:
            detail = f"it began {now - tree.began:.0f} s ago, and may last {settings.duration:g} s"
            return Hold(claim, False, state="duration", detail=detail)
        if settings.fan_out and claim.run != claim.parent:
            led = tree.led.get(claim.parent, ())
            if claim.run not in led and len(led) >= settings.fan_out:
                detail = f"the run above has led to {len(led)} others already, as many as it may"
                return Hold(claim, False, state="fan_out", detail=detail)
        return Hold(claim, True, _left(claim, tree.steps))

    def take(self, claim: RunClaim, hold: Hold, now: float) -> Hold:
        key = claim.key
        if not key[2]:
            return hold
        tree = self._trees.get(key)
        if tree is None:
            tree = _Tree(now)
            self._trees.put(key[1], key, tree)
        tree.steps += claim.steps
        if claim.settings.fan_out and claim.run != claim.parent:
            led = tree.led.setdefault(claim.parent, set())
            if claim.run not in led:
                led.add(claim.run)
                self._led += 1
        return hold

    def release(self, hold: Hold, now: float) -> None:  # noqa: ARG002
        """The step was not made. Steps that are not known any more are not given back."""
        claim = hold.claim
        if isinstance(claim, RunClaim):
            tree = self._trees.get(claim.key)
            if tree is not None:
                tree.steps = max(0, tree.steps - claim.steps)

    def tidy(self, now: float) -> None:
        """Forget what nobody asked for in a day, and the oldest where too much is remembered."""
        oldest = self._trees.oldest()
        if oldest is not None and now - oldest[1].used > IDLE:
            self._trees.pop(oldest[0])
        if self._led > self._most_led:
            self._forget_led()

    def _forget_led(self) -> None:
        """What the trees of the agent with most led to, until half is left, since looking costs."""
        led = Counter[str]()
        for key, tree in self._trees:
            led[key[1]] += _led(tree)
        self._led = led.total()
        for agent, _ in led.most_common():
            for key, tree in self._trees:
                if self._led <= self._most_led // 2:
                    return
                if key[1] == agent:
                    self._led -= _led(tree)
                    tree.led.clear()

    def _first(self, claim: RunClaim) -> Hold:
        settings = claim.settings
        if settings.steps and claim.steps > settings.steps:
            detail = f"the batch has {claim.steps} calls, and a run may make {settings.steps}"
            return Hold(claim, False, float(settings.steps), state="steps", detail=detail)
        return Hold(claim, True, _left(claim, 0))

    def __len__(self) -> int:
        return len(self._trees)


def _left(claim: RunClaim, steps: int) -> float:
    """Steps that are left after this claim; 0 where they have no bound."""
    bound = claim.settings.steps
    return float(bound - steps - claim.steps) if bound else 0.0


def _led(tree: _Tree) -> int:
    return sum(len(led) for led in tree.led.values())
