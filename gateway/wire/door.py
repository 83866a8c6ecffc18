"""Where a tunnel by CONNECT begins: only what is for the host that was asked for goes through."""

from __future__ import annotations

from ipaddress import ip_address

from gateway.model import Tool
from gateway.wire.client_hello import client_hello

DENIED = b"\x15\x03\x03\x00\x02\x02\x31"
"""A fatal alert of TLS, ``access_denied`` (RFC 8446, 6.2): what a client whose ClientHello is refused is told."""


class Door:
    """Gathers the agent's first bytes until it is known for which host they are; nothing goes through before."""

    __slots__ = ("_encrypted", "_first", "_names")

    def __init__(self, names: frozenset[str], *, encrypted: bool) -> None:
        """``names``: the hosts, one of which must be named; the empty one where none may be. ``encrypted``: there may
        be another ClientHello in it, which nobody can read."""
        self._names, self._encrypted = names, encrypted
        self._first = b""

    def admit(self, data: bytes) -> bytes:
        """All that has come, once it may go through; empty until then.

        Raises:
            ValueError: it may not.
        """
        self._first += data
        hello = client_hello(self._first)
        if hello is None:
            return b""
        if hello.server_name not in self._names:
            named = f"{hello.server_name[:128]!r}" if hello.server_name else "no host"
            raise ValueError(f"the ClientHello names {named}, not the one that CONNECT asked for")
        if hello.encrypted and not self._encrypted:
            raise ValueError("the ClientHello may hide another one (ECH)")
        return self._first


def door_of(tool: Tool) -> Door | None:
    """What a tunnel to a tool is held to; None where bytes of any kind may pass."""
    if tool.egress.tunnels == "any":
        return None
    names = {tool.origin.host.lower()}
    if tool.server_name:
        names.add(tool.server_name.lower())
    if _is_address(tool.origin.host):
        names.add("")  # addresses are never named (RFC 6066, 3)
    return Door(frozenset(names), encrypted=tool.egress.tunnels == "ech")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


__all__ = ["DENIED", "Door", "door_of"]
