"""Agents ask how their approvals stand, and learn nothing of others'."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from gateway.approvals.docket import Docket
from gateway.approvals.standings import Standings
from gateway.approvals.states import voted
from gateway.errors import ClientGone, Refused
from gateway.identify.header import Anonymous
from gateway.model import DEFAULT_TERMS, Held, Petition, Reason, Vote
from gateway.pipeline import Await, Reply, Send
from gateway.stores.memory_cabinet import MemoryCabinet
from tests.builders import request
from tests.drive import Drive

STATUS = "/.well-known/toolgate/approvals/"
NOW = 1_700_000_000.0


def petition(agent: str = "report-1", binding: str = "b-1") -> Petition:
    held = (Held("payments/large", "too much"),)
    return Petition(
        binding, agent, (), "r", (agent, "r"), "bank", "POST /t", "v1", held, DEFAULT_TERMS, "call-1", b"{}"
    )


class World:
    """A docket with one approval, which waits."""

    def __init__(self) -> None:
        self.docket = Docket(MemoryCabinet(lambda: NOW), lambda: NOW, iter(["ap-1", "ap-2"]).__next__)
        self.standings = Standings(self.docket)
        self.drive = Drive(standings=self.standings)

    async def opened(self, **rest: Any) -> World:
        await self.docket.open(petition(), **rest)
        return self

    def ask(self, target: str = f"{STATUS}ap-1", method: str = "GET", **rest: Any) -> Any:
        return self.drive.go(request(method, target, **rest))

    async def votes(self, verb: str, message: str = "") -> None:
        await self.docket.step("ap-1", lambda approval: voted(approval, Vote("ada", verb, NOW, message), NOW))


def told(reply: Any) -> dict[str, Any]:
    assert isinstance(reply, Reply)
    assert (b"Cache-Control", b"no-store") in reply.fields
    return orjson.loads(reply.body)


async def test_an_approval_that_waits():
    world = await World().opened()
    assert told(world.ask()) == {
        "approval_id": "ap-1",
        "state": "waiting",
        "detail": "waiting for a person: too much",
        "advice": "repeat exactly the same call later, or ask here again with ?wait=30",
        "expires": "2023-11-14T23:13:20Z",
    }
    assert world.drive.answer(None) is None
    assert world.drive.world.traces == [], "it is no call"


@pytest.mark.parametrize(
    ("verb", "message", "state", "detail", "advice"),
    [
        ("approve", "", "approved", "a person has approved the call", "repeat exactly the same call now"),
        ("deny", "not today", "denied", "not today", "do not repeat this call"),
        ("deny", "", "denied", "a person has denied this call", "do not repeat this call"),
        ("answer", "secret result", "answered", "a person has answered in the tool's place", "get the answer"),
        (
            "ask",
            "what for?",
            "waiting",
            "waiting for a person: too much; the person who looked at it asks: what for?",
            "",
        ),
    ],
)
async def test_what_came_of_it(verb: str, message: str, state: str, detail: str, advice: str):
    world = await World().opened()
    await world.votes(verb, message)
    said = told(world.ask())
    assert (said["state"], said["detail"]) == (state, detail)
    assert advice in said["advice"]


@pytest.mark.parametrize("target", [f"http://gate.test{STATUS}ap-1", f"{STATUS}ap-1?x=1"])
async def test_in_whatever_form_it_is_asked(target: str):
    assert told((await World().opened()).ask(target))["state"] == "waiting"


async def test_others_have_none():
    world = await World().opened()
    world.drive = Drive(standings=world.standings, sources=(Anonymous("mallory"),))
    other = world.ask()
    world = await World().opened()
    absent = world.ask(f"{STATUS}ap-9")
    assert (other.status, absent.status, other.body) == (404, 404, absent.body), "nor do they learn that there is one"


async def test_nobody_learns_of_a_check_of_those_who_decide():
    assert (await World().opened(canary=True)).ask().status == 404


@pytest.mark.parametrize("ident", ["", "ap-1/../x", "%61p-1", "a" * 65, "ap-1/"])
async def test_what_is_no_id_is_no_approval(ident: str):
    assert (await World().opened()).ask(f"{STATUS}{ident}").status == 404


async def test_who_is_nobody_is_told_so():
    world = await World().opened()
    world.drive = Drive(standings=world.standings, sources=())
    reply = world.ask()
    assert reply.status == 401
    assert any(name == b"WWW-Authenticate" for name, _ in reply.fields)


async def test_it_is_only_looked_at():
    reply = (await World().opened()).ask(method="POST")
    assert reply.status == 405
    assert (b"Allow", b"GET, HEAD") in reply.fields


@pytest.mark.parametrize("wait", ["x", "-1", "1e3", "nan", "999999"])
async def test_a_wait_is_a_number_of_seconds(wait: str):
    assert (await World().opened()).ask(f"{STATUS}ap-1?wait={wait}").status == 400


@pytest.mark.parametrize(
    "target", ["/bank/x?next=/.well-known/toolgate/approvals/ap-1", "/bank/.well-known/toolgate/approvals/ap-1"]
)
async def test_a_path_of_a_tool_is_the_tools(target: str):
    assert isinstance((await World().opened()).ask(target), Send)


# -- waiting for news -----------------------------------------------------------------------------------------------


async def waited(world: World, wait: float = 30.0) -> asyncio.Task[Any]:
    waits = world.ask(f"{STATUS}ap-1?wait={wait:g}")
    assert isinstance(waits, Await)
    task = asyncio.ensure_future(waits.awaitable)
    await asyncio.sleep(0)
    return task


async def test_a_verdict_ends_the_wait_at_once():
    world = await World().opened()
    task = await waited(world)
    await world.docket.open(petition())
    await asyncio.sleep(0)
    assert not task.done(), "that the call was made again is no news"
    await world.votes("approve")
    assert told(world.drive.answer(await task))["state"] == "approved"
    assert world.standings._waiters == {}


async def test_without_news_the_wait_ends_in_time():
    world = await World().opened()
    assert told(world.drive.answer(await (await waited(world, 0.01))))["state"] == "waiting"


async def test_what_is_decided_is_not_waited_for():
    world = await World().opened()
    await world.votes("deny")
    assert isinstance(world.ask(f"{STATUS}ap-1?wait=30"), Reply)


async def test_the_end_of_the_process_ends_all_waits_and_begins_none():
    world = await World().opened()
    task = await waited(world)
    world.standings.hurry()
    assert told(world.drive.answer(await task))["state"] == "waiting"
    assert told(world.drive.answer(await (await waited(world))))["state"] == "waiting"


@pytest.mark.parametrize("error", [ClientGone(), Refused(Reason.DRAINING, 503, "it ends")])
async def test_who_goes_or_is_stopped_leaves_nothing_behind(error: Exception):
    world = await World().opened()
    task = await waited(world)
    reply = world.drive.throw(error)
    assert (reply is None) is isinstance(error, ClientGone)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert world.standings._waiters == {}
    assert world.drive.world.traces == []
