"""Processes that are killed at any moment: what they had asked, approved and made stands, and nothing is made again."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gateway.model import ApprovalState
from tests.approvals import payer
from tests.approvals.replicas import Replica, petition
from tests.stores.opening import Place
from tests.stores.redis_server import RedisServer
from tests.stores.test_crashes import Child

POINTS = 15
"""Moments at which a process is killed, for each store."""
S = ApprovalState
MAY_BE = {
    "asked": {S.WAITING, S.APPROVED},
    "approved": {S.APPROVED, S.RUNNING},
    "claimed": {S.RUNNING},
    "made": {S.RUNNING, S.DONE},
    "written": {S.DONE},
}
"""How an approval may stand, by what was said of it last."""


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.stop()


@pytest_asyncio.fixture(params=["sqlite", "redis"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    url = request.getfixturevalue("server").url if request.param == "redis" else ""
    opened = Place(request.param, tmp_path, lambda: url, "crashes")
    yield opened
    await opened.close()


async def test_what_was_done_stands_and_is_done_once(place: Place) -> None:
    chance = random.Random(7)
    state = await place.open(time.time)
    living = Replica(state.cabinet, time.time)
    left = 0

    def killed(first: int, lines: int) -> list[Any]:
        child = Child(payer.pay, place.url, first)
        return [child.hear() for _ in range(lines)] + child.kill()

    for point in range(POINTS):
        said = await asyncio.to_thread(killed, point * 1000, chance.randint(1, 12))
        await living.docket.follow()
        last = {number: (what, ident) for what, number, ident in said}
        made = {number for what, number, _ in said if what == "made"}
        for number, (what, ident) in last.items():
            approval = living.docket.find(ident)
            assert approval is not None
            assert approval.state in MAY_BE[what], f"{what}, and it is {approval.state}"
            if approval.state is S.DONE:
                continue
            ruling = await living.ask(petition(f"b{number}"))
            assert ruling.approval == ident, "the same call meets it again"
            assert ruling.granted == (approval.state is S.APPROVED)
            claims = [living.desk.claim(ruling, f"d{each}") for each in range(3)] if ruling.granted else []
            won = sum(await asyncio.gather(*claims))
            assert won == ruling.granted
            assert not (won and number in made), "made again"
            left += 1
    assert left >= POINTS / 3, "some were killed in the middle of something"
