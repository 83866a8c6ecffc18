"""Guardrails over HTTP: whatever the other side does, a call gets an answer or a refusal, and never waits for ever."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from gateway.config.schema_guardrails import GuardrailConfig
from gateway.errors import Refused
from gateway.guardrails.book import GuardrailBook
from gateway.model import Reason

ABOUT = {"agent": "a", "run": "r", "tool": "mail", "operation": "POST /send", "args": {"password": "p", "to": "x"}}
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Side:
    """The other side, which does as it is told; and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.headers: list[Any] = []
        self.under_way = self.most = 0
        self.answer: Answer = self.fine
        self.url = ""

    async def fine(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"flagged": True, "score": 0.75, "labels": ["injection"]})

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(await request.json())
        self.headers.append(request.headers)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            return await self.answer(request)
        finally:
            self.under_way -= 1


@pytest.fixture
async def side() -> AsyncIterator[Side]:
    side = Side()
    app = web.Application()
    app.router.add_post("/check", side.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    side.url = f"http://127.0.0.1:{runner.addresses[0][1]}/check"
    yield side
    await runner.cleanup()


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """A book with one guardrail, and what was counted of it."""

    def __init__(self, side: Side, **more: Any) -> None:
        self.clock, self.counted = Clock(), []
        self.book = GuardrailBook(self.clock, lambda name, outcome, seconds: self.counted.append(outcome))
        self.config = GuardrailConfig(url=side.url, **more)
        self.adopt()

    def adopt(self) -> None:
        self.book.adopt({"check": self.config}, lambda args: {**args, "password": "[masked]"})

    async def ask(self, *, must: bool = True, about: Any = ABOUT) -> Any:
        return (await self.book.ask({"check": must}, about))["check"]

    async def refused(self, about: Any = ABOUT) -> str:
        with pytest.raises(Refused) as caught:
            await self.ask(about=about)
        assert (caught.value.reason, caught.value.status) == (Reason.GUARDRAIL_UNAVAILABLE, 503)
        assert caught.value.retry_after >= 1
        return caught.value.detail


@pytest.fixture
async def desk(side: Side) -> AsyncIterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(**more: Any) -> Desk:
        made.append(Desk(side, **more))
        return made[-1]

    yield make
    for one in made:
        await one.book.close()


Make = Callable[..., Desk]


async def test_what_it_says_is_what_rules_read(side: Side, desk: Make) -> None:
    one = desk(headers={"Authorization": "Bearer k"})
    said = await one.ask()
    assert said == {"flagged": True, "score": 0.75, "labels": ["injection"], "detail": "", "answered": True}
    assert side.headers[0]["Authorization"] == "Bearer k"
    assert one.counted == ["flagged"]


async def test_arguments_that_records_mask_are_masked_unless_the_operator_says_otherwise(
    side: Side, desk: Make
) -> None:
    await desk().ask()
    await desk(mask=False).ask()
    assert [asked["args"]["password"] for asked in side.asked] == ["[masked]", "p"]


async def says(status: int = 200, body: bytes = b"", **fields: str) -> web.Response:
    return web.Response(status=status, body=body, headers=fields)


@pytest.mark.parametrize(
    "answer",
    [
        lambda request: says(500, b'{"flagged": false}'),
        lambda request: says(302, Location="/check"),
        lambda request: says(200, b"fine"),
        lambda request: says(200, b'{"flagged": "false"}'),
        lambda request: says(200, b'{"flagged": false, "detail": "' + b"x" * 70_000 + b'"}'),
        lambda request: says(200, gzip.compress(b'{"flagged": false}'), **{"Content-Encoding": "gzip"}),
    ],
    ids=["status", "redirect", "no JSON", "no boolean", "too large", "compressed unasked"],
)
async def test_anything_but_a_proper_answer_refuses_what_must_be_asked(side: Side, desk: Make, answer: Answer) -> None:
    side.answer = answer
    one = desk()
    detail = await one.refused()
    assert side.url not in detail
    assert len(side.asked) == 1, "no redirect is followed, and nothing is asked twice"
    assert one.counted == ["failed"]


async def test_a_failure_is_ignored_where_the_operator_says_so_or_no_enforced_rule_asks(side: Side, desk: Make) -> None:
    side.answer = lambda request: says(500)
    nothing = {"flagged": False, "score": 0.0, "labels": [], "detail": "", "answered": False}
    assert await desk(on_failure="ignore").ask() == nothing
    assert await desk().ask(must=False) == nothing


async def test_nobody_waits_longer_than_the_timeout_for_an_answer_or_a_place(side: Side, desk: Make) -> None:
    async def never(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        raise AssertionError

    side.answer = never
    one = desk(timeout=0.1, concurrency=1)
    details = await asyncio.gather(*[one.refused() for _ in range(4)])
    assert all("did not answer" in detail for detail in details)


async def test_only_as_many_questions_are_under_way_as_are_allowed(side: Side, desk: Make) -> None:
    async def gives_way(request: web.Request) -> web.StreamResponse:
        for _ in range(20):
            await asyncio.sleep(0)
        return await side.fine(request)

    side.answer = gives_way
    one = desk(timeout=10.0, concurrency=2)
    said = await asyncio.gather(*[one.ask() for _ in range(8)])
    assert all(each["answered"] for each in said)
    assert side.most <= 2
    assert len(side.asked) == 8


async def test_who_is_not_there_at_all_refuses_too(side: Side, desk: Make) -> None:
    side.url = "http://127.0.0.1:1/check"
    assert "no usable answer" in await desk().refused()


async def test_one_that_fails_again_and_again_is_left_alone_then_tried_again(side: Side, desk: Make) -> None:
    side.answer = lambda request: says(500)
    one = desk()
    for _ in range(5):
        await one.refused()
    assert "left alone" in await one.refused()
    assert len(side.asked) == 5
    one.clock.now += 60
    side.answer = side.fine
    assert (await one.ask())["flagged"]


async def test_an_agent_that_hangs_up_on_probes_does_not_keep_others_from_asking(side: Side, desk: Make) -> None:
    """Otherwise one agent could keep a guardrail off for all, which where failures are ignored means: gone."""
    side.answer = lambda request: says(500)
    one = desk()
    for _ in range(5):
        await one.refused()
    one.clock.now += 60
    entered = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        entered.set()
        await asyncio.sleep(30)
        raise AssertionError

    side.answer = slow
    probe = asyncio.create_task(one.ask())
    await entered.wait()
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    side.answer = side.fine
    assert (await one.ask(about={**ABOUT, "agent": "b"}))["flagged"]


async def test_a_question_that_is_too_large_is_a_failure_not_a_way_around(side: Side, desk: Make) -> None:
    one = desk(max_size=200)
    assert "200" in await one.refused({**ABOUT, "args": {"text": "x" * 300}})
    assert side.asked == []
    assert one.counted == ["skipped"]


async def test_the_same_question_is_asked_once_while_its_answer_holds(side: Side, desk: Make) -> None:
    one = desk(cache=60.0)
    assert (await one.ask(), await one.ask())[1]["flagged"]
    await one.ask(about={**ABOUT, "args": {"to": "y"}})
    assert len(side.asked) == 2
    one.clock.now += 61
    await one.ask()
    assert len(side.asked) == 3
    assert one.counted == ["flagged", "cached", "flagged", "flagged"]


async def test_failures_are_not_remembered_as_answers(side: Side, desk: Make) -> None:
    one = desk(cache=60.0, on_failure="ignore")
    side.answer = lambda request: says(500)
    assert not (await one.ask())["answered"]
    side.answer = side.fine
    assert (await one.ask())["answered"]


async def test_a_reload_keeps_what_is_as_before_and_refuses_what_is_gone(side: Side, desk: Make) -> None:
    one = desk(cache=60.0)
    await one.ask()
    one.adopt()
    await one.ask()
    assert len(side.asked) == 1
    one.book.adopt({}, dict)
    assert "not configured any more" in await one.refused()
