"""A part of the admin API over real sockets."""

from __future__ import annotations

from contextlib import asynccontextmanager

import aiohttp

from gateway.admin.api import make_api
from gateway.admin.gate import Gate
from gateway.admin.server import start
from gateway.config.fields import Address
from gateway.observe.exposition import Gauges, registry_of
from gateway.observe.metrics import Metrics

CHANGE = {"X-Toolgate-Admin": "1"}


async def stored():
    """The state has it."""
    return True


@asynccontextmanager
async def session_of(add):
    """A client session at an API that ``add`` adds its routes to."""
    api = make_api(Gate(Address("127.0.0.1", 9090), None))
    add(api)
    runner = await start(("127.0.0.1", 0), dict, registry_of(Metrics(), Gauges()), api)
    host, port = runner.addresses[0][:2]
    try:
        async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
            yield session
    finally:
        await runner.cleanup()
