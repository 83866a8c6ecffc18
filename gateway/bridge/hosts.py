"""Which names the bridge answers to, against DNS rebinding: a page in a browser that reaches a port on loopback.

MCP (Streamable HTTP, security warning): servers must check ``Origin``. A rebound name also shows in ``Host``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from gateway.bridge import message as rpc

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def guard(allowed: frozenset[str]) -> Middleware:
    """A middleware that refuses a request whose Host (421) or Origin (403) is neither loopback nor allowed.

    ``allowed``: host names in lower case, without a port.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not _is_ours(f"//{request.headers.get('Host', '')}", allowed):
            return _refused(421, "the Host header names no host that this bridge answers to")
        origins = request.headers.getall("Origin", [])
        if not all(_is_ours(origin, allowed) for origin in origins):
            return _refused(403, "the Origin header names a site that may not use this bridge")
        return await handler(request)

    return check


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_ours(url: str, allowed: frozenset[str]) -> bool:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return is_loopback(host) or host in allowed


def _refused(status: int, text: str) -> web.Response:
    body = rpc.error(b"null", rpc.INVALID_REQUEST, f"{text} (see --allow-host)")
    return web.Response(status=status, body=body, content_type="application/json")
