"""What the webhook answers to whoever reaches it, be it an API server or not."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp.test_utils import TestClient, TestServer

from gateway.inject import webhook
from gateway.inject.tally import Tally, registry_of
from gateway.inject.webhook import LARGE_AT_ONCE, MOST_BYTES, Webhook, probes

from . import pods

REVIEW = (pods.FIXTURES / "review-generated-name.json").read_bytes()


def hooked(tally: Tally) -> Webhook:
    return Webhook(lambda: pods.settings(uid=20001), tally)


@asynccontextmanager
async def asked(hook: Webhook) -> AsyncIterator[TestClient]:
    async with TestClient(TestServer(hook.app())) as client:
        yield client


async def test_each_review_is_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    tally = Tally()
    caplog.set_level(logging.INFO, "toolgate.inject")
    async with asked(hooked(tally)) as client:
        answer = await client.post("/mutate?timeout=10s", data=REVIEW)
        assert answer.content_type == "application/json"
        assert (await answer.json())["response"]["allowed"] is True
        denied = REVIEW.replace(b'"agent:1"', b'"agent:1","ports":0').replace(
            b'"runAsUser":10001', b'"runAsUser":20001'
        )
        assert (await (await client.post("/mutate", data=denied)).json())["response"]["allowed"] is False
        await client.post("/mutate", data=REVIEW.replace(b'"CREATE"', b'"UPDATE"'))
    assert tally.reviews == {"injected": 1, "denied": 1, "left": 1, "unreadable": 0}
    told = [record.about for record in caplog.records if record.name == "toolgate.inject"]
    assert [one["outcome"] for one in told] == ["injected", "denied", "left"]
    assert {one["pod"] for one in told} == {"fx-"}
    assert "20001" in told[1]["why"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff", b"{}", b'{"request": {}}', b'{"request": {"uid": 1}}', REVIEW[:-9]]
)
async def test_what_is_no_review_is_400(body: bytes) -> None:
    tally = Tally()
    async with asked(hooked(tally)) as client:
        answer = await client.post("/mutate", data=body)
        assert (answer.status, answer.content_type) == (400, "text/plain")
        assert (await client.get("/mutate")).status == 405
        assert (await client.post("/", data=REVIEW)).status == 404
    assert tally.reviews["unreadable"] == 1


async def test_reviews_are_bounded_each_and_together(monkeypatch: pytest.MonkeyPatch) -> None:
    async def slowly(size: int) -> AsyncIterator[bytes]:
        yield b" "
        await released.wait()
        yield b" " * (size - 1)

    released, hook = asyncio.Event(), hooked(Tally())
    async with asked(hook) as client:
        assert (await client.post("/mutate", data=io.BytesIO(b" " * (MOST_BYTES + 1)))).status == 413
        large = [
            asyncio.create_task(client.post("/mutate", data=slowly(10))) for _ in range(LARGE_AT_ONCE // MOST_BYTES)
        ]
        while hook._large < LARGE_AT_ONCE:
            await asyncio.sleep(0.01)
        assert (await client.post("/mutate", data=slowly(1))).status == 503, "of unknown length, so as the largest"
        assert (await client.post("/mutate", data=REVIEW)).status == 200, "small ones are read in any case"
        released.set()
        assert [answer.status for answer in await asyncio.gather(*large)] == [400] * len(large)
        released.clear()
        monkeypatch.setattr(webhook, "PATIENCE", 0.05)
        assert (await client.post("/mutate", data=slowly(10))).status == 408


async def test_probes_tell_how_it_stands() -> None:
    told = {"status": "not ready"}
    tally = Tally()
    async with TestClient(TestServer(probes(lambda: told, registry_of(tally)))) as client:
        assert [(await client.get(path)).status for path in ("/healthz", "/livez", "/readyz")] == [200, 200, 503]
        told["status"] = "ready"
        assert (await client.get("/readyz")).status == 200
        told["status"] = "draining"
        assert (await client.get("/readyz")).status == 503
        text = await (await client.get("/metrics")).text()
    for name in ("toolgate_inject_reviews_total", "toolgate_inject_failures_total", "process_cpu_seconds_total"):
        assert name in text
