"""Tokens are kept, renewed ahead of their end by one fetch for all, and not asked for in a hurry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from gateway.lend.sources import Unavailable
from gateway.lend.tokens import AGAIN, Granted, Tokens
from gateway.model import Lent


class Desk:
    """A token endpoint that answers when the test says so, and a clock that stands still."""

    def __init__(self, capacity: int = 100) -> None:
        self.now, self.asked = 1000.0, 0
        self.learnt: list[str] = []
        self.waiting: list[asyncio.Future[Granted]] = []
        self.tokens = Tokens(lambda: self.now, lambda: 0.5, self.learnt.append, capacity)

    async def fetch(self) -> Granted:
        self.asked += 1
        answer: asyncio.Future[Granted] = asyncio.get_running_loop().create_future()
        self.waiting.append(answer)
        return await answer

    def get(self, agent: str = "a", subject: bytes = b"") -> Any:
        return self.tokens.get(agent, subject, self.fetch)

    async def give(self, token: str, life: float = 100) -> None:
        await self.turn()
        self.waiting.pop(0).set_result(Granted(token, life))
        await self.turn()

    async def fail(self, error: Exception) -> None:
        await self.turn()
        self.waiting.pop(0).set_exception(error)
        await self.turn()

    async def turn(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def have(self, token: str, life: float = 100) -> None:
        waits = asyncio.ensure_future(self.get())
        await self.give(token, life)
        assert bearer(await waits) == token


def bearer(lent: Any) -> str:
    assert isinstance(lent, Lent)
    return lent.fields[0][1].decode().removeprefix("Bearer ")


async def test_all_who_come_at_once_wait_for_one_fetch() -> None:
    desk = Desk()
    waiting = [asyncio.ensure_future(desk.get()) for _ in range(5)]
    await desk.give("t1")
    assert [bearer(lent) for lent in await asyncio.gather(*waiting)] == ["t1"] * 5
    assert desk.asked == 1
    assert desk.learnt == ["t1"]


async def test_a_token_that_is_there_is_given_without_waiting() -> None:
    desk = Desk()
    await desk.have("t1")
    assert bearer(desk.get()) == "t1"
    assert desk.get() is desk.get(), "nothing is made for a call"
    assert desk.asked == 1


async def test_who_gives_up_waiting_takes_the_token_from_nobody() -> None:
    desk = Desk()
    gone, stays = asyncio.ensure_future(desk.get()), asyncio.ensure_future(desk.get())
    await desk.turn()
    gone.cancel()
    await desk.give("t1")
    assert bearer(await stays) == "t1"


async def test_a_token_is_renewed_before_its_end_while_it_still_serves() -> None:
    desk = Desk()
    await desk.have("t1", life=100)
    desk.now += 69
    desk.get()
    await desk.turn()
    assert desk.asked == 1
    desk.now += 2
    assert bearer(desk.get()) == "t1"
    assert bearer(desk.get()) == "t1"
    await desk.give("t2")
    assert desk.asked == 2, "once for all"
    assert bearer(desk.get()) == "t2"


async def test_a_token_at_its_end_is_not_given_any_more() -> None:
    desk = Desk()
    await desk.have("t1", life=100)
    desk.now += 90.1
    waits = asyncio.ensure_future(desk.get())
    await desk.give("t2")
    assert bearer(await waits) == "t2"


async def test_the_old_token_serves_while_the_new_one_cannot_be_had() -> None:
    desk = Desk()
    await desk.have("t1", life=100)
    desk.now += 80
    desk.get()
    await desk.fail(Unavailable("down"))
    assert bearer(desk.get()) == "t1"
    await desk.turn()
    assert desk.asked == 2, "and it is not asked for again at once"
    desk.now += 11
    waits = asyncio.ensure_future(desk.get())
    await desk.fail(Unavailable("still down"))
    with pytest.raises(Unavailable, match="still down"):
        await waits


async def test_a_failure_is_told_to_those_who_come_after_it_without_asking_again() -> None:
    desk = Desk()
    waits = asyncio.ensure_future(desk.get())
    await desk.fail(Unavailable("down"))
    with pytest.raises(Unavailable, match="down"):
        await waits
    with pytest.raises(Unavailable, match="down"):
        desk.get()
    assert desk.asked == 1


async def test_pauses_between_failures_double_up_to_a_minute() -> None:
    desk, pauses = Desk(), []
    for _ in range(9):
        waits = asyncio.ensure_future(desk.get())
        await desk.fail(Unavailable("down"))
        with pytest.raises(Unavailable):
            await waits
        began = desk.now
        while True:
            desk.now += 0.25
            try:
                waits = desk.get()
            except Unavailable:
                continue
            break
        pauses.append(desk.now - began)
        task = asyncio.ensure_future(waits)
        await desk.fail(Unavailable("down"))
        with pytest.raises(Unavailable):
            await task
        desk.now += 100
    assert pauses[0] < 2
    assert max(pauses) <= 67
    assert pauses == sorted(pauses)


async def test_what_breaks_a_fetch_is_not_told() -> None:
    desk = Desk()
    waits = asyncio.ensure_future(desk.get())
    await desk.fail(RuntimeError("with client_secret=canary"))
    with pytest.raises(Unavailable) as raised:
        await waits
    assert "canary" not in str(raised.value)


async def test_a_token_that_a_tool_does_not_take_is_thrown_away_once_in_a_while() -> None:
    desk = Desk()
    await desk.have("t1", life=10_000)
    desk.tokens.rejected("a", b"")
    await desk.have("t2", life=10_000)
    desk.tokens.rejected("a", b"")
    assert bearer(desk.get()) == "t2", "a tool that refuses every token does not make us ask for each call"
    desk.now += AGAIN
    desk.tokens.rejected("a", b"")
    await desk.have("t3")


async def test_an_agent_with_many_subjects_pushes_out_its_own_tokens_only() -> None:
    desk = Desk(capacity=10)
    waits: Awaitable[Lent] = asyncio.ensure_future(desk.get("b", b"one"))
    await desk.give("b1")
    assert bearer(await waits) == "b1"
    for number in range(50):
        waits = asyncio.ensure_future(desk.get("a", str(number).encode()))
        await desk.give(f"a{number}")
        await waits
    assert bearer(desk.get("b", b"one")) == "b1"


async def test_closing_ends_what_is_being_fetched() -> None:
    desk = Desk()
    waits = asyncio.ensure_future(desk.get())
    await desk.turn()
    await desk.tokens.close()
    with pytest.raises(asyncio.CancelledError):
        await waits
