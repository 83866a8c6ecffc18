"""The console's routes: each page behind the same gate, each error a page."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from importlib.resources import files

from aiohttp import web

from gateway.admin.gate import Gate, same_origin
from gateway.admin.problems import Failure
from gateway.admin.sessions import COOKIE, LIFE
from gateway.console import agents, approval, approvals, calibration, calls, policies, runs, search, tools
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
    if desk.gate.sessions is not None:
        app.router.add_get("/login", _login_page)
        app.router.add_post("/login", partial(_login, desk.gate))
        app.router.add_post("/logout", _logout)
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
            desk.gate.check(request)
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
    return page("shut.html", failure.status, text=text)


async def _login_page(_: web.Request) -> web.Response:
    return page("login.html", wrong=False)


async def _login(gate: Gate, request: web.Request) -> web.Response:
    """Begin a session for whoever knows the token. No page of another origin may log somebody in unawares."""
    form = await request.post()
    token = form.get("token", "")
    if gate.sessions is None or not same_origin(request):
        return page("login.html", 403, wrong=True)
    if not isinstance(token, str) or not gate.sessions.opens(token.strip()):
        log.warning("console: a wrong token from %s", request.remote)
        return page("login.html", 401, wrong=True)
    cookie = gate.sessions.new()
    # A fragment stays in the browser: console.js keeps the key, and takes it out of the address.
    response = web.Response(status=303, headers={**PAGE_HEADERS, "Location": f"/#key={gate.sessions.key(cookie)}"})
    response.set_cookie(COOKIE, cookie, max_age=LIFE, httponly=True, samesite="Strict", secure=request.secure, path="/")
    return response


async def _logout(request: web.Request) -> web.Response:
    if not same_origin(request):
        return page("login.html", 403, wrong=False)
    response = web.Response(status=303, headers={**PAGE_HEADERS, "Location": "/login"})
    response.del_cookie(COOKIE, path="/")
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
