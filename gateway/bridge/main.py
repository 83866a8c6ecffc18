"""A bridge as a process: from the socket to the signal."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable

from aiohttp import web

from gateway.bridge.app import Bridge, Settings
from gateway.bridge.hosts import is_loopback
from gateway.errors import ConfigError, Problem


def run(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. ``announce`` gets the URL once connections are taken.

    Raises:
        ConfigError: the command or the address cannot be used.
    """
    if shutil.which(settings.command[0]) is None:
        raise _problem(f"{settings.command[0]}: no such command", "give a program on PATH, or a path to one")
    if not is_loopback(settings.host) and not settings.allow_hosts:
        raise _problem(
            f"{settings.host} can be reached from other machines",
            "listen on 127.0.0.1, or name with --allow-host what clients call this one",
        )
    logging.basicConfig(stream=sys.stderr, level="INFO", format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(serve(settings, announce))


async def serve(settings: Settings, announce: Callable[[str], None]) -> None:
    """As ``run``, in a running event loop and without the checks that need none."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    bridge = Bridge(settings)
    # A client that has gone cancels its handler: in the stateless revisions that is how it cancels its request.
    runner = web.AppRunner(
        bridge.make_app(), access_log=None, handle_signals=False, handler_cancellation=True, shutdown_timeout=1.0
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port)
        try:
            await site.start()
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            raise _problem(f"cannot listen on {settings.host}:{settings.port}: {why}", "choose another") from error
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        announce(f"http://{host}:{runner.addresses[0][1]}{settings.path}")
        await stop.wait()
        await site.stop()
        await bridge.close()
    finally:
        await runner.cleanup()


def _problem(message: str, hint: str) -> ConfigError:
    return ConfigError([Problem("mcp stdio", 0, 0, message, hint)])
