"""The ledger: one keeper for each kind of claim, asked all or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from gateway.model import Answered, Claim, Hold, Outcome
from gateway.ports import Clock
from gateway.stores.keeper import Keeper

ROUNDS = 8
"""How often a call whose lease was used up by others meanwhile asks for another, before it is refused."""


class _Keepers(dict[type[Any], Keeper[Any]]):
    def __missing__(self, kind: type[Any]) -> Keeper[Any]:
        raise TypeError(f"nothing keeps claims of the kind {kind.__name__}")


class KeptLedger:
    """ports.Ledger over keepers. Survives reloads: keys name the guard and what it counts by."""

    def __init__(self, keepers: Mapping[type[Any], Keeper[Any]], clock: Clock) -> None:
        """``clock`` is read only after waiting, when ``now`` is no longer now."""
        self._keepers = _Keepers(keepers)
        self._tidying = tuple([each for each in dict.fromkeys(keepers.values()) if type(each).tidy is not Keeper.tidy])
        self._fetching = {kind: keeper for kind, keeper in keepers.items() if keeper.fetches}
        self._hearing = {kind: keeper for kind, keeper in keepers.items() if keeper.hears}
        self._ending = {kind: keeper for kind, keeper in keepers.items() if keeper.ends}
        self._refusing = {kind: keeper for kind, keeper in keepers.items() if keeper.refuses}
        self._clock = clock

    def reserve(self, claims: Sequence[Claim], now: float) -> tuple[Hold, ...] | Awaitable[tuple[Hold, ...]]:
        """One hold for each claim, all granted or none taken; later where something must be fetched first."""
        keepers, fetching = self._keepers, self._fetching
        for keeper in self._tidying:
            keeper.tidy(now)
        holds: list[Hold] = []
        missing: list[Awaitable[None]] = []
        for claim in claims:
            kind = type(claim)
            if kind in fetching and (lacks := fetching[kind].missing(claim, now)) is not None:
                missing.append(lacks)
            elif not missing:
                holds.append(keepers[kind].look(claim, now))
        return self._later(claims, missing) if missing else self._taken(holds, now)

    def look(self, claims: Sequence[Claim], now: float) -> tuple[Hold, ...]:
        """What ``reserve`` would answer by what is known here, without taking anything."""
        keepers = self._keepers
        for keeper in self._tidying:
            keeper.tidy(now)
        holds = [keepers[type(claim)].foresee(claim, now) for claim in claims]
        for hold in holds:
            if not hold.granted:
                return self._refused(holds, now)
        return tuple(holds)

    def answered(self, holds: Sequence[Hold], answer: Answered, now: float) -> None:
        """The head of the tool's answer is here."""
        hearing = self._hearing
        for hold in holds:
            keeper = hearing.get(type(hold.claim))
            if keeper is not None:
                keeper.answered(hold, answer, now)

    def settle(self, holds: Sequence[Hold], outcome: Outcome, now: float) -> None:
        """The call was made, and this came of it."""
        ending, rest = self._ending, iter(holds)
        for hold in rest:
            keeper = ending.get(type(hold.claim))
            if keeper is not None:
                try:
                    keeper.settle(hold, outcome, now)
                except Exception:
                    self.settle(tuple(rest), outcome, now)  # one that breaks keeps no other from hearing of it
                    raise

    def release(self, holds: Sequence[Hold], now: float) -> None:
        """The call was not made after all."""
        ending, rest = self._ending, iter(holds)
        for hold in rest:
            keeper = ending.get(type(hold.claim))
            if keeper is not None:
                try:
                    keeper.release(hold, now)
                except Exception:
                    self.release(tuple(rest), now)
                    raise

    def _reserve(self, claims: Sequence[Claim], now: float) -> tuple[Hold, ...]:
        keepers = self._keepers
        for keeper in self._tidying:
            keeper.tidy(now)
        return self._taken([keepers[type(claim)].look(claim, now) for claim in claims], now)

    def _taken(self, holds: Sequence[Hold], now: float) -> tuple[Hold, ...]:
        """What was looked for, taken, where all of it is there."""
        for hold in holds:
            if not hold.granted:
                return self._refused(holds, now)
        keepers = self._keepers
        taken: list[Hold] = []
        try:
            for hold in holds:
                taken.append(keepers[type(hold.claim)].take(hold.claim, hold, now))  # noqa: PERF401 - known where one breaks
        except Exception:
            self.release(taken, now)
            raise
        return tuple(taken)

    def _refused(self, holds: Sequence[Hold], now: float) -> tuple[Hold, ...]:
        """The holds, of which some are not granted, once the keepers of these know."""
        refusing = self._refusing
        told = []
        for hold in holds:
            keeper = refusing.get(type(hold.claim))
            told.append(hold if keeper is None else keeper.refused(hold, now))
        return tuple(told)

    def _missing(self, claims: Sequence[Claim], now: float) -> list[Awaitable[None]]:
        fetching = self._fetching
        found: list[Awaitable[None]] = []
        for claim in claims:
            keeper = fetching.get(type(claim))
            if keeper is not None and (missing := keeper.missing(claim, now)) is not None:
                found.append(missing)
        return found

    async def _later(self, claims: Sequence[Claim], missing: Sequence[Awaitable[None]]) -> tuple[Hold, ...]:
        for _ in range(ROUNDS):
            await asyncio.gather(*missing)
            missing = self._missing(claims, self._clock())
            if not missing:
                break
        else:
            for left in missing:
                if asyncio.iscoroutine(left):
                    left.close()
        return self._reserve(claims, self._clock())
