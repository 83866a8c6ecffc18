"""Scenes with plain HTTP tools: grants, rules on arguments, limits, a breaker, a stream, an edited policy."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic

from gateway.demo.scene import Stage, Surprise, expect
from gateway.demo.table import ALLOWED, FAILED, HELD, REFUSED, SHORTED, THROTTLED, WAITING


async def granted(stage: Stage) -> None:
    """What was granted works. Two agents do their work; they talk to the gateway as they would to the tools."""
    call = stage.client.call
    await expect(
        stage,
        (await call("researcher", "GET /notes/notes/1"), ALLOWED),
        (await call("researcher", "GET /search/search?q=tides"), ALLOWED),
        (await call("treasurer", "POST /bank/transfers", {"recipient": "DE11", "amount": 80}), ALLOWED),
    )


async def not_granted(stage: Stage) -> None:
    """What was not granted does not. No rule is needed to refuse: what no grant names cannot be called."""
    call = stage.client.call
    await expect(
        stage,
        (await call("researcher", "DELETE /notes/notes/1"), REFUSED),
        (await call("researcher", "POST /bank/transfers", {"recipient": "DE11", "amount": 5}), REFUSED),
        (await call("(nobody)", "GET /notes/notes/1"), REFUSED),
    )


async def talked_into(stage: Stage) -> None:
    """Arguments decide, not good intentions. Somebody has talked the treasurer into paying XX66. Whom the policy does
    not know gets nothing without a person, and more than 1000 not at all."""
    call = stage.client.call
    await expect(
        stage,
        (await call("treasurer", "POST /bank/transfers", {"recipient": "XX66", "amount": 950.0}), WAITING),
        (await call("treasurer", "POST /bank/transfers", {"recipient": "XX66", "amount": 2500}), REFUSED),
        (await call("treasurer", "POST /bank/transfers", {"recipient": "DE22", "amount": 700}), ALLOWED),
    )


async def two_ways(stage: Stage) -> None:
    """One reading for the policy and the tool. With a repeated key, a rule could see 10 and the bank 9000; such a body
    is refused before any rule looks at it."""
    twice = b'{"recipient":"DE11","amount":10,"amount":9000}'
    await expect(stage, (await stage.client.call("treasurer", "POST /bank/transfers", twice), REFUSED))


async def too_fast(stage: Stage) -> None:
    """An agent in a hurry is throttled. 4 notes at once, then 1 a second; the refusal says how long to wait, and then
    the call goes through."""
    call = stage.client.call
    seen = [await call("researcher", "POST /notes/notes", {"text": f"thought {number}"}) for number in range(1, 7)]
    outcomes = await stage.client.show(*seen)
    if outcomes[:4] != [ALLOWED] * 4 or THROTTLED not in outcomes:  # on a slow machine, a token may come back meanwhile
        raise Surprise(f"four of six notes should have been taken, then none, but: {outcomes}")
    await asyncio.sleep(int(seen[outcomes.index(THROTTLED)].retry_after))
    await expect(stage, (await call("researcher", "POST /notes/notes", {"text": "one more"}), ALLOWED))


async def held_back(stage: Stage) -> None:
    """Or held back instead. Searches are limited to 5 a second in `mode: wait`: four at once come out 200 ms apart, and
    the agent needs no retry."""
    searches = (stage.client.call("researcher", f"GET /search/search?q=tide+{number}") for number in range(4))
    seen = await asyncio.gather(*searches)
    outcomes = await stage.client.show(*seen)
    if set(outcomes) - {ALLOWED, HELD} or outcomes.count(HELD) < 3:
        raise Surprise(f"three of four searches should have been held back, but: {outcomes}")


async def failing(stage: Stage) -> None:
    """A failing tool is left alone. After 3 failures in a row the circuit opens: calls end at the gateway. When its
    time is over one call is let through as a probe, and closes it."""
    call, chaos = stage.client.call, f"{stage.search}/_chaos"
    await stage.client.direct(chaos, {"broken": True})
    for expected in (FAILED, FAILED, FAILED, SHORTED, SHORTED):
        seen = await call("researcher", "GET /search/search?q=storm")
        await expect(stage, (seen, expected))
    await stage.client.direct(chaos, {"broken": False})
    stage.client.table.say("  (the tool is repaired; the agent waits as long as it was told to)", "2")
    await asyncio.sleep(int(seen.retry_after))
    for _ in range(2):
        await expect(stage, (await call("researcher", "GET /search/search?q=storm"), ALLOWED))


async def streaming(stage: Stage) -> None:
    """Streams stay streams. Events reach the agent as the tool sends them."""
    await expect(stage, (await stage.client.stream("researcher", "/clock/ticks?count=5"), ALLOWED))


async def edited(stage: Stage) -> None:
    """The policy changes while calls run. DE33 is added to the known recipients in policies/payments.yaml; no restart,
    and each trace names the version that decided. Then the edit is taken back."""
    call, file = stage.client.call, stage.policies / "payments.yaml"
    before = await asyncio.to_thread(file.read_text, "utf-8")
    order = {"recipient": "DE33", "amount": 40}
    await expect(stage, (await call("treasurer", "POST /bank/transfers", order), WAITING))
    try:
        await _edit(stage, file, before.replace('["DE11", "DE22"]', '["DE11", "DE22", "DE33"]'))
        await expect(stage, (await call("treasurer", "POST /bank/transfers", order), ALLOWED))
        await _edit(stage, file, before)
    finally:
        file.write_text(before, "utf-8")  # also where the scene is cut short
    await expect(stage, (await call("treasurer", "POST /bank/transfers", order), WAITING))


async def _edit(stage: Stage, file: Path, text: str) -> None:
    """Write a policy and wait until it is in force."""
    old = (await stage.client.readiness())["policy_version"]
    began = monotonic()
    await asyncio.to_thread(file.write_text, text, "utf-8")
    while (new := (await stage.client.readiness())["policy_version"]) == old:
        if monotonic() - began > 10:
            raise Surprise(f"the edit of {file} did not take effect within 10 s")
        await asyncio.sleep(0.02)
    took = (monotonic() - began) * 1e3
    stage.client.table.say(f"  ({file.name} edited: version {old} -> {new}, in force after {took:.0f} ms)", "2")
