"""The admin API: JSON below ``/api/`` on the admin address. GET reads; POST and DELETE change, which is logged.

A part of it is a file beside this one with ``add(app, ...)``, which adds its routes to the application made here:

    def add(app: web.Application, book: Book) -> None:
        async def listing(_: web.Request) -> web.Response:
            return answer({"entries": list(book)})

        app.router.add_get("/book", listing)     # GET /api/book
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
import orjson
from aiohttp import web

from gateway.admin.gate import READING, Gate
from gateway.admin.noting import Noted, note, unnoted
from gateway.admin.principals import ADMIN, APPROVER, author, need
from gateway.admin.problems import HEADERS, Failure, problem

T = TypeVar("T")

Said = Callable[[], Awaitable[bool]]
"""Waits, but not for long, for the state to have what was changed here; whether it has."""

MOST_BYTES = 64 * 1024
"""Of a request's body."""

log = logging.getLogger("toolgate.admin")

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


APPROVERS = ("/api/approvals", "/api/exemptions", "/api/endorsements")
"""Below these an approver may change something; everywhere else only an admin."""

_NOTED: web.AppKey[Noted] = web.AppKey("noted", Noted)  # type: ignore[arg-type]


def make_api(gate: Gate, noted: Noted = unnoted) -> web.Application:
    """The API without any route; to be mounted at ``/api``. ``noted`` is told of each change."""

    @web.middleware
    async def guarded(request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            await gate.check(request)
            if request.method not in READING:
                need(request, _role_to_change(request))
            return await handler(request)
        except Failure as failure:
            return problem(failure)
        except web.HTTPException as error:
            methods = error.headers.get("Allow")
            fields = {**HEADERS, "Allow": methods} if methods else HEADERS
            return problem(Failure(error.status, f"{request.method} {request.path}: {error.reason.lower()}"), fields)
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            return problem(Failure(500, "the gateway failed at this; its log says how"))

    app = web.Application(middlewares=[guarded], client_max_size=MOST_BYTES)
    app[_NOTED] = noted
    return app


def answer(value: Any, status: int = 200) -> web.Response:
    """JSON."""
    return web.Response(
        body=orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE),
        status=status,
        headers={**HEADERS, "Content-Type": "application/json"},
    )


async def body_of(request: web.Request, kind: type[T]) -> T:
    """The request's JSON body as a ``kind`` (a msgspec Struct).

    Raises:
        Failure: 400 or 415, with the place of the first mistake.
    """
    if request.content_type != "application/json":
        raise Failure(415, "the body must be JSON", "send Content-Type: application/json")
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Failure(400, f"{error}") from None


def _role_to_change(request: web.Request) -> str:
    """The least role of whoever changes something by this route, which may ask for more."""
    resource = request.match_info.route.resource
    path = "" if resource is None else resource.canonical
    return APPROVER if any(path == each or path.startswith(f"{each}/") for each in APPROVERS) else ADMIN


def changed(request: web.Request, by: str, what: str, why: str) -> None:
    """Log a change, and tell the audit: who made it (``principals.author``) and from where, what it was, and why."""
    noted = request.config_dict.get(_NOTED, unnoted)
    note(noted, author(request, by), request.remote or "unknown", what, why or "no reason given")
