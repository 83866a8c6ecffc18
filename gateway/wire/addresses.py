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


async def allowed_addresses(origin: Origin, egress: Egress) -> list[str]:
    """The addresses of a tool's host. A name of which one address may not be connected to is not trusted in any.

    Raises:
        UpstreamError: EGRESS_DENIED, 403: an address is in a range that is denied. The agent learns no address.
        OSError: the name cannot be resolved.
    """
    found = await asyncio.get_running_loop().getaddrinfo(
        origin.host, origin.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
    )
    addresses = list(dict.fromkeys([str(entry[4][0]) for entry in found]))[:MOST]
    for address in addresses:
        if refused := egress.refusal(origin.host, address):
            log.error("not connected to %s:%s: %s (egress)", origin.host, origin.port, refused)
            what = f"{origin.host} leads to an address that connections may not go to"
            raise UpstreamError(Reason.EGRESS_DENIED, 403, what)
    return addresses
