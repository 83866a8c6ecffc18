"""Names resolved and looked at before anything connects."""

from __future__ import annotations

import asyncio
import logging
import socket

from gateway.errors import UpstreamError
from gateway.model import Origin, Reason
from gateway.model.egress import Egress

MOST = 8
"""Addresses of one name that are tried, in the order that the resolver gives (RFC 6724)."""

log = logging.getLogger("toolgate.egress")


class Addresses:
    """The addresses of one tool's host. They are looked up again for each connection, but not twice at a time: lookups
    take threads, of which there are few, and a name that hangs must not take all of them."""

    def __init__(self, origin: Origin, egress: Egress) -> None:
        self._origin, self._egress = origin, egress
        self._looking: asyncio.Task[list[str] | None] | None = None

    async def allowed(self) -> list[str]:
        """Where to connect to. A name of which one address is denied is not trusted in any.

        Raises:
            UpstreamError: EGRESS_DENIED, 403: an address is in a range that is denied. The agent learns no address.
            OSError: the name cannot be resolved.
        """
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(self._look())
            self._looking.add_done_callback(_seen)
        addresses = await asyncio.shield(self._looking)
        if addresses is None:
            what = f"{self._origin.host} leads to an address that connections may not go to"
            raise UpstreamError(Reason.EGRESS_DENIED, 403, what)
        return addresses

    async def _look(self) -> list[str] | None:
        """The addresses of the name; None where one is denied."""
        origin = self._origin
        found = await asyncio.get_running_loop().getaddrinfo(
            origin.host, origin.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )
        addresses = list(dict.fromkeys([str(entry[4][0]) for entry in found]))
        for address in addresses:
            if refused := self._egress.refusal(origin.host, address):
                log.error("not connected to %s: %s (egress)", origin.authority, refused)
                return None
        return addresses[:MOST]


def _seen(task: asyncio.Task[list[str] | None]) -> None:
    """Nobody may be waiting any more for what the lookup comes to."""
    if not task.cancelled():
        task.exception()


__all__ = ["Addresses"]
