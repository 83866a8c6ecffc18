"""Budgets through the real process, by the books of the upstream itself."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

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
        assert asker.statuses.keys() == {200, 403}
        assert asker.statuses[200] == len(model.sold)
        assert {told["reason"] for told in asker.refusals} == {"budget_exhausted"}
        assert {told["rule"] for told in asker.refusals} == {"budget/dollar"}
        assert max(model.bounds) == 1000
        assert len(asker.fields) == len(model.sold)
    finally:
        gateway.stop()
    assert "Traceback" not in gateway.output, gateway.output
