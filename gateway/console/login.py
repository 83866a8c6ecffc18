"""Logging in to the console and out of it: with a token, or at an identity provider."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from gateway.admin.entrance import Admitted, Entrance
from gateway.admin.forms import form_of
from gateway.admin.gate import Gate, same_origin
from gateway.admin.principals import VIEWER
from gateway.admin.problems import Failure
from gateway.admin.sessions import COOKIE, SECURE_COOKIE, STATE_COOKIE
from gateway.console.render import PAGE_HEADERS, page
from gateway.trust.ask import Unavailable

_Step = Callable[[Gate, Entrance, web.Request], Awaitable[web.Response]]


def add(app: web.Application, gate: Gate) -> None:
    """Add the routes."""
    app.router.add_get("/login", _with(gate, _form))
    app.router.add_post("/login", _with(gate, _by_token))
    app.router.add_get("/login/oidc", _with(gate, _to_provider))
    app.router.add_get("/login/callback", _with(gate, _from_provider))
    app.router.add_post("/logout", _with(gate, _logout))


def _with(gate: Gate, step: _Step) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        entrance = gate.entrance
        if entrance is None:  # where nobody is asked who they are
            raise web.HTTPNotFound(headers=PAGE_HEADERS)
        try:
            return await step(gate, entrance, request)
        except Failure as failure:
            return _page(entrance, failure)
        except Unavailable as error:
            return _page(entrance, Failure(503, f"the identity provider cannot be asked: {error}", "try again later"))

    return handle


def _page(entrance: Entrance, failure: Failure | None = None) -> web.Response:
    """The ways to log in, and what became of the last try."""
    response = page(
        "login.html",
        200 if failure is None else failure.status,
        said=None if failure is None else failure,
        tokens=entrance.takes_tokens,
        provider=entrance.oidc is not None,
    )
    if failure is not None and failure.status != 401:  # which would have the browser ask by itself
        response.headers.update(failure.fields)
    return response


async def _form(_: Gate, entrance: Entrance, __: web.Request) -> web.Response:
    return _page(entrance)


async def _by_token(gate: Gate, entrance: Entrance, request: web.Request) -> web.Response:
    """Begin a session for whoever shows a token. No page of another origin may log somebody in unawares."""
    if not same_origin(request):
        raise Failure(403, "a page of another origin may log nobody in here")
    token = (await form_of(request)).get("token", "")
    admitted = await gate.admit(request, token.strip(), entrance, form=True)
    secure = request.secure or request.headers.get("Origin", "").lower().startswith("https:")
    cookie, target = _begun(gate, entrance, request, admitted)
    response = web.Response(status=303, headers={**PAGE_HEADERS, "Location": target})
    _set(response, (COOKIE, SECURE_COOKIE), cookie, entrance.sessions.life, "Strict", secure=secure)
    return response


async def _to_provider(_: Gate, entrance: Entrance, request: web.Request) -> web.Response:
    if entrance.oidc is None:
        raise web.HTTPNotFound(headers=PAGE_HEADERS)
    address, kept = await entrance.oidc.begin(entrance.sessions)
    response = web.Response(status=303, headers={**PAGE_HEADERS, "Location": address})
    # Lax: it must come with the provider's redirect, which comes from another site.
    secure = request.secure or entrance.oidc.secure
    _set(response, (STATE_COOKIE, f"__Host-{STATE_COOKIE}"), kept, entrance.oidc.patience, "Lax", secure=secure)
    return response


async def _from_provider(gate: Gate, entrance: Entrance, request: web.Request) -> web.Response:
    if entrance.oidc is None:
        raise web.HTTPNotFound(headers=PAGE_HEADERS)
    if len(request.query) != len(set(request.query)):
        raise Failure(400, "the address says something twice", "log in again")
    kept = request.cookies.get(f"__Host-{STATE_COOKIE}") or request.cookies.get(STATE_COOKIE, "")
    gate.attempt(request)
    try:
        found = await entrance.oidc.finish(request.query, kept, entrance.sessions, entrance.users.names)
    except Failure as failure:
        gate.failed(request, failure)
        raise
    gate.passed(request)
    cookie, target = _begun(gate, entrance, request, entrance.admitted(found))
    # A page that leads on: the browser would take a redirect for the provider's still, and not send a Strict cookie.
    response = page("entered.html", target=target)
    secure = request.secure or entrance.oidc.secure
    _set(response, (COOKIE, SECURE_COOKIE), cookie, entrance.sessions.life, "Strict", secure=secure)
    response.del_cookie(STATE_COOKIE, path="/")
    response.del_cookie(f"__Host-{STATE_COOKIE}", path="/", secure=True)
    return response


def _begun(gate: Gate, entrance: Entrance, request: web.Request, admitted: Admitted) -> tuple[str, str]:
    """The cookie of a new session, and where to go with it. Raises Failure: they may not even look."""
    principal, sessions = admitted.principal, entrance.sessions
    if not principal.may(VIEWER):
        raise Failure(403, f"{principal.id} may not look", "ask whoever configures `admin` for the role viewer")
    cookie = sessions.new(principal, admitted.stamp)
    session = sessions.read(cookie)
    if session is None:
        raise Failure(403, "your roles are too many for a session", "have fewer of them mapped in the configuration")
    gate.began(request, principal)
    # A fragment stays in the browser: console.js keeps the key, and takes it out of the address.
    return cookie, f"/#key={sessions.key(session)}"


async def _logout(gate: Gate, _: Entrance, request: web.Request) -> web.Response:
    if not same_origin(request):
        raise Failure(403, "a page of another origin may log nobody out here")
    session = gate.session(request)
    if session is not None:
        gate.ended(request, session)
    response = web.Response(status=303, headers={**PAGE_HEADERS, "Location": "/login"})
    response.del_cookie(COOKIE, path="/")
    response.del_cookie(SECURE_COOKIE, path="/", secure=True)
    return response


def _set(
    response: web.Response, names: tuple[str, str], value: str, seconds: float, site: str, *, secure: bool
) -> None:
    """A cookie for this host alone; by its second name and Secure where the browser came over TLS, to us or a proxy."""
    name = names[1] if secure else names[0]
    response.set_cookie(name, value, max_age=int(seconds), httponly=True, samesite=site, secure=secure, path="/")
