"""Budgets through the real process, by the books of the upstream itself."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest

from tests.stores.redis_server import RedisServer

from .harness.gateway import ALL, Gateway
from .harness.metered import INPUT, OUTPUT, MeteredModel

LIMIT = 1_000_000


def budget(**spec: Any) -> str:
    lines = "".join(f"  {key}: {value}\n" for key, value in {"per": "[]", "window": "month", **spec}.items())
    return f"{ALL}---\napiVersion: toolgate/v1\nkind: Budget\nmetadata: {{name: dollar}}\nspec:\n{lines}"


def tools(model: MeteredModel) -> dict[str, Any]:
    prices = {"models": {"gpt-test": {"input": INPUT, "output": OUTPUT}}}
    return {"llm": {"url": f"http://127.0.0.1:{model.port}/v1", "protocol": "openai", "prices": prices}}


@pytest.fixture
def model() -> Iterator[MeteredModel]:
    server = MeteredModel()
    yield server
    server.close()


class Asker:
    """Asks models at once through some gateways, and notes what came of it."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.refused_at = float("inf")
        self.refusals: list[dict[str, Any]] = []
        self.fields: list[str] = []

    async def all(self, urls: list[str], calls: int) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(60)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            await asyncio.gather(*[self.one(session, urls[number % len(urls)]) for number in range(calls)])

    async def one(self, session: aiohttp.ClientSession, url: str) -> None:
        body = {"model": "gpt-test", "messages": [{"role": "user", "content": "How are you?"}]}
        try:
            async with session.post(f"{url}/llm/chat/completions", json=body) as answer:
                told = await answer.json(content_type=None)
        except aiohttp.ClientError:
            self.statuses[0] += 1
            return
        self.statuses[answer.status] += 1
        self.fields += answer.headers.getall("X-Toolgate-Budget", [])
        if answer.status != 200:
            self.refused_at = min(self.refused_at, time.monotonic())
            self.refusals.append(told)


@pytest.mark.parametrize("state", ["memory:", "sqlite:///state.db"])
def test_a_thousand_calls_at_once_never_spend_more_than_the_budget_and_nearly_all_of_it(
    state: str, model: MeteredModel, tmp_path: Path
) -> None:
    gateway = Gateway(tmp_path, tools(model), budget(usd=1, max_tokens=1000, max_wait="30s"), state=state).start()
    try:
        asker = Asker()
        asyncio.run(asker.all([gateway.url], 1000))
        assert model.total <= LIMIT
        assert model.before(asker.refused_at) >= 0.95 * LIMIT
        assert asker.statuses.keys() == {200, 402}
        assert asker.statuses[200] == len(model.sold)
        assert {told["reason"] for told in asker.refusals} == {"budget_exhausted"}
        assert {told["rule"] for told in asker.refusals} == {"budget/dollar"}
        assert max(model.bounds) == 1000
        assert len(asker.fields) == len(model.sold)
    finally:
        gateway.stop()
    assert "Traceback" not in gateway.output, gateway.output


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    server = RedisServer()
    yield server.url
    server.stop()


def test_two_replicas_never_spend_the_same_dollar(model: MeteredModel, tmp_path: Path, redis: str) -> None:
    policies = budget(usd=1, max_tokens=1000, max_wait="30s")
    gateways = [Gateway(tmp_path / name, tools(model), policies, state=redis).start() for name in ("a", "b")]
    try:
        asker = Asker()
        asyncio.run(asker.all([gateway.url for gateway in gateways], 600))
        assert model.total <= LIMIT
        assert model.before(asker.refused_at) >= 0.95 * LIMIT
        assert asker.statuses[200] == len(model.sold)
    finally:
        for gateway in gateways:
            gateway.stop()
    for gateway in gateways:
        assert "Traceback" not in gateway.output, gateway.output


def test_a_process_that_is_killed_forgets_nothing_that_it_spent(model: MeteredModel, tmp_path: Path) -> None:
    gateway = Gateway(
        tmp_path, tools(model), budget(usd=1, max_tokens=300, max_wait="1s"), state="sqlite:///state.db"
    ).start()
    try:
        for killed_after in (30, 150):
            asker = Asker()

            async def go(asker: Asker = asker, calls: int = killed_after) -> None:
                asking = asyncio.create_task(asker.all([gateway.url], 400))
                enough = len(model.sold) + calls
                while len(model.sold) < enough and not asking.done():
                    await asyncio.sleep(0.001)
                gateway.signal(signal.SIGKILL)
                await asking

            asyncio.run(go())
            gateway.wait()
            gateway.start()
        last = Asker()
        asyncio.run(last.all([gateway.url], 800))
        assert last.statuses[402] > 0
        assert 0 < model.total <= LIMIT
    finally:
        gateway.stop()


def test_a_stream_that_keeps_to_no_bound_is_cut_with_an_error_that_clients_understand(
    model: MeteredModel, tmp_path: Path
) -> None:
    gateway = Gateway(tmp_path, tools(model), budget(usd=1, max_tokens=200, streams="cut")).start()
    try:
        asked = {"model": "gpt-test", "stream": True, "messages": [{"role": "user", "content": "Go on."}]}
        with httpx.stream("POST", f"{gateway.url}/llm/chat/completions", json=asked, timeout=30) as answer:
            call = answer.headers["x-toolgate-call"]
            body = answer.read().decode()
        *_, error, done, rest = body.split("\n\n")
        assert json.loads(error.removeprefix("data: "))["error"]["message"]
        assert (done, rest) == ("data: [DONE]", "")
        assert model.left.wait(10), "the tool's connection is closed"
        assert model.streamed < 200
        trace = gateway.trace(call)
        assert (trace["fault"], trace["withheld"]["rule"]) == ("gateway", "budget/dollar")
        assert trace["usage"]["output"] < 1000
    finally:
        gateway.stop()
