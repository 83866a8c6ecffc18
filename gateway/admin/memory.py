"""``/api/memory``: what the shared memory holds, its backup, and what is put back."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web

from gateway.admin.api import answer, changed
from gateway.admin.problems import HEADERS, Failure
from gateway.errors import Forgotten, OverQuota, StoreUnavailable
from gateway.model.shelf import Page, check_key, read_version, version_of
from gateway.ports import Shelf
from gateway.stores.shelf_lines import LONGEST_LINE, exported, items_in
from gateway.stores.shelf_told import told

USUAL, MOST = 100, 1_000
"""Entries of a list, where it is not said how many, and at most."""

Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add(app: web.Application, shelf: Shelf, is_configured: Callable[[str], bool]) -> None:
    """Add the routes. ``is_configured`` says whether a namespace may be."""

    async def namespaces(_: web.Request) -> web.Response:
        found = []
        for name in await shelf.namespaces():
            usage = await shelf.usage(name)
            found.append(
                {
                    "namespace": name,
                    "configured": is_configured(name),
                    "version": version_of(usage.epoch, usage.revision),
                    "items": usage.items,
                    "size": usage.size,
                    "former": usage.former,
                }
            )
        return answer({"namespaces": found})

    async def listing(request: web.Request) -> web.Response:
        name, query = request.match_info["namespace"], request.query
        page = await shelf.scan(name, query.get("prefix", ""), query.get("after", ""), _limit(request), _at(request))
        following = page.items[-1].key if page.more else None
        return answer({"version": version_of(page.epoch, page.revision), "next": following, **_items(page, False)})

    async def value(request: web.Request) -> web.Response:
        page = await shelf.get(request.match_info["namespace"], _key(request), _at(request))
        if page.item is None:
            raise Failure(404, f"nothing stands under {_key(request)[:200]!r}", "list what there is")
        return answer(told(page.epoch, page.item, value=True))

    async def history(request: web.Request) -> web.Response:
        page = await shelf.history(request.match_info["namespace"], _key(request), _limit(request))
        return answer({"more": page.more, **_items(page, "values" in request.query)})

    async def export(request: web.Request) -> web.StreamResponse:
        lines = exported(shelf, request.match_info["namespace"])
        first = await anext(lines)  # what can be said only before the answer begins
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        await response.write(first)
        async for line in lines:
            await response.write(line)
        await response.write_eof()
        return response

    async def load(request: web.Request) -> web.Response:
        name = request.match_info["namespace"]
        if not is_configured(name):
            raise Failure(404, f"no namespace {name[:100]!r} is configured", "add it under memory.namespaces first")
        done = await shelf.load(name, items_in(_lines(request), name, time.time()))
        usage = await shelf.usage(name)
        changed(request, request.query.get("by", ""), f"put {usage.items} items into the memory {name}", _why(request))
        return answer({"version": version_of(done.epoch, done.revision), "items": usage.items})

    app.router.add_get("/memory", _told(namespaces))
    app.router.add_get("/memory/{namespace}", _told(listing))
    app.router.add_get("/memory/{namespace}/value", _told(value))
    app.router.add_get("/memory/{namespace}/history", _told(history))
    app.router.add_get("/memory/{namespace}/export", _told(export))
    app.router.add_post("/memory/{namespace}/import", _told(load))


def _told(handle: Handle) -> Handle:
    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            return await handle(request)
        except StoreUnavailable as error:
            raise Failure(503, f"the memory cannot be reached now: {error}") from None
        except Forgotten as error:
            raise Failure(410, str(error), "look at what stands now") from None
        except OverQuota as error:
            raise Failure(409, error.detail, "remove a namespace that nobody needs") from None
        except ValueError as error:
            raise Failure(400, str(error)) from None

    return handler


def _items(page: Page, values: bool) -> dict[str, Any]:
    return {"items": [told(page.epoch, item, value=values) for item in page.items]}


def _key(request: web.Request) -> str:
    key = request.query.get("key", "")
    check_key(key)
    return key


def _at(request: web.Request) -> int | None:
    text = request.query.get("at")
    if not text:
        return None
    version = read_version(text)
    if version is None and not (text.isdecimal() and len(text) < 16):
        raise Failure(400, "at is no version", "give the version of a list, or a revision")
    return int(text) if version is None else version[1]


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", str(USUAL))
    if not text.isdecimal() or not 0 < int(text[:9]) <= MOST:
        raise Failure(400, f"limit must be from 1 to {MOST}")
    return int(text)


def _why(request: web.Request) -> str:
    return request.query.get("reason", "")[:500]


async def _lines(request: web.Request) -> AsyncIterator[bytes]:
    rest = b""
    async for part in request.content.iter_any():
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            yield line
        if len(rest) > LONGEST_LINE:
            raise ValueError(f"a line has more than {LONGEST_LINE} bytes")
    if rest.strip():
        yield rest
