"""A model's API that keeps its own books: an OpenAI-protocol server which counts what it has sold."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from typing import Any

from aiohttp import web

INPUT, OUTPUT = 2, 10
"""Micro-dollars a token."""


class MeteredModel:
    """Answers each chat completion with as many tokens as chance has it, up to the bound that was asked for.

    ``sold`` are the sales, each with the time and the micro-dollars.
    """

    def __init__(self, seconds: float = 0.01, seed: int = 1) -> None:
        self.sold: list[tuple[float, int]] = []
        self.bounds: list[int] = []
        self.streamed = 0
        """Chunks of streams that were written."""
        self.left = threading.Event()
        """The client of a stream has gone before its end."""
        self._seconds, self._chance = seconds, random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait(10)

    @property
    def total(self) -> int:
        """Micro-dollars of all sales."""
        return sum(amount for _, amount in self.sold)

    def before(self, moment: float) -> int:
        """Micro-dollars of the sales up to a time."""
        return sum(amount for at, amount in self.sold if at <= moment)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._runner.cleanup())
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, backlog=2048)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        asked: dict[str, Any] = json.loads(await request.read())
        if asked.get("stream"):
            return await self._endless(request)
        most = int(asked["max_completion_tokens"])
        read = len(json.dumps(asked["messages"])) // 4
        written = self._chance.randint(1, most)
        await asyncio.sleep(self._seconds)
        self.bounds.append(most)
        self.sold.append((time.monotonic(), read * INPUT + written * OUTPUT))
        usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
        return web.json_response(
            {"id": "1", "object": "chat.completion", "model": asked["model"], "choices": [choice], "usage": usage}
        )

    async def _endless(self, request: web.Request) -> web.StreamResponse:
        """A stream that keeps to no bound, and ends with its client."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        chunk = {"id": "1", "model": "gpt-test", "choices": [{"index": 0, "delta": {"content": "word " * 20}}]}
        try:
            for _ in range(5000):
                await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
                self.streamed += 1
                await asyncio.sleep(0.001)
        except ConnectionError:
            self.left.set()
        return response
