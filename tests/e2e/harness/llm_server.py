"""A local server that speaks the APIs of OpenAI, Anthropic and Gemini, as told by ``X-Scenario``; see ``llm_shapes``.

Runs alone too: ``python -m tests.e2e.harness.llm_server 9000``.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from . import llm_shapes as shapes
from .llm_shapes import Json, Scenario

GO = 10.0
"""Seconds that a stepping stream waits for its sign before it breaks off by itself."""


@dataclass(frozen=True)
class Asked:
    """One request as the provider got it."""

    path: str
    query: str
    headers: dict[str, str]
    raw: bytes
    body: Json


class LlmServer:
    """The server in a thread of its own, on a free loopback port. ``asked`` has every request, oldest first."""

    def __init__(self, scenario: Scenario | None = None, port: int = 0) -> None:
        self._default = scenario or Scenario()
        self.asked: list[Asked] = []
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._signs = asyncio.Semaphore(0)
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def go(self) -> None:
        """Let a stepping stream send its next event."""
        self._loop.call_soon_threadsafe(self._signs.release)

    def stop(self) -> None:
        """Take back what ``go`` has given and no stream has used."""

        async def empty() -> None:
            while not self._signs.locked():
                await self._signs.acquire()

        asyncio.run_coroutine_threadsafe(empty(), self._loop).result(GO)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application(client_max_size=1 << 26)
        add = app.router.add_post
        add("/v1/chat/completions", self._handler("openai", shapes.chat, shapes.chat_events))
        add("/v1/responses", self._handler("openai", shapes.responses, shapes.responses_events))
        add("/v1/embeddings", self._handler("openai", shapes.embeddings, None))
        add("/v1/messages", self._handler("anthropic", shapes.messages, shapes.messages_events))
        add("/v1/messages/count_tokens", self._handler("anthropic", shapes.count_tokens, None))
        add("/{version:v1|v1beta}/models/{model:[^/:]+}:{method}", self._gemini)
        app.router.add_get("/v1/models", self._models)
        add("/v1/files", self._files)
        runner = web.AppRunner(app, access_log=None, keepalive_timeout=75)
        self._loop.run_until_complete(runner.setup())
        self._loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", self.port).start())
        self.port = runner.addresses[0][1]
        started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _read(self, request: web.Request) -> tuple[Scenario, Json]:
        raw = await request.read()
        body = json.loads(raw)
        self.asked.append(Asked(request.path, request.query_string, dict(request.headers), raw, body))
        told = request.headers.get("X-Scenario")
        return (Scenario.parse(told) if told else self._default), body

    def _handler(
        self, provider: str, whole: Callable[..., Json], streamed: Callable[..., list[bytes]] | None
    ) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.StreamResponse:
            scenario, body = await self._read(request)
            if scenario.status:
                return web.json_response(shapes.errors(provider, scenario.status), status=scenario.status)
            if streamed is not None and body.get("stream"):
                return await self._stream(request, scenario, streamed(scenario, body), "text/event-stream")
            return _json(request, scenario, whole(scenario, body))

        return handle

    async def _gemini(self, request: web.Request) -> web.StreamResponse:
        scenario, body = await self._read(request)
        model, method = request.match_info["model"], request.match_info["method"]
        if scenario.status:
            return web.json_response(shapes.errors("gemini", scenario.status), status=scenario.status)
        if method == "streamGenerateContent":
            chunks = shapes.generate_chunks(scenario, body, model)
            if request.query.get("alt") == "sse":
                return await self._stream(request, scenario, [shapes.sse(c) for c in chunks], "text/event-stream")
            pieces = [(b",\r\n" if at else b"[") + json.dumps(c).encode() for at, c in enumerate(chunks)]
            return await self._stream(request, scenario, [*pieces, b"\n]\n"], "application/json")
        answers: dict[str, Json] = {
            "generateContent": shapes.generate_content(scenario, body, model),
            "countTokens": {"totalTokens": 31, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 31}]},
            "embedContent": {"embedding": {"values": [0.25, -0.5]}},
            "batchEmbedContents": {"embeddings": [{"values": [0.25, -0.5]} for _ in body.get("requests", [])]},
        }
        return _json(request, scenario, answers[method])

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "gpt-5", "object": "model"}]})

    async def _files(self, request: web.Request) -> web.Response:
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        size = len(file.file.read())
        told = {"id": "file-1", "object": "file", "bytes": size, "created_at": 1, "filename": file.filename}
        return web.json_response({**told, "purpose": form["purpose"], "status": "processed"})

    async def _stream(
        self, request: web.Request, scenario: Scenario, events: list[bytes], kind: str
    ) -> web.StreamResponse:
        coder = zlib.compressobj(wbits=31) if _squeezes(request, scenario) else None
        answer = web.StreamResponse(headers={"Content-Type": kind, "Cache-Control": "no-cache"})
        if coder:
            answer.headers["Content-Encoding"] = "gzip"
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        for at, event in enumerate(events):
            if scenario.cut and at == scenario.cut:
                assert request.transport is not None
                request.transport.abort()
                return answer
            if scenario.step:
                await asyncio.wait_for(self._signs.acquire(), GO)
            await answer.write(coder.compress(event) + coder.flush(zlib.Z_SYNC_FLUSH) if coder else event)
        if coder:
            await answer.write(coder.flush())
        await answer.write_eof()
        return answer


def _squeezes(request: web.Request, scenario: Scenario) -> bool:
    return bool(scenario.gzip) and "gzip" in request.headers.get("Accept-Encoding", "")


def _json(request: web.Request, scenario: Scenario, value: Json) -> web.Response:
    answer = web.json_response(value)
    if _squeezes(request, scenario):
        answer.enable_compression(web.ContentCoding.gzip)
    return answer


if __name__ == "__main__":
    server = LlmServer(port=int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    print(server.url, flush=True)
    threading.Event().wait()
