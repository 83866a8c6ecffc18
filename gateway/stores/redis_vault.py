"""Accounts and shared buckets in Redis: one round trip for all that is asked for at once (in a Cluster, one for each
account, side by side)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from functools import partial
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from gateway.model import Account, Balance, Draw, Drawn, Entry, Lease, Want
from gateway.stores.leasing import Window, frees, retires, window_of
from gateway.stores.redis_link import RedisLink
from gateway.stores.redis_scripts import DRAW, FORFEIT, GIVE_BACK, LEASE, SETTLE

KEEP = 86400.0
"""Seconds for which a window that has ended is kept."""
_MOST_INDEXED = 100_000
_PAGE = 500


class _Place(NamedTuple):
    """Where an account's window is kept, and until when."""

    key: str
    window: Window
    retires: float

    @property
    def end(self) -> str:
        """As PEXPIREAT wants it."""
        return f"{self.retires * 1000:.0f}"

    @property
    def ledger(self) -> str:
        return self.key.partition("}")[0] + "}:ledger"


class RedisVault:
    """ports.Vault over Redis."""

    def __init__(self, link: RedisLink, prefix: str) -> None:
        self._link, self._prefix = link, prefix
        self._index = f"{prefix}{{accounts}}"
        self._indexed: OrderedDict[str, float] = OrderedDict()

    async def lease(self, holder: str, wants: Sequence[Want], now: float) -> Sequence[Lease]:
        """Set aside for each want what is left of its account."""
        if not wants:
            return []
        places = [self._place(want.account, now) for want in wants]
        await self._note(places, now)
        parts = []
        for want, place in zip(wants, places, strict=True):
            amounts = (want.account.limit, want.least, want.wish)
            parts.append(((place.key,), (_json(want.account), *amounts, place.window.first, place.end)))
        answers = await self._link.run_split(LEASE, (holder,), parts)
        return [
            Lease(int(granted), int(spent), int(leased), place.window.ends, _frees(want.account, int(oldest)))
            for want, place, (granted, spent, leased, oldest) in zip(wants, places, answers, strict=True)
        ]

    async def settle(self, holder: str, entries: Sequence[Entry], now: float) -> None:
        """Write down what calls came to, each once."""
        if not entries:
            return
        places = [self._place(entry.account, now) for entry in entries]
        await self._note(places, now)
        parts = []
        for entry, place in zip(entries, places, strict=True):
            window = place.window
            args = (_json(entry.account), entry.call, entry.spent, window.slot, window.first, place.end)
            parts.append(((place.key, f"{place.key}:calls", place.ledger), args))
        await self._link.run_split(SETTLE, (holder, f"{now:.3f}"), parts)

    async def give_back(self, holder: str, amounts: Sequence[tuple[Account, int]], now: float) -> None:
        """What was leased and will not be spent."""
        if amounts:
            parts = [((self._place(account, now).key,), (amount,)) for account, amount in amounts]
            await self._link.run_split(GIVE_BACK, (holder,), parts, again=False)

    async def balances(self, now: float) -> Sequence[Balance]:
        """Every account with something spent or leased in its present window."""
        found = []
        async for key, kept in self._windows(now):
            account = msgspec.json.decode(kept[b"account"], type=Account)
            place = self._place(account, now)
            spent, leased = _spent(kept, place.window), int(kept.get(b"leased", 0))
            if place.key == key and (spent or leased):
                found.append(Balance(account, spent, leased, place.window.ends))
        return found

    async def draw(self, wants: Sequence[Draw], now: float) -> Sequence[Drawn]:  # noqa: ARG002 - all go by Redis' clock
        """Take tokens out of shared buckets."""
        if not wants:
            return []
        parts = [
            ((f"{self._hashed(want.key)}:bucket",), (want.capacity, want.rate, want.least, want.wish)) for want in wants
        ]
        return [Drawn(*map(float, drawn)) for drawn in await self._link.run_split(DRAW, (), parts)]

    async def forfeit(self, holder: str, now: float) -> None:
        """What a holder that has died had leased is spent."""
        async for key, kept in self._windows(now):
            if f"h:{holder}".encode() in kept:
                account = msgspec.json.decode(kept[b"account"], type=Account)
                place = self._place(account, now)
                window = place.window if place.key == key else Window("")
                args = (holder, window.slot, window.first, place.end)
                await self._link.run(FORFEIT, (key, place.ledger), args)

    async def _windows(self, now: float) -> AsyncIterator[tuple[str, dict[bytes, bytes]]]:
        """Every window that is kept: its key and what is there, a page at a time."""
        keys = await self._link.ask(lambda client: client.zrangebyscore(self._index, now, "+inf"))
        for start in range(0, len(keys), _PAGE):
            page = keys[start : start + _PAGE]
            windows = await self._link.ask(partial(_all_of, keys=page))
            for key, kept in zip(page, windows, strict=True):
                if b"account" in kept:
                    yield key.decode(), kept

    async def _note(self, places: Iterable[_Place], now: float) -> None:
        """Enter windows in the index, before anything is written to them. Those that roll on are entered again now and
        then, not each time."""
        late = {place.key: place.retires or float("inf") for place in places}
        late = {key: end for key, end in late.items() if self._indexed.get(key, 0.0) < min(end, end - (end - now) / 4)}
        if not late:
            return
        await self._link.ask(lambda client: client.zadd(self._index, late))
        self._indexed.update(late)
        while len(self._indexed) > _MOST_INDEXED:
            self._indexed.popitem(last=False)

    async def tidy(self, now: float) -> None:
        """Forget in the index what Redis has forgotten."""
        await self._link.ask(lambda client: client.zremrangebyscore(self._index, "-inf", now))

    def forget(self) -> None:
        """Redis may have lost the index."""
        self._indexed.clear()

    def _place(self, account: Account, now: float) -> _Place:
        window = window_of(account, now)
        key = f"{self._hashed(account.key)}:{window.instance.replace(' ', ':')}"
        return _Place(key, window, retires(account, window, now, KEEP))

    def _hashed(self, key: tuple[str, ...]) -> str:
        """What all keys of an account begin with; the braces put them in one hash slot."""
        return f"{self._prefix}{{{blake2b(msgspec.json.encode(key), digest_size=12).hexdigest()}}}"


async def _all_of(client: Any, keys: Iterable[bytes]) -> list[dict[bytes, bytes]]:
    pipe = client.pipeline(transaction=False)
    for key in keys:
        pipe.hgetall(key)
    found: list[dict[bytes, bytes]] = await pipe.execute()
    return found


def _spent(kept: dict[bytes, bytes], window: Window) -> int:
    if not window.first:
        return int(kept.get(b"spent", 0))
    return sum(amount for slot, amount in _ring(kept) if slot >= window.first)


def _ring(kept: dict[bytes, bytes]) -> Iterator[tuple[int, int]]:
    for name, value in kept.items():
        if name[:1] == b"s" and name[1:].isdigit():
            slot, _, amount = value.partition(b":")
            yield int(slot), int(amount)


def _frees(account: Account, oldest: int) -> float:
    return frees(account, oldest) if oldest >= 0 else 0.0


def _json(account: Account) -> bytes:
    return msgspec.json.encode(account)
