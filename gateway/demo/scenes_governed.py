"""Scenes in which agents go wrong: a budget that is spent, a run that goes round in circles, the kill switch."""

from __future__ import annotations

import asyncio

from gateway.demo.scene import Stage, Surprise, expect
from gateway.demo.table import ALLOWED, CUT, HELD, REFUSED


async def spent(stage: Stage) -> None:
    """A budget is never overspent. A note costs a cent, and the team of interns has three a day. Six calls of two of
    them set out at once; what each can cost is reserved before it is made."""
    names = ("intern-1", "intern-2") * 3
    seen = await asyncio.gather(*(stage.client.call(name, "GET /notes/notes") for name in names))
    outcomes = await stage.client.show(*sorted(seen, key=lambda one: one.status))
    if outcomes.count(REFUSED) != 3 or set(outcomes) - {ALLOWED, HELD, REFUSED}:
        raise Surprise(f"three of six calls should have been made, but: {outcomes}")
    await expect(stage, (await stage.client.call("researcher", "GET /notes/notes"), ALLOWED))


async def circling(stage: Stage) -> None:
    """A loop is stopped. The agent reads the same note again and again. It is told, then refused; when it does not
    listen, its run is quarantined. Another run of it goes on."""
    call, stuck = stage.client.call, {"x-run-id": "stuck"}
    for expected in (ALLOWED, ALLOWED, ALLOWED, REFUSED, REFUSED, REFUSED):
        await expect(stage, (await call("researcher", "GET /notes/notes/1", fields=stuck), expected))
    await expect(
        stage,
        (await call("researcher", "GET /notes/notes/2", fields=stuck), REFUSED),
        (await call("researcher", "GET /notes/notes/2", fields={"x-run-id": "other"}), ALLOWED),
    )


async def stopped(stage: Stage) -> None:
    """The kill switch. Somebody stops the agent while a stream of two minutes runs: it is cut, and so is whatever the
    agent tries next, until the quarantine is lifted."""
    client = stage.client
    started = asyncio.Event()
    stream = asyncio.ensure_future(client.stream("researcher", "/clock/ticks?count=800", started))
    begun = asyncio.ensure_future(started.wait())
    try:
        await asyncio.wait((stream, begun), return_when=asyncio.FIRST_COMPLETED)
        client.table.say("  $ toolgate quarantine add agent researcher --cut --reason 'incident 41'", "2")
        order = {"scope": "agent", "key": ["researcher"], "cut": True, "reason": "incident 41", "by": "demo"}
        await client.operate("POST", "/api/quarantines", order)
        await expect(stage, (await stream, CUT), (await client.call("researcher", "GET /notes/notes/1"), REFUSED))
        client.table.say("  $ toolgate quarantine lift agent researcher", "2")
        await client.operate("DELETE", "/api/quarantines?scope=agent&key=researcher&by=demo")
    finally:
        stream.cancel()
        begun.cancel()
    await expect(stage, (await client.call("researcher", "GET /notes/notes/1"), ALLOWED))
