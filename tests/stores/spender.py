"""Programs that other processes run against a store. They tell what they did over a pipe, one line each."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from multiprocessing.connection import Connection

from gateway.model import Account, Entry, Want
from gateway.model.state_url import read_state_url
from gateway.stores.state import open_state


def spend(url: str, account: Account, told: Connection) -> None:
    """Lease, settle and give back until killed. ``granted`` and ``settled`` are told after, ``returning`` before."""
    asyncio.run(_spend(url, account, told))


def drain(url: str, account: Account, wish: int, told: Connection) -> None:
    """Lease until there is nothing left; tell what was had in all, and in how many round trips."""
    asyncio.run(_drain(url, account, wish, told))


async def _spend(url: str, account: Account, told: Connection) -> None:
    state = open_state(read_state_url(url), time.time)
    await state.start()
    assert state.vault is not None
    told.send(("holder", state.holder))
    for number in itertools.count():
        (lease,) = await state.vault.lease(state.holder, [Want(account, 10, 50)], time.time())
        told.send(("granted", lease.granted))
        calls = [Entry(account, f"{os.getpid()}-{number}-{each}", 10) for each in range(3)]
        await state.vault.settle(state.holder, calls, time.time())
        told.send(("settled", 30))
        if number % 3 == 0:
            told.send(("returning", 5))
            await state.vault.give_back(state.holder, [(account, 5)], time.time())


async def _drain(url: str, account: Account, wish: int, told: Connection) -> None:
    state = open_state(read_state_url(url), time.time)
    await state.start()
    assert state.vault is not None
    told.send("ready")
    told.recv()
    had = trips = 0
    while True:
        (lease,) = await state.vault.lease(state.holder, [Want(account, 1, wish)], time.time())
        trips += 1
        if not lease.granted:
            break
        had += lease.granted
        await state.vault.settle(state.holder, [Entry(account, f"{state.holder}-{trips}", lease.granted)], time.time())
    told.send((had, trips))
    await state.close()
