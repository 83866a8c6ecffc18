"""The rules that lead what the processes of a network namespace say to the gateway, as a script for ``nft``.

A packet passes ``lead`` when its connection begins, and ``hold`` each time. Whatever is not named in ``hold`` is
refused, so that a protocol nobody thought of is no way out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple

TABLE = "toolgate"
REMOVAL = f"table inet {TABLE}\ndelete table inet {TABLE}\n"
"""Removes the rules, also where there are none (the first line makes what the second one deletes)."""

_OURS = 0x00400000
"""The bit of a connection's mark by which it stays the gateway's when it is closed: what the kernel still sends for it
is nobody's any more."""
_NEIGHBOURS = "nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report"
"""What the kernel itself says for IPv6 to work (RFC 4861, RFC 3810)."""


class Direct(NamedTuple):
    """Where processes may connect to past the gateway. A port of 0 is all."""

    network: IPv4Network | IPv6Network
    port: int

    @property
    def match(self) -> str:
        """As an expression of ``nft``; TCP only where a port is named."""
        family = "ip" if self.network.version == 4 else "ip6"
        return f"{family} daddr {self.network}" + (f" tcp dport {self.port}" if self.port else "")


def read_direct(text: str) -> Direct:
    """``ADDRESS[/BITS][:PORT]``, IPv6 with a port in brackets.

    Raises:
        ValueError: it is none.
    """
    where, port = text, 0
    if text[:1] == "[":
        where, _, behind = text[1:].partition("]")
        if behind[:1] == "/":
            bits, _, behind = behind.partition(":")
            where, behind = where + bits, behind and f":{behind}"
        port = _port(behind[1:]) if behind else 0
    elif text.count(":") == 1:
        where, _, written = text.partition(":")
        port = _port(written)
    return Direct(ip_network(where), port)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 65536):
        raise ValueError(f"{text!r} is no port")
    return int(text)


def nameservers(resolv_conf: str) -> list[str]:
    """The addresses in the text of a resolv.conf, without those that are no addresses."""
    found = []
    for line in resolv_conf.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            address = words[1].partition("%")[0]
            try:
                ip_address(address)
            except ValueError:
                continue
            found.append(address)
    return found


def ruleset(uid: int, port: int, resolvers: Iterable[str], direct: Sequence[Direct] = ()) -> str:
    """The script. It takes effect whole or not at all, and replaces the rules of an earlier one.

    ``uid`` is the gateway's, which goes where it wants; ``port`` its ``listen_transparent``; ``resolvers`` are the
    addresses that may be asked for names.
    """
    names = [_asking(address) for address in dict.fromkeys(resolvers)]
    lead = [
        'oif "lo" return comment "what stays on this machine"',
        f'meta skuid {uid} return comment "the gateway"',
        *[f"{match} return" for match in names],
        *[f"{one.match} return" for one in direct],
        f"meta l4proto tcp redirect to :{port}",
    ]
    hold = [
        'oif "lo" accept',
        "ip daddr 127.0.0.0/8 accept",
        "ip6 daddr ::1 accept",
        f"ct direction original ct mark & {_OURS:#x} == {_OURS:#x} accept",
        f"meta skuid {uid} ct direction original ct mark set ct mark | {_OURS:#x} accept",
        f"meta skuid {uid} accept",
        'ct direction reply accept comment "answers to whoever connected from outside"',
        *[f"{match} accept" for match in names],
        *[f"{one.match} accept" for one in direct],
        f"icmpv6 type {{ {_NEIGHBOURS} }} accept",
        'reject with icmpx type admin-prohibited comment "UDP (HTTP/3 too), ICMP, and whatever else there is"',
    ]
    return (
        REMOVAL
        + f"table inet {TABLE} {{\n"
        + _chain("lead", "type nat hook output priority -100; policy accept;", lead)
        + _chain("hold", "type filter hook output priority 0; policy drop;", hold)
        + "}\n"
    )


def _asking(address: str) -> str:
    family = "ip6" if ":" in address else "ip"
    return f"{family} daddr {address} meta l4proto {{ tcp, udp }} th dport 53"


def _chain(name: str, head: str, rules: Iterable[str]) -> str:
    return "".join([f"\tchain {name} {{\n\t\t{head}\n", *[f"\t\t{rule}\n" for rule in rules], "\t}\n"])


__all__ = ["REMOVAL", "TABLE", "Direct", "nameservers", "read_direct", "ruleset"]
