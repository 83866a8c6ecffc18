"""What an injector answers: reviews to the API server, and probes to the kubelet and Prometheus."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from gateway.inject.review import NoReviewError, answer
from gateway.inject.settings import InjectSettings
from gateway.inject.tally import Tally

MOST_BYTES = 8 << 20
"""Of a review: API servers take objects of up to 3 MiB, and JSON may be longer than what they were sent as."""
SMALL, LARGE_AT_ONCE = 256 << 10, 32 << 20
"""Bytes of a review that is read in any case, and of all others that are read at one time."""
PATIENCE = 10.0
"""Seconds for a review to arrive."""

log = logging.getLogger("toolgate.inject")


class Webhook:
    """Answers by the ``settings`` of the moment."""

    def __init__(self, settings: Callable[[], InjectSettings], tally: Tally) -> None:
        self._settings, self._tally = settings, tally
        self._large = 0

    def app(self) -> web.Application:
        """To be served over TLS."""
        app = web.Application(client_max_size=MOST_BYTES)
        app.router.add_post("/mutate", self._mutate)
        return app

    async def _mutate(self, request: web.Request) -> web.Response:
        size = MOST_BYTES if request.content_length is None else request.content_length
        large = size if size > SMALL else 0
        if self._large + large > LARGE_AT_ONCE:
            return self._no(503, "too many large reviews at once")
        self._large += large
        try:
            async with asyncio.timeout(PATIENCE):
                body = await request.read()
        except TimeoutError:
            return self._no(408, "the review does not arrive")
        except web.HTTPRequestEntityTooLarge:
            return self._no(413, f"a review has at most {MOST_BYTES} bytes")
        finally:
            self._large -= large
        try:
            found = answer(body, self._settings())
        except NoReviewError as error:
            return self._no(400, str(error))
        self._tally.reviews[found.outcome] += 1
        told = {"outcome": found.outcome, **found.about}
        told |= {"why": found.made.denied} if found.made.denied else {}
        told |= {"warnings": found.review["response"]["warnings"]} if found.made.warnings else {}
        log.info("pod", extra={"about": told})
        return web.Response(body=orjson.dumps(found.review), content_type="application/json")

    def _no(self, status: int, why: str) -> web.Response:
        self._tally.reviews["unreadable"] += 1
        return web.Response(status=status, text=f"{why}\n")


def probes(status: Callable[[], Mapping[str, Any]], registry: CollectorRegistry) -> web.Application:
    """/healthz and /livez, /readyz by the ``status`` (ready where its member of that name is true), /metrics."""

    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_: web.Request) -> web.Response:
        told = status()
        return web.Response(
            status=200 if told["status"] == "ready" else 503,
            body=orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE),
            content_type="application/json",
        )

    async def metrics(request: web.Request) -> web.Response:
        encode, kind = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": kind})

    app = web.Application(client_max_size=1024)
    app.router.add_get("/healthz", alive)
    app.router.add_get("/livez", alive)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/metrics", metrics)
    return app
