"""Which addresses connections to tools may go to."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from msgspec import Struct

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

NEVER: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "100.100.100.200/32",
        "169.254.0.0/16",
        "192.0.0.192/32",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "fd00:ec2::254/128",
        "fd20:ce::254/128",
        "fe80::/10",
        "ff00::/8",
    )
)
"""Of this network, link-local (where clouds keep credentials), multicast, reserved (RFC 6890), and where clouds answer
with credentials outside of link-local (Alibaba, AWS and GCP by IPv6, Oracle)."""
_INSIDE: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "::1/128",
        "64:ff9b:1::/48",
        "fc00::/7",
        "fec0::/10",
    )
)
"""Private (RFC 1918, RFC 4193), shared (RFC 6598), loopback, and what else leads nowhere on the Internet (RFC 6890)."""
_TRANSLATED = (ip_network("64:ff9b::/96"), ip_network("::ffff:0:0:0/96"))
"""IPv4 in the last 32 bits (RFC 6052, RFC 2765)."""
_INSIDE_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home.arpa", "svc", "test", "example", "invalid")
"""Names that end with one of these exist only inside (RFC 6761, RFC 6762, RFC 8375, Kubernetes)."""
_WRITTEN = ("nip.io", "sslip.io", "xip.io", "traefik.me", "localtest.me", "lvh.me", "vcap.me", "1u.ms", "rbndr.us")
"""Names that end with one of these are public and lead to the address that is written in them, or to loopback."""


class Egress(Struct, frozen=True):
    """``private``: allow, deny, or auto (where the tool's own URL says so: an address of that kind, or a name that
    exists only inside). ``allow`` wins over everything, ``deny`` over the rest."""

    private: str = "auto"
    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()
    tunnels: str = "named"
    """What CONNECT may carry. ``named``: TLS whose ClientHello names the host in clear; ``ech``: the same, though
    another one may be hidden in it; ``any``: bytes of any kind."""

    def refusal(self, host: str, address: str) -> str:
        """Why a connection for ``host`` may not go to ``address`` (which it resolves to); empty where it may."""
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return f"{address} is no address"
        for one in embedded(found):
            if _within(one, self.allow):
                continue
            if _within(one, self.deny):
                return f"{address} is in a denied range"
            if _within(one, NEVER):
                return f"{address} is link-local, multicast or reserved"
            if _within(one, _INSIDE) and not self._may_be_inside(host):
                return f"{address} is private, and {host} is not"
        return ""

    def _may_be_inside(self, host: str) -> bool:
        if self.private != "auto":
            return self.private == "allow"
        return is_inside(host)


def is_inside(host: str) -> bool:
    """Whether a host of a URL says itself that it is inside: a private address, or a name that exists only there."""
    name = host.rstrip(".").lower()
    try:
        return any(_within(one, _INSIDE) for one in embedded(ip_address(name)))
    except ValueError:
        pass
    if "." not in name:
        return True
    return name.endswith(tuple(f".{suffix}" for suffix in _INSIDE_NAMES)) or ".svc." in f"{name}."


def host_class(host: str) -> str:
    """What a host is by what is written: ``reserved`` (link-local, where clouds keep credentials, multicast),
    ``private`` (loopback too), ``inside`` (a name that exists only there, or has an address in it) or ``public``."""
    name = host.rstrip(".").lower()
    try:
        found = embedded(ip_address(name))
    except ValueError:
        return "inside" if is_inside(name) or f".{name}".endswith(tuple(f".{zone}" for zone in _WRITTEN)) else "public"
    if any(_within(one, NEVER) for one in found):
        return "reserved"
    return "private" if any(_within(one, _INSIDE) for one in found) else "public"


def embedded(address: Address) -> tuple[Address, ...]:
    """The address, and the IPv4 address that it leads to where it is a form of one (mapped, compatible, NAT64, 6to4,
    Teredo)."""
    if isinstance(address, IPv4Address):
        return (address,)
    inner: list[Address] = []
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if _within(address, _TRANSLATED):
        inner.append(IPv4Address(int(address) & 0xFFFFFFFF))
    if address.sixtofour is not None:
        inner.append(address.sixtofour)
    if address.teredo is not None:
        inner.append(address.teredo[1])
    if int(address) >> 32 == 0 and int(address) > 1:
        inner.append(IPv4Address(int(address)))
    return (address, *inner)


def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
