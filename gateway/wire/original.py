"""Where a connection was for before the network of this machine redirected it, and whose it is: the kernel knows."""

from __future__ import annotations

import os
import socket
import struct
from ipaddress import ip_address
from typing import Any

_ORIGINAL_DST = 80
"""``SO_ORIGINAL_DST`` at SOL_IP, ``IP6T_SO_ORIGINAL_DST`` at SOL_IPV6 (linux/netfilter_ipv4.h, netfilter_ipv6/...)."""
_IPV4, _IPV6 = struct.Struct("!2xH4s8x"), struct.Struct("!2xH4x16s4x")
"""Port and address in ``sockaddr_in`` and ``sockaddr_in6``."""

_SOCK_DIAG, _BY_FAMILY, _REQUEST, _ERROR = 4, 20, 1, 2
"""NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, NLMSG_ERROR (linux/sock_diag.h, linux/netlink.h)."""
_HEADER = struct.Struct("=IHHII")
_ANY_STATE, _NO_COOKIE = 0xFFFFFFFF, b"\xff" * 8
_UID_AT = _HEADER.size + 64
"""Of ``idiag_uid`` in the answer (``struct inet_diag_msg``, linux/inet_diag.h)."""

Place = tuple[str, int]
"""An address and a port."""


def original_destination(accepted: Any) -> Place | None:
    """Where an accepted connection was for; None where nothing has redirected it to us.

    ``accepted`` is its socket, as an event loop gives it.
    """
    with socket.fromfd(accepted.fileno(), accepted.family, socket.SOCK_STREAM) as twin:
        layout, level = (_IPV6, socket.IPPROTO_IPV6) if twin.family == socket.AF_INET6 else (_IPV4, socket.IPPROTO_IP)
        try:
            port, address = layout.unpack(twin.getsockopt(level, _ORIGINAL_DST, layout.size))
        except OSError:  # its machine has no connection tracking, or has not tracked this one
            return None
        here = twin.getsockname()
    found = (str(ip_address(address)), port)
    return None if found == (here[0], here[1]) else found


def uid_of(local: Place, remote: Place) -> int | None:
    """Whose the TCP socket of this machine is that goes from ``local`` to ``remote``; None where nobody can tell."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _SOCK_DIAG) as asked:
            asked.settimeout(0.1)  # the kernel answers before ``send`` returns
            asked.send(_question(local, remote))
            answer = asked.recv(4096)
    except OSError:
        return None
    if len(answer) < _UID_AT + 4 or _HEADER.unpack_from(answer)[1] == _ERROR:
        return None
    uid: int = struct.unpack_from("=I", answer, _UID_AT)[0]
    return uid


def is_ours(local: Place, remote: Place) -> bool:
    """Whether this process, or another of its user, has opened the connection from ``local`` to ``remote``."""
    return uid_of(local, remote) == os.getuid()


def _question(local: Place, remote: Place) -> bytes:
    """``struct inet_diag_req_v2`` for one socket."""
    (source, port), (target, target_port) = local, remote
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    sockid = struct.pack("!HH", port, target_port) + _sixteen(source) + _sixteen(target) + bytes(4) + _NO_COOKIE
    body = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 0, _ANY_STATE) + sockid
    return _HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _REQUEST, 1, 0) + body


def _sixteen(address: str) -> bytes:
    return ip_address(address.partition("%")[0]).packed.ljust(16, b"\0")


def written(place: Place) -> str:
    """``address:port``, with brackets around an address of IPv6."""
    address, port = place
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


__all__ = ["Place", "is_ours", "original_destination", "uid_of", "written"]
