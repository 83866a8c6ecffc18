"""The console's routes: each page behind the same gate, each error a page."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from importlib.resources import files

from aiohttp import web

from gateway.admin.problems import Failure
from gateway.console import agents, approval, approvals, calibration, calls, login, policies, runs, search, tools
from gateway.console.desk import Desk
from gateway.console.errors import Missing, Unshown
from gateway.console.home import Home
from gateway.console.render import PAGE_HEADERS, page
from gateway.console.stream import stream

log = logging.getLogger("toolgate.console")

View = Callable[[Desk, web.Request], Awaitable[web.StreamResponse]]
_Named = Callable[..., Awaitable[web.StreamResponse]]

_LISTS: Mapping[str, View] = {
    "/runs": runs.listing,
    "/search": search.search,
    "/tools": tools.listing,
    "/agents": agents.listing,
    "/policies": policies.policies,
    "/parts/feed": stream,
    "/approvals": approvals.listing,
    "/approvals/history": approvals.history,
    "/exemptions": approvals.exemptions,
    "/calibration": calibration.calibration,
    "/parts/approvals": approvals.queue,
    "/parts/approvals/stream": approvals.stream,
    "/parts/approval": approval.part,
    "/parts/payload": approval.whole,
}
_ENDLESS = frozenset({stream, approvals.stream})
"""What does not end by itself, and so cannot be asked for its head only."""
_NAMED: Mapping[str, tuple[_Named, int]] = {
    "runs": (runs.one, 2),
    "calls": (calls.one, 1),
    "tools": (tools.one, 1),
    "agents": (agents.one, 1),
    "approvals": (approval.one, 1),
}
"""Pages of one thing, and of how many parts its name consists."""

STATIC = {
    "console.css": "text/css",
    "approvals.css": "text/css",
    "console.js": "text/javascript",
    "approvals.js": "text/javascript",
    "htmx.min.js": "text/javascript",
    "hx-sse.min.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


def add(app: web.Application, desk: Desk) -> None:
    """Add all pages to the application of the admin address."""
    home = Home(desk)
    routes: dict[str, View] = {
        **_LISTS,
        "/": lambda _, request: home.page(request),
        "/parts/numbers": lambda _, request: home.numbers(request),
    }
    for path, view in routes.items():
        app.router.add_get(path, _guarded(desk, view), allow_head=view not in _ENDLESS)
    for kind, (named, parts) in _NAMED.items():
        pattern = "/".join(f"{{part{number}}}" for number in range(parts))
        app.router.add_get(f"/{kind}/{pattern}", _guarded(desk, partial(_by_path, named)))
        app.router.add_get(f"/at/{kind}", _guarded(desk, partial(_by_query, named, parts)))
    for name, kind in STATIC.items():
        app.router.add_get(f"/static/{name}", _static(name, kind))
    login.add(app, desk.gate)
    app.on_shutdown.append(_ending(desk))


async def _by_path(view: _Named, desk: Desk, request: web.Request) -> web.StreamResponse:
    return await view(desk, request, *request.match_info.values())


async def _by_query(view: _Named, parts: int, desk: Desk, request: web.Request) -> web.StreamResponse:
    given = request.query.getall("part", [])
    if len(given) != parts:
        raise Missing("That address is not whole.")
    return await view(desk, request, *given)


def _guarded(desk: Desk, view: View) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            await desk.gate.check(request)
        except Failure as failure:
            return _shut(request, failure)
        try:
            return await view(desk, request)
        except Unshown as error:
            return await desk.page(request, "error.html", error.status, title=error.title, text=str(error))
        except (web.HTTPException, ConnectionError):
            raise
        except Exception:
            log.exception("the page %s failed", request.path)
            return await desk.page(request, "error.html", 500, title="This failed", text="The gateway's log says how.")

    return handle


def _shut(request: web.Request, failure: Failure) -> web.Response:
    """For whoever may not look: the way to log in where there is one."""
    if failure.status == 401 and not request.path.startswith("/parts/"):
        raise web.HTTPSeeOther("/login", headers=PAGE_HEADERS)
    text = f"{failure.detail}: {failure.advice}." if failure.advice else failure.detail
    response = page("shut.html", failure.status, text=text)
    response.headers.update(failure.fields)
    return response


def _static(name: str, kind: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    body = (files("gateway.console") / "static" / name).read_bytes()

    async def handle(_: web.Request) -> web.Response:
        return web.Response(body=body, headers={**PAGE_HEADERS, "Content-Type": f"{kind}; charset=utf-8"})

    return handle


def _ending(desk: Desk) -> Callable[[web.Application], Awaitable[None]]:
    async def end(_: web.Application) -> None:
        desk.feed.close()
        desk.sights.inbox.changes.close()
        desk.records.close()

    return end
