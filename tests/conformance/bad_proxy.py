"""Proxies as people write them, for the counter-proof: what they break must show in the comparison."""

from __future__ import annotations

import argparse
import json

from aiohttp import ClientSession, ClientTimeout, web

HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "te", "trailer", "upgrade"})
WAYS = ("pass", "no-headers", "no-meta")
"""Pass all on; drop the ``Mcp-*`` header fields; drop ``_meta`` from requests."""


def fields(headers: web.Request, how: str) -> dict[str, str]:
    """The request's header fields as this proxy sends them on."""
    return {
        name: value
        for name, value in headers.headers.items()
        if name.lower() not in HOP and not (how == "no-headers" and name.lower().startswith("mcp-"))
    }


def content(body: bytes, how: str) -> bytes:
    """The request's body as this proxy sends it on."""
    if how != "no-meta" or not body:
        return body
    try:
        message = json.loads(body)
    except ValueError:
        return body
    if isinstance(message, dict) and isinstance(message.get("params"), dict):
        message["params"].pop("_meta", None)
    return json.dumps(message).encode()


def application(upstream: str, how: str) -> web.Application:
    """The proxy before the origin ``upstream``."""

    async def handle(request: web.Request) -> web.StreamResponse:
        body = content(await request.read(), how)
        async with (
            ClientSession(timeout=ClientTimeout(total=None), auto_decompress=False) as session,
            session.request(
                request.method, upstream + request.path_qs, headers=fields(request, how), data=body or None
            ) as answer,
        ):
            kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in HOP]
            response = web.StreamResponse(status=answer.status, headers=dict(kept))
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response

    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{rest:.*}", handle)
    return app


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("upstream")
    parser.add_argument("how", choices=WAYS)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    web.run_app(application(options.upstream, options.how), host="127.0.0.1", port=options.port, print=None)


if __name__ == "__main__":
    main()
