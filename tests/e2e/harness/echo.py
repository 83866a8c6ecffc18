"""Tools as one finds them: an aiohttp application and a WebSocket server, each in a thread of its own."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import threading
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def echo(request: web.Request) -> web.Response:
    """Says what came: method, path and query as sent, fields in order, body."""
    body = await request.read()
    return web.json_response(
        {
            "method": request.method,
            "target": request.raw_path,
            "fields": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.raw_headers],
            "sha256": hashlib.sha256(body).hexdigest(),
            "length": len(body),
            "body": base64.b64encode(body[:4096]).decode(),
        }
    )


async def download(request: web.Request) -> web.StreamResponse:
    """``/bytes/N``: N bytes that depend on their position, chunked where ``?chunked``."""
    left = int(request.match_info["count"])
    answer = web.StreamResponse()
    if "chunked" in request.query:
        answer.enable_chunked_encoding()
    else:
        answer.content_length = left
    await answer.prepare(request)
    for block in blocks(left):
        await answer.write(block)
    await answer.write_eof()
    return answer


async def digest(request: web.Request) -> web.Response:
    """What the body hashes to, read as it comes."""
    seen, length = hashlib.sha256(), 0
    async for block in request.content.iter_any():
        seen.update(block)
        length += len(block)
    return web.json_response({"sha256": seen.hexdigest(), "length": length})


async def compressed(request: web.Request) -> web.Response:
    """A body that is coded already; the coding's name comes from the path, the bytes are gzip or opaque."""
    coding = request.match_info["coding"]
    body = gzip.compress(b"hello " * 100, mtime=0) if coding == "gzip" else bytes(range(256))
    return web.Response(body=body, headers={"Content-Encoding": coding, "Content-Type": "text/plain", "ETag": '"1"'})


async def cookies(request: web.Request) -> web.Response:
    """Two Set-Cookie fields, which must never be joined."""
    answer = web.Response(text="two")
    answer.headers.add("Set-Cookie", "a=1; Path=/; Expires=Wed, 09 Jun 2027 10:18:14 GMT")
    answer.headers.add("Set-Cookie", "b=2; Path=/; HttpOnly")
    return answer


async def status(request: web.Request) -> web.Response:
    return web.Response(status=int(request.match_info["code"]))


def blocks(count: int) -> list[bytes]:
    """``count`` bytes in blocks of at most 64 KiB, the same every time."""
    block = bytes((i * 7 + i // 251) & 255 for i in range(65536))
    return [block] * (count // 65536) + ([block[: count % 65536]] if count % 65536 else [])


def digest_of(count: int) -> str:
    seen = hashlib.sha256()
    for block in blocks(count):
        seen.update(block)
    return seen.hexdigest()


class EchoServer:
    """The aiohttp application on a free loopback port."""

    def __init__(self) -> None:
        self.port = 0
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        threading.Thread(target=self._run, args=(started,), daemon=True).start()
        assert started.wait(10)

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application(client_max_size=1 << 28)
        app.router.add_get("/bytes/{count}", download)
        app.router.add_get("/coded/{coding}", compressed)
        app.router.add_get("/cookies", cookies)
        app.router.add_get("/status/{code}", status)
        app.router.add_route("*", "/digest", digest)
        app.router.add_route("*", "/{rest:.*}", echo)
        runner = web.AppRunner(app, access_log=None, keepalive_timeout=75, auto_decompress=False)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        self.port = runner.addresses[0][1]
        started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)


class WebSocketServer:
    """Echoes messages; ``close CODE`` closes with that code; ``/refused`` answers 403; ``path`` tells the target."""

    def __init__(self) -> None:
        self._server: Server = serve(
            self._talk, "127.0.0.1", 0, select_subprotocol=self._choose, process_request=self._look,
            max_size=1 << 24, compression="deflate",
        )  # fmt: skip
        self.port: int = self._server.socket.getsockname()[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @staticmethod
    def _choose(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return Subprotocol("chat.v2") if "chat.v2" in offered else None

    @staticmethod
    def _look(connection: ServerConnection, request: Request) -> Response | None:
        if request.path.endswith("/refused"):
            return Response(403, "Forbidden", Headers({"X-Why": "not today", "Content-Length": "4"}), b"nope")
        return None

    @staticmethod
    def _talk(connection: ServerConnection) -> None:
        for message in connection:
            if isinstance(message, str) and message.startswith("close "):
                connection.close(int(message.split()[1]), "as asked")
                return
            if message == "path":
                assert connection.request is not None
                message = connection.request.path
            connection.send(message)

    def close(self) -> None:
        self._server.shutdown()
