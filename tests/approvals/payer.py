"""A program that another process runs against a docket. It tells what it does over a pipe, one line each."""

from __future__ import annotations

import asyncio
import itertools
import time
from multiprocessing.connection import Connection

from gateway.model.state_url import read_state_url
from gateway.stores.state import open_state
from tests.approvals.replicas import OK, Replica, petition


def pay(url: str, first: int, told: Connection) -> None:
    """Ask for payments, have them approved, make them, until killed. What it tells is true when it is told: a payment
    is ``asked`` about, was ``approved``, is ``claimed``; it is ``made`` by telling it; its end was ``written``."""
    asyncio.run(_pay(url, first, told))


async def _pay(url: str, first: int, told: Connection) -> None:
    state = open_state(read_state_url(url), time.time)
    await state.start()
    replica = Replica(state.cabinet, time.time)
    for number in itertools.count(first):
        asked = petition(f"b{number}")
        pending = await replica.ask(asked)
        told.send(("asked", number, pending.approval))
        await replica.vote(pending.approval)
        told.send(("approved", number, pending.approval))
        ruling = await replica.ask(asked)
        if await replica.desk.claim(ruling, f"c{number}"):
            told.send(("claimed", number, pending.approval))
            told.send(("made", number, pending.approval))
            replica.desk.settle(ruling, f"c{number}", OK)
            await replica.written()
            told.send(("written", number, pending.approval))
