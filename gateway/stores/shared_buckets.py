"""Token buckets that replicas share: each draws a few tokens ahead and spends them without asking.

Of a high rate a tenth of a second is drawn at once, of a low rate one token at a time, so that nobody sits on what
others wait for. What is not used within a second is put back. While the store is away, each replica has its part of the
limit for itself.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from msgspec import structs

from gateway.errors import StoreUnavailable
from gateway.model import Draw, Hold, RateClaim
from gateway.ports import Clock, Vault
from gateway.stores.buckets import Buckets
from gateway.stores.keeper import Keeper

FRESH = 1.0
"""Seconds for which tokens are kept unused, and for which what the store said of a bucket is believed."""
AWAY = 0.5
"""Seconds for which a store that was away is not asked again."""
_AHEAD = 0.1
"""Seconds of a limit's rate that are drawn at once,"""
_PART = 8
"""up to this part of its capacity."""
_MOST = 10_000
"""Buckets that are remembered; beyond, the one that was drawn from least recently is forgotten."""
_ENOUGH = 1e-4
"""Tokens: two clocks and a few roundings lie between what the store has and what it says."""

Key = tuple[str, ...]


class _Stash:
    """What is here of one bucket, and what the store said was left in it."""

    __slots__ = ("at", "claim", "left", "tokens")

    def __init__(self, claim: RateClaim, tokens: float, left: float, at: float) -> None:
        self.claim, self.tokens, self.left, self.at = claim, tokens, left, at

    def there(self, now: float) -> float:
        """What the store has by now, if nobody else draws."""
        return self.left + (now - self.at) * self.claim.rate


class SharedBuckets(Keeper[RateClaim]):
    """Rate limits over a vault that replicas share."""

    fetches = True

    def __init__(self, vault: Vault, replicas: Callable[[], int], clock: Clock, wall: Clock) -> None:
        """``replicas`` tells how many live; ``clock`` is the ledger's, ``wall`` gives seconds since the epoch."""
        self._vault, self._replicas, self._clock, self._wall = vault, replicas, clock, wall
        self._stashes: OrderedDict[Key, _Stash] = OrderedDict()
        self._local = Buckets()
        self._away_until = 0.0
        self._wanted: dict[Key, tuple[RateClaim, float]] = {}
        self._gathering: asyncio.Task[None] | None = None
        self._returning: asyncio.Task[None] | None = None
        self._tidy_at = 0.0

    def missing(self, claim: RateClaim, now: float) -> Awaitable[None] | None:
        """A draw, together with all that is wanted in this turn of the loop."""
        stash = self._stashes.get(claim.key)
        if now < self._away_until or (stash is not None and self._known(stash, claim, now)):
            return None
        _, cost = self._wanted.get(claim.key, (claim, 0.0))
        self._wanted[claim.key] = (claim, cost + claim.cost)
        if self._gathering is None:
            self._gathering = asyncio.get_running_loop().create_task(self._draw())
        return asyncio.shield(self._gathering)  # one that gives up must not take the others' draw along

    def look(self, claim: RateClaim, now: float) -> Hold:
        """By the tokens that are here. Of a bucket that was not asked for lately it is thought that it has some."""
        stash = self._stashes.get(claim.key)
        if stash is not None and stash.tokens >= claim.cost - _ENOUGH:
            return Hold(claim, True, stash.tokens - claim.cost + max(0.0, stash.there(now)))
        if now < self._away_until:
            hold = self._local.look(self._share(claim), now)
            return structs.replace(hold, claim=claim)
        if stash is None or not self._known(stash, claim, now):
            return Hold(claim, True)
        left = stash.tokens + max(0.0, stash.there(now))
        return Hold(claim, False, max(0.0, left), max(0.0, claim.cost - left) / claim.rate)

    def take(self, claim: RateClaim, hold: Hold, now: float) -> Hold:
        """Spend what is here; where it is not known what is there, it is drawn with the next draw."""
        stash = self._stashes.get(claim.key)
        if now < self._away_until and (stash is None or stash.tokens < claim.cost - _ENOUGH):
            self._local.take(self._share(claim), hold, now)
        else:
            if stash is None:
                stash = self._keep(claim, 0.0, 0.0, now - FRESH)
            stash.tokens -= claim.cost
        return hold

    def tidy(self, now: float) -> None:
        """Put back what nobody has used."""
        if now < self._tidy_at:
            return
        self._tidy_at = now + FRESH
        self._local.tidy(now)
        idle = [stash for stash in self._stashes.values() if stash.tokens > _ENOUGH and now - stash.at >= FRESH]
        if not idle or now < self._away_until or self._returning is not None:
            return
        draws = [Draw(each.claim.key, each.claim.capacity, each.claim.rate, 0.0, -each.tokens) for each in idle]
        for stash in idle:
            stash.tokens = 0.0
        self._returning = asyncio.get_running_loop().create_task(self._put_back(draws))

    def __len__(self) -> int:
        return len(self._stashes)

    @staticmethod
    def _known(stash: _Stash, claim: RateClaim, now: float) -> bool:
        """Whether there are enough tokens here, or it is known that there are not enough there."""
        if stash.tokens >= claim.cost - _ENOUGH:
            return True
        return now - stash.at < FRESH and stash.tokens + stash.there(now) < claim.cost - _ENOUGH

    def _share(self, claim: RateClaim) -> RateClaim:
        """This replica's part of the limit."""
        part = max(1, self._replicas())
        return structs.replace(claim, capacity=max(1.0, claim.capacity / part), rate=claim.rate / part)

    def _keep(self, claim: RateClaim, tokens: float, left: float, at: float) -> _Stash:
        stash = self._stashes[claim.key] = _Stash(claim, tokens, left, at)
        self._stashes.move_to_end(claim.key)
        if len(self._stashes) > _MOST:
            self._stashes.popitem(last=False)
        return stash

    async def _draw(self) -> None:
        wanted, self._wanted, self._gathering = self._wanted, {}, None
        draws = []
        for key, (claim, cost) in wanted.items():
            stash = self._stashes.get(key)
            here = stash.tokens if stash is not None else 0.0
            ahead = min(claim.capacity / _PART, claim.rate * _AHEAD)
            draws.append(Draw(key, claim.capacity, claim.rate, claim.cost - here, max(cost, ahead) - here))
        try:
            answers = await self._vault.draw(draws, self._wall())
        except StoreUnavailable:
            self._away_until = self._clock() + AWAY
            return
        now = self._clock()
        for (claim, _), drawn in zip(wanted.values(), answers, strict=True):
            stash = self._stashes.get(claim.key)
            self._keep(claim, drawn.tokens + (stash.tokens if stash is not None else 0.0), drawn.left, now)

    async def _put_back(self, draws: list[Draw]) -> None:
        try:
            await self._vault.draw(draws, self._wall())
        except StoreUnavailable:
            self._away_until = self._clock() + AWAY
        finally:
            self._returning = None
