"""``cidr()``, ``domain()`` and ``host_class()``: where something lives on the network."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from gateway.model import egress
from gateway.policy.functions_text import FunctionError, bounded

URL_CAP = 8192
ADDRESS_CAP = 64
_MAPPED = IPv6Network("::ffff:0:0/96")


def cidr(ip: str, network: str) -> bool:
    """Whether an address lies in a range (RFC 4632), both IPv4 or both IPv6; an IPv4-mapped IPv6 address
    (``::ffff:10.0.0.1``) is the IPv4 address that it stands for.

    Raises:
        FunctionError: the first is no address, or has a zone; the second is no range.
    """
    inside = check_range(network)
    address = _address(ip)
    return address.version == inside.version and address in inside


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        address = ip_address(bounded(text, ADDRESS_CAP))
    except ValueError as error:
        if isinstance(error, FunctionError):
            raise
        raise FunctionError(f"{text!a} is no IP address") from None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise FunctionError(f"{text!a} has a zone, which means something on one host only")
        return address.ipv4_mapped or address
    return address


@lru_cache(maxsize=1024)
def check_range(text: str) -> IPv4Network | IPv6Network:
    """The range that a text is. Raises FunctionError; see ``cidr``."""
    if "%" in text:
        raise FunctionError(f"{bounded(text, ADDRESS_CAP)!a} has a zone, which means something on one host only")
    try:
        network = ip_network(bounded(text, ADDRESS_CAP))
    except ValueError as error:
        if isinstance(error, FunctionError):
            raise
        try:
            hint = f"write {ip_network(text, strict=False)}, or the address alone"
        except ValueError:
            hint = "write such as 10.0.0.0/8 or fd00::/8"
        raise FunctionError(f"{text!a} is no range of addresses: {hint}") from None
    if isinstance(network, IPv6Network) and network.prefixlen >= 96 and network.subnet_of(_MAPPED):
        mapped = network.network_address.ipv4_mapped
        return IPv4Network((int(mapped or 0), network.prefixlen - 96))
    return network


# An authority ends at the first of / ? # (RFC 3986, 3.2); WHATWG's parser and browsers end it at a backslash too.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([\s\S]*)")
_USERINFO = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*")
_HOST_PORT = re.compile(r"(\[[^\[\]]*\]|[^\[\]:]*)(?::([0-9]*))?")
_NAME = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def domain(url: str) -> str:
    """The host that a client would connect to, in lower case, without port and brackets; an IPv4-mapped IPv6 address as
    IPv4. Clients are those that follow RFC 3986 and those that follow WHATWG's URL Standard: where these, or older
    ones, would differ, there is no host but an error.

    Raises:
        FunctionError: it has no ``scheme://host``; control characters; a backslash, space, percent sign or anything
            beyond ASCII in the host (write ``xn--``); two ``@``; an IPv4 address in other than dotted decimal form; a
            zone; a port that is none.
    """
    if _CONTROL.search(bounded(url, URL_CAP)):
        raise FunctionError("a control character in the URL, which some clients drop")
    found = _URL.fullmatch(url)
    if found is None:
        raise FunctionError("no absolute URL (scheme://host)")
    authority, rest = found[2], found[3]
    if "\\" in authority:
        raise FunctionError("a backslash before the path, which some clients read as /")
    if rest[:1] in ("?", "#") and "@" in rest:
        raise FunctionError("an @ after ? or # without a path, where some clients look for the host")
    userinfo, at, host_port = authority.rpartition("@")
    if at and not _USERINFO.fullmatch(userinfo):
        raise FunctionError("the part before @ can be read in more than one way")
    split = _HOST_PORT.fullmatch(host_port)
    if split is None or (split[2] and (len(split[2]) > 5 or int(split[2]) > 65535)):
        raise FunctionError("host and port can be read in more than one way")
    return _host(split[1])


def host_class(url: str) -> str:
    """Where ``domain(url)`` is, by what is written, not by what it resolves to: ``public``, ``private`` (loopback
    too), ``reserved`` (link-local, where clouds keep credentials, multicast) or ``inside`` (a name that exists only in
    a network, or stands for the address in it).

    Raises:
        FunctionError: as ``domain``.
    """
    return egress.host_class(domain(url))


def _host(text: str) -> str:
    if text.startswith("["):
        try:
            address = IPv6Address(text[1:-1])
        except AddressValueError:
            raise FunctionError(f"{text[:ADDRESS_CAP]!a} is no IPv6 address") from None
        if address.scope_id is not None:
            raise FunctionError("the address has a zone, which means something on one host only")
        return str(address.ipv4_mapped or address)
    name = text.removesuffix(".")
    if not name.isascii():
        raise FunctionError("a name beyond ASCII, which clients convert differently; it must be written as xn--")
    name = name.lower()
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise FunctionError(f"{text[:ADDRESS_CAP]!a} is no host")
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        try:
            return str(IPv4Address(name))
        except AddressValueError:
            raise FunctionError(f"{text[:ADDRESS_CAP]!a} is an address to some clients, a name to others") from None
    return name
