"""Reading requests to the demo's tools."""

from __future__ import annotations

from typing import Any

from aiohttp import web


async def json_object(request: web.Request) -> dict[str, Any]:
    """The body as an object. Repeated keys: the last one counts, as with most parsers.

    Raises:
        aiohttp.web.HTTPBadRequest: the body is no JSON object.
    """
    try:
        value = await request.json()
    except ValueError:
        raise web.HTTPBadRequest(text="the body is not JSON") from None
    if not isinstance(value, dict):
        raise web.HTTPBadRequest(text="the body is not an object")
    return value
