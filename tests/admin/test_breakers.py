"""``/api/breakers`` and ``/api/runs`` over real sockets."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager

import pytest

from gateway.admin import breakers, runs
from gateway.model import Answered, Quarantine
from gateway.stores.memory import MemoryLedger
from gateway.stores.quarantines import Register
from gateway.stores.runs import RunBook
from tests.admin.support import CHANGE, session_of, stored
from tests.builders import circuit


@asynccontextmanager
async def serving():
    ledger = MemoryLedger()

    def say(key, word):
        ledger.circuits.say(key, word, time.monotonic() + word.until - time.time() if word else 0.0)

    async with session_of(
        lambda api: breakers.add(api, ledger.circuits, say, lambda: {"fragile", "untouched"}, stored)
    ) as session:
        yield session, ledger


async def told(session, wanted):
    async with session.post("/api/breakers", json=wanted, headers=CHANGE) as response:
        return response.status, await response.json(content_type=None)


async def test_breakers_are_listed_and_held_and_let_go():
    async with serving() as (session, ledger):
        (hold,) = ledger.reserve((circuit("bank", failures=1),), time.monotonic())
        ledger.answered((hold,), Answered(500, 0.1), time.monotonic())
        async with session.get("/api/breakers") as response:
            first, second = (await response.json())["breakers"]
        assert (first["name"], first["key"], first["state"], first["word"]) == ("fragile", ["bank"], "open", None)
        assert first["probe_in"] > 0
        assert (second["name"], second["key"], second["state"]) == ("untouched", [], "closed")

        status, body = await told(
            session, {"name": "fragile", "key": ["bank"], "state": "closed", "seconds": 60, "reason": "r", "by": "ada"}
        )
        assert status == 200
        (one,) = body["breakers"]
        assert (one["state"], one["by_itself"], one["word"]["by"]) == ("held closed", "open", "ada")
        assert ledger.reserve((circuit("bank", failures=1),), time.monotonic())[0].granted

        _, body = await told(session, {"name": "fragile", "key": ["bank"], "state": "auto"})
        assert body["breakers"][0]["state"] == "open"
        await told(session, {"name": "untouched", "state": "open"})
        async with session.get("/api/breakers") as response:
            assert {"held open"} <= {one["state"] for one in (await response.json())["breakers"]}


@pytest.mark.parametrize(
    ("wanted", "detail"),
    [
        ({"name": "fargile", "state": "open"}, "no breaker is called 'fargile'"),
        ({"name": "fragile", "state": "opne"}, "open, closed or auto"),
        ({"name": "fragile", "state": "open", "key": ["a", "b", "c"]}, "a tool and an operation"),
        ({"name": "fragile", "state": "open", "key": [""]}, "a tool"),
        ({"name": "fragile", "state": "open", "seconds": -1}, "seconds"),
        ({"name": "fragile", "state": "open", "by": "x" * 501}, "500"),
    ],
)
async def test_mistakes_are_told(wanted, detail):
    async with serving() as (session, _):
        status, body = await told(session, wanted)
        assert status == 400
        assert detail in body["detail"]


async def test_runs_are_listed_the_latest_first():
    book, register = RunBook(), Register(time.time)
    now = time.monotonic()
    book.began(("a", "old"), now - 10)
    book.began(("a", "new"), now - 1)
    book.began(("b", "other"), now - 5)
    book.ended(("a", "new"), now - 1, failed=True)
    register.put(Quarantine("run", ("a", "new"), "why", "ada", time.time()))
    async with session_of(lambda api: runs.add(api, book, register)) as session:
        async with session.get("/api/runs") as response:
            body = await response.json()
        assert [(run["agent"], run["run"]) for run in body["runs"]] == [("a", "new"), ("b", "other"), ("a", "old")]
        first = body["runs"][0]
        assert (first["steps"], first["errors_in_row"], first["quarantined"]) == (1, 1, True)
        async with session.get("/api/runs?agent=a&limit=1") as response:
            body = await response.json()
        assert [run["run"] for run in body["runs"]] == ["new"]
        assert body["known"] == 2
        async with session.get("/api/runs?limit=0") as response:
            assert response.status == 400
