"""Protection against DNS rebinding: a web page must not reach a tool through a gateway on the user's machine.

Servers check Host and Origin themselves, but the gateway rewrites Host, so that it must check them in their place
(MCP, Streamable HTTP, "Security Warning").
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from gateway.errors import Refused
from gateway.model import Reason, Request

_MOST_KNOWN = 64


class Origins:
    """``allowed``: names of hosts, with or without a port, that are as good as the loopback names."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = frozenset(host.lower() for host in allowed)
        self._good_hosts: set[bytes] = set()
        self._good_origins: set[bytes] = set()

    def check(self, request: Request) -> None:
        """Check where a request comes from.

        Host is checked only where the peer is on this machine: elsewhere the name proves nothing. A request in absolute
        form (to a proxy) is one that pages cannot make.

        Raises:
            Refused: 403, FOREIGN_ORIGIN.
        """
        origin = request.lookup.get(b"origin")
        if origin is not None and origin not in self._good_origins:
            _, found, authority = origin.decode("latin-1").partition("://")
            self._check("Origin", origin, authority if found else "", self._good_origins)
        if request.loopback and request.target[:1] == "/":
            host = request.lookup.get(b"host", b"")
            if host not in self._good_hosts:
                self._check("Host", host, host.decode("latin-1"), self._good_hosts)

    def _check(self, field: str, value: bytes, authority: str, good: set[bytes]) -> None:
        authority = authority.lower()
        name = _name(authority)
        if not (_loopback(name) or name in self._allowed or authority in self._allowed):
            raise Refused(
                Reason.FOREIGN_ORIGIN,
                403,
                f"{field} {value[:128].decode('latin-1')!r} is neither a loopback name nor an allowed host",
                "address the gateway as localhost, or add the host to allowed_hosts",
            )
        if len(good) < _MOST_KNOWN:
            good.add(value)


def _name(authority: str) -> str:
    """The host of ``host``, ``host:port`` or ``[address]:port``, without brackets."""
    name, colon, port = authority.rpartition(":")
    if not (colon and port.isdecimal() and port.isascii()) or authority[-1:] == "]":
        name = authority
    return name[1:-1] if name[:1] == "[" and name[-1:] == "]" else name


def _loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
