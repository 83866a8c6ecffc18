"""A proxy as one writes it with aiohttp's server and client, tuned: low-level server, uvloop, streaming, no log.

usage: python aiohttp_proxy.py PORT UPSTREAM_PORT
"""

from __future__ import annotations

import asyncio
import sys

import uvloop
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web
from multidict import CIMultiDict

HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "proxy-connection", "host"}
)
SMALL = 65536


async def main(port: int, upstream: int) -> None:
    """Serves ``/up/...`` on loopback until it is killed."""
    session = ClientSession(
        connector=TCPConnector(limit=0),
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
        timeout=ClientTimeout(total=None),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
    )

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        fields = CIMultiDict((k, v) for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP)
        size = request.content_length
        body = None if not request.body_exists else await request.read() if size and size <= SMALL else request.content
        url = f"http://127.0.0.1:{upstream}{request.raw_path.removeprefix('/up')}"
        async with session.request(request.method, url, headers=fields, data=body, allow_redirects=False) as answer:
            back = CIMultiDict((k, v) for k, v in answer.headers.items() if k.lower() not in HOP_BY_HOP)
            if answer.content_length is not None and answer.content_length <= SMALL:
                return web.Response(status=answer.status, headers=back, body=await answer.read())
            response = web.StreamResponse(status=answer.status, headers=back)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
