"""Health, readiness and metrics on the admin address, open to whoever reaches it: nothing here changes state.

So a page in somebody's browser that reaches this port (DNS rebinding) can do nothing with it. What changes something
lies below ``/api/``, behind a gate of its own (``api.py``).
"""

from __future__ import annotations

import errno
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from gateway.admin.api import MOST_BYTES
from gateway.admin.problems import HEADERS
from gateway.errors import ConfigError, Problem

Status = Callable[[], Mapping[str, Any]]
"""What /readyz shows, asked each time: ``ready`` and ``draining`` (bool), ``policy_version``, ``loaded_at``
(RFC 3339), ``last_reload_error`` (None, or a mapping of ``at`` and ``problems``), ``trace`` (a mapping)."""

Hide = Callable[[bytes], bytes]
"""Takes secrets out of a page; gives the same bytes where there are none."""


async def start(
    address: tuple[str, int],
    status: Status,
    registry: CollectorRegistry,
    api: web.Application | None = None,
    hide: Hide = bytes,
    pages: Callable[[web.Application], None] | None = None,
    tls: ssl.SSLContext | None = None,
) -> web.AppRunner:
    """Serve on ``address`` (port 0: the system chooses; see ``addresses`` of what is returned), by ``tls`` if given.
    ``api`` goes to /api, ``pages`` adds routes of its own, and ``hide`` takes secrets out of all that is shown.

    The caller ends it with ``await runner.cleanup()``.

    Raises:
        ConfigError: the address cannot be had.
    """
    app = make_app(status, registry, api, hide)
    if pages is not None:
        pages(app)
    return await _serve(app, address, "admin", tls)


async def start_probes(address: tuple[str, int], status: Status, registry: CollectorRegistry) -> web.AppRunner:
    """Serve on ``address`` what a kubelet and Prometheus ask for, and nothing else: it is open to whoever reaches it.

    The caller ends it with ``await runner.cleanup()``.

    Raises:
        ConfigError: the address cannot be had.
    """

    async def readyz(_: web.Request) -> web.Response:
        told = status()
        return _readiness({key: told[key] for key in ("ready", "draining", "policy_version")})

    app = web.Application(client_max_size=1024)
    _add_probes(app, readyz, registry)
    return await _serve(app, address, "admin.probes", None)


async def _serve(app: web.Application, address: tuple[str, int], key: str, tls: ssl.SSLContext | None) -> web.AppRunner:
    wire = logging.getLogger("toolgate.admin.http")
    wire.addFilter(_ours)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0, logger=wire)
    await runner.setup()
    host, port = address
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(
            [Problem(key, 0, 0, f"cannot listen on {host}:{port}: {_why(error)}", _fix(error, key))]
        ) from error
    return runner


def make_app(
    status: Status, registry: CollectorRegistry, api: web.Application | None = None, hide: Hide = bytes
) -> web.Application:
    """The application without a socket."""

    @web.middleware
    async def hiding(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        if isinstance(response, web.Response) and isinstance(response.body, bytes):
            shown = hide(response.body)
            if shown is not response.body:
                response.body = shown
        return response

    async def readyz(_: web.Request) -> web.Response:
        return _readiness(status())

    app = web.Application(client_max_size=MOST_BYTES, middlewares=[hiding])
    _add_probes(app, readyz, registry)
    if api is not None:
        app.add_subapp("/api", api)
    return app


def _add_probes(
    app: web.Application, readyz: Callable[[web.Request], Awaitable[web.Response]], registry: CollectorRegistry
) -> None:
    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="ok\n", headers=HEADERS)

    async def metrics(request: web.Request) -> web.Response:
        encode, kind = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={**HEADERS, "Content-Type": kind})

    app.router.add_get("/healthz", alive)
    app.router.add_get("/livez", alive)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)


def _ours(record: logging.LogRecord) -> bool:
    """Not of requests that are malformed: their sender is answered 400, and could fill the log with tracebacks."""
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, HttpProcessingError) and error.code < 500)


def _readiness(told: Mapping[str, Any]) -> web.Response:
    """200 where calls are taken. A failed reload is shown, and stays 200: the version before it is in force."""
    draining, ready = bool(told["draining"]), bool(told["ready"])
    word = "draining" if draining else "ready" if ready else "not ready"
    body = {"status": word, **{key: value for key, value in told.items() if key != "ready"}}
    return web.Response(
        body=orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE),
        status=200 if word == "ready" else 503,
        headers={**HEADERS, "Content-Type": "application/json"},
    )


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "something else listens there"
    if error.errno == errno.EACCES:
        return "this user may not listen on that port"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address"
    return error.strerror or str(error)


def _fix(error: OSError, key: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"stop it, or give `{key}` another port"
    if error.errno == errno.EACCES:
        return f"give `{key}` a port above 1023"
    return f"give `{key}` an address of this machine, such as 127.0.0.1:9090"
