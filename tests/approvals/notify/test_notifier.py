"""Who is told of what, over replicas, restarts and other versions of the configuration."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from msgspec import structs

from gateway.approvals import states
from gateway.approvals.docket import Docket
from gateway.approvals.notify.links import Links
from gateway.approvals.notify.notifier import MOST_AT_ONCE, TURN, Notifier
from gateway.approvals.notify.outbox import Job
from gateway.approvals.notify.posting import Answer, Undelivered
from gateway.config.schema_approvals import Approvals
from gateway.model import Approval, Escalation, Terms, Vote
from gateway.stores.memory_cabinet import MemoryCabinet
from gateway.stores.memory_state import MemoryBoard
from tests.approvals.asked import NOW, Time, docket, petition
from tests.approvals.notify.told import PLAIN

SECRET = "whsec_" + b64encode(bytes(range(32))).decode()
TERMS = Terms(notify=("bot", "second"), escalate=(Escalation(60, "", ("late",)), Escalation(120, "", ("late", "bot"))))


def hook(name: str, **more: Any) -> dict[str, Any]:
    return {"webhook": {"url": f"https://{name}.example.org/", "secret": SECRET, **more}}


def config(*names: str, **more: Any) -> Approvals:
    channels = {name: hook(name) for name in names} | more
    return Approvals.model_validate({"url": "https://gate.example.org/", "channels": channels})


class Post:
    """Stands for HTTP: keeps what is posted, and does not take it while ``away``."""

    def __init__(self) -> None:
        self.away = False
        self.posted: list[tuple[str, str, str]] = []
        self.bodies: list[Any] = []

    async def post(self, url: str, body: bytes, fields: Mapping[str, str]) -> Answer:
        await asyncio.sleep(0)
        if self.away:
            raise Undelivered("away", again=False)
        said = json.loads(body)
        self.bodies.append(said)
        where = url.removeprefix("https://").partition(".")[0]
        self.posted.append((where, said.get("type", url), fields.get("webhook-id", "")))
        return Answer(200, b'{"ok": true, "channel": "C1", "ts": "17.5"}')

    async def close(self) -> None: ...


class Replica:
    """A docket and a notifier; replicas share cabinet, board, time and receivers."""

    def __init__(self, cabinet: MemoryCabinet, board: MemoryBoard, time: Time, post: Post) -> None:
        self.docket: Docket = docket(cabinet, time)
        self.notifier = Notifier(self.docket, board, cabinet, Links(b"k" * 32), PLAIN, lambda: post)  # type: ignore[arg-type, return-value]


class World:
    def __init__(self) -> None:
        self.time, self.post = Time(), Post()
        self.cabinet, self.board = MemoryCabinet(self.time), MemoryBoard(self.time)
        self.replicas: list[Replica] = []

    def replica(self, version: Approvals | None = None) -> Replica:
        made = Replica(self.cabinet, self.board, self.time, self.post)
        made.notifier.adopt(config("bot", "second", "late") if version is None else version, {})
        self.replicas.append(made)
        return made

    async def settle(self) -> None:
        """Let all that is in line be told."""
        for replica in self.replicas:
            await replica.docket.follow()
        for _ in range(60):
            await asyncio.sleep(0)

    async def close(self) -> None:
        for replica in self.replicas:
            await replica.notifier.close()


def types(world: World) -> list[tuple[str, str]]:
    return sorted((where, what.removeprefix("approval.")) for where, what, _ in world.post.posted)


async def vote(replica: Replica, approval: Approval, verb: str) -> None:
    now = replica.docket.now()
    await replica.docket.step(approval.id, lambda standing: states.voted(standing, Vote("ann", verb, now), now))


async def test_each_channel_is_told_of_each_event_once_over_all_replicas() -> None:
    world = World()
    one, two = world.replica(), world.replica()
    asked = await one.docket.open(petition(terms=TERMS))
    await world.settle()
    assert types(world) == [("bot", "opened"), ("second", "opened")]
    await vote(two, asked, "deny")
    await world.settle()
    assert types(world) == [("bot", "decided"), ("bot", "opened"), ("second", "decided"), ("second", "opened")]
    idents = [ident for where, _, ident in world.post.posted if where == "bot"]
    assert idents == [f"msg_{asked.id}.opened", f"msg_{asked.id}.decided"]
    await world.close()


async def test_steps_of_escalation_tell_theirs_and_the_end_is_told_to_all_who_know() -> None:
    world = World()
    one, two = world.replica(), world.replica()
    asked = await one.docket.open(petition(terms=TERMS))
    await world.settle()
    world.post.posted.clear()
    for step in (1, 2):
        await two.docket.step(asked.id, lambda standing, step=step: structs.replace(standing, escalated=step))
        await world.settle()
    told = [(where, ident.rpartition(".")[2]) for where, _, ident in world.post.posted]
    assert sorted(told) == [("bot", "escalated-2"), ("late", "escalated-1"), ("late", "escalated-2")]
    world.post.posted.clear()
    world.time.now += 4000
    await one.docket.step(asked.id, lambda standing: states.timed_out(standing, world.time.now))
    await world.settle()
    assert types(world) == [("bot", "expired"), ("late", "expired"), ("second", "expired")]
    await world.close()


async def test_what_is_decided_before_its_turn_comes_is_not_asked_any_more() -> None:
    world = World()
    one = world.replica()
    asked = await one.docket.open(petition(terms=Terms()))
    await vote(one, asked, "approve")
    one.notifier._outboxes["bot"].put(Job("bot", asked.id, "opened"))  # it was in line behind others
    await world.settle()
    assert types(world) == []
    assert list(one.notifier.counts()) == [("bot", "opened", "late", 1)]
    await world.close()


async def test_a_channel_is_told_of_its_events_only() -> None:
    world = World()
    one = world.replica(config("second", bot=hook("bot", events=["decided"])))
    asked = await one.docket.open(petition(terms=TERMS))
    await world.settle()
    assert types(world) == [("second", "opened")]
    await vote(one, asked, "approve")
    await world.settle()
    assert ("bot", "decided") in types(world)
    await world.close()


async def test_where_a_replica_dies_before_it_has_told_another_does_so_once_its_turn_is_over() -> None:
    world = World()
    one = world.replica()
    world.post.away = True
    asked = await one.docket.open(petition(terms=TERMS))
    for outbox in list(one.notifier._outboxes.values()):
        await asyncio.sleep(0)
        await outbox.close()  # it has the turn, and is gone
    assert not await world.board.seize(f"notice/bot/{asked.id}.opened", 1)
    world.replicas.clear()
    world.post.away = False
    after = world.replica()
    await world.settle()
    assert types(world) == []
    world.time.now += TURN + 1
    await after.notifier._look_again()
    await world.settle()
    assert types(world) == [("bot", "opened"), ("second", "opened")]
    await world.close()


async def test_what_was_told_is_not_told_again_after_a_restart() -> None:
    world = World()
    one = world.replica()
    await one.docket.open(petition(terms=TERMS))
    await world.settle()
    assert len(world.post.posted) == 2
    world.time.now += TURN + 1  # nobody has the turn any more: the mark tells
    world.replica()
    await world.settle()
    assert len(world.post.posted) == 2
    await world.close()


async def test_another_version_brings_other_channels_and_keeps_what_waits() -> None:
    world = World()
    one = world.replica(config("bot"))
    await one.docket.open(petition(terms=TERMS))
    one.notifier.adopt(config("second"), {})
    asked = await one.docket.open(petition(terms=TERMS))
    await world.settle()
    assert {where for where, _, ident in world.post.posted if asked.id in ident} == {"second"}
    assert list(one.notifier.status()) == ["second"]
    one.notifier.adopt(Approvals(), {})
    await one.docket.open(petition(terms=TERMS))
    await world.settle()
    assert one.notifier.status() == {}
    await world.close()


async def test_a_message_in_slack_is_changed_by_whichever_replica_tells_the_decision() -> None:
    world = World()
    web_api = {"slack": {"token": "xoxb-1", "channel": "C1", "api": "https://slack.example.org/api"}}
    version = config(bot=web_api)
    one, two = world.replica(version), world.replica(version)
    asked = await one.docket.open(petition(terms=TERMS))
    await world.settle()
    assert world.post.posted[0][1].endswith("/chat.postMessage")
    await one.notifier._outboxes["bot"].close()
    await vote(two, asked, "approve")
    await world.settle()
    assert world.post.posted[1][1].endswith("/chat.update")
    assert (world.post.bodies[1]["channel"], world.post.bodies[1]["ts"]) == ("C1", "17.5")
    await world.close()


async def test_a_large_call_is_told_too() -> None:
    world = World()
    one = world.replica(config("bot"))
    await one.docket.open(petition({"amount": 900, "text": "x" * MOST_AT_ONCE}, terms=TERMS))
    while not world.post.posted:
        await asyncio.sleep(0.001)
    assert len(world.post.bodies[0]["data"]["call"]["args"]["text"]) == MOST_AT_ONCE
    await world.close()


async def test_arguments_that_were_put_in_are_those_that_are_told() -> None:
    world = World()
    one = world.replica()
    asked = await one.docket.open(petition({"amount": 900}, terms=TERMS))
    await world.settle()
    await one.docket.put_edit(asked.id, "e1", b'{"amount":100}')
    now = one.docket.now()
    edit = Vote("ann", "edit", now, edit="e1")
    await one.docket.step(asked.id, lambda standing: states.voted(standing, edit, now))
    await world.settle()
    assert world.post.bodies[-1]["data"]["call"]["args"] == {"amount": 100}
    assert NOW <= now
    await world.close()
