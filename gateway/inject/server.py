"""``toolgate inject`` as a process: listeners, and what is brought up to date while it runs."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import web

from gateway import __version__
from gateway.config.fields import Address
from gateway.errors import ConfigError, Problem, ToolgateError
from gateway.inject import logs
from gateway.inject.keeper import Keeper
from gateway.inject.kube import Kube
from gateway.inject.served import Files, Served
from gateway.inject.settings import InjectSettings, read_settings
from gateway.inject.tally import Tally, registry_of
from gateway.inject.webhook import Webhook, probes

LOOK = 1.0
"""Seconds between two looks at files, and at an API server that did not answer."""
ROUND = 10.0
"""Seconds between two looks at the API server: so long the webhook may be without its authority, where somebody takes
it out."""
ENDING = 10.0
"""Seconds for reviews under way, once it is told to stop."""
IDLE = 120.0
"""Seconds for which a connection may be idle. API servers end theirs after 90, so that none is ended under a review."""
_BOUND = ("listen", "probes", "tls")

log = logging.getLogger("toolgate.inject")


def run(path: Path) -> None:
    """Serve until SIGTERM or SIGINT. ``path`` is the settings file.

    Raises:
        ConfigError: it cannot start: every mistake in the file, or an address that cannot be had.
    """
    injector = Injector(path)
    logs.begin()
    uvloop.run(injector.serve())


class Injector:
    """One process. It is ready once it has a certificate and, where it issues that itself, the API server knows whom to
    believe."""

    def __init__(self, path: Path) -> None:
        self._path, self._read = path, _content(path)
        self._settings: InjectSettings = read_settings(path)
        self._bound = self._settings
        self._tally, self._served = Tally(), Served()
        self._troubles: dict[str, str] = {}
        self._has_certificate, self._stop = asyncio.Event(), asyncio.Event()
        self._listening = False

    async def serve(self) -> None:
        """Listen, keep certificate and settings up to date, and end when told to.

        Raises:
            ConfigError: an address cannot be had.
        """
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stop.set)
        asked = probes(self._status, registry_of(self._tally))
        async with AsyncExitStack() as ends:
            ends.push_async_callback(await _serve(asked, self._bound.probes, "probes"))
            look, seconds = self._certificate(ends)
            keeping = [
                asyncio.create_task(self._keep("certificate", look, seconds)),
                asyncio.create_task(self._keep("settings", self._look_at_settings, LOOK)),
            ]
            try:
                await self._answer()
            finally:
                for task in keeping:
                    task.cancel()
                await asyncio.gather(*keeping, return_exceptions=True)
        log.info("ended")

    async def _answer(self) -> None:
        """Take reviews, from the first certificate to the end."""
        if not await self._either(self._has_certificate):
            return
        app = Webhook(lambda: self._settings, self._tally).app()
        end = await _serve(app, self._bound.listen, "listen", self._served.context)
        self._listening = True
        log.info("toolgate %s injects, on %s", __version__, self._bound.listen)
        await self._stop.wait()
        await end()

    # -- what is kept up to date --------------------------------------------------------------------------------

    def _certificate(self, ends: AsyncExitStack) -> tuple[Callable[[], Awaitable[None]], float]:
        tls = self._bound.tls
        if tls.files is not None:
            return Files(tls.files, self._take).look, LOOK
        assert tls.self_ is not None  # noqa: S101 - the settings have one of both
        kube = Kube(tls.self_.account)
        ends.push_async_callback(kube.close)
        return Keeper(kube, tls.self_, self._take, lambda: datetime.now(UTC)).look, ROUND

    def _take(self, certificate: bytes, key: bytes) -> None:
        self._served.take(certificate, key)
        assert self._served.expires is not None  # noqa: S101
        self._tally.expires = self._served.expires.timestamp()
        self._has_certificate.set()
        log.info("a certificate that is good until %s is served", self._served.expires.isoformat())

    async def _look_at_settings(self) -> None:
        """Take a new version of the settings; with mistakes in it, the one before stays.

        Raises:
            ConfigError: it has mistakes.
        """
        text = await asyncio.to_thread(_content, self._path)
        if text == self._read:
            return
        self._settings = await asyncio.to_thread(read_settings, self._path)
        self._read = text
        log.info("new settings are in force")
        for key in _BOUND:
            if getattr(self._bound, key) != getattr(self._settings, key):
                log.warning("%s is not as it was at the start, in %s: that needs a restart", key, self._path)

    async def _keep(self, what: str, look: Callable[[], Awaitable[None]], seconds: float) -> None:
        while True:
            pause = seconds
            try:
                await look()
                if self._troubles.pop(what, None) is not None:
                    log.info("%s is up to date again", what)
            except ToolgateError as error:
                self._trouble(what, str(error))
                pause = LOOK
            except Exception as error:  # whatever it is, the next look may find it mended
                log.exception("%s is not up to date", what)
                self._trouble(what, type(error).__name__)
            await asyncio.sleep(pause)

    def _trouble(self, what: str, why: str) -> None:
        self._tally.failures[what] += 1
        if self._troubles.get(what) != why:
            log.error("%s is not up to date, what was before stays: %s", what, why)
        self._troubles[what] = why

    async def _either(self, event: asyncio.Event) -> bool:
        """Wait for the event, or the end; whether it is the event."""
        waiting = [asyncio.create_task(one.wait()) for one in (event, self._stop)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        return event.is_set() and not self._stop.is_set()

    def _status(self) -> dict[str, Any]:
        expires = self._served.expires
        good = self._listening and expires is not None and datetime.now(UTC) < expires
        return {
            "status": "draining" if self._stop.is_set() else "ready" if good else "not ready",
            "certificate_expires": None if expires is None else expires.isoformat(),
            "troubles": self._troubles,
        }


def _content(path: Path) -> bytes | None:
    """What the file holds; None where it cannot be read, which whoever reads the settings complains of."""
    try:
        return path.read_bytes()
    except OSError:
        return None


async def _serve(
    app: web.Application, address: Address, key: str, tls: ssl.SSLContext | None = None
) -> Callable[[], Awaitable[None]]:
    """Serve the application; what is returned ends that, after the requests under way.

    Raises:
        ConfigError: the address cannot be had.
    """
    runner = web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=ENDING,
        keepalive_timeout=IDLE,
        logger=logs.HTTP,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, address.host, address.port, ssl_context=tls).start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError([Problem(key, 0, 0, f"cannot listen on {address}: {error.strerror or error}")]) from None
    return runner.cleanup
