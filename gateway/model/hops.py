"""Fields of a head that end at the next hop (RFC 9110, 7.6.1)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product


def spellings(name: bytes) -> Iterator[bytes]:
    """The name as servers may read it: CGI and its heirs (WSGI, PHP) take "_" for "-"."""
    words = name.split(b"-")
    for joints in product((b"-", b"_"), repeat=len(words) - 1):
        yield b"".join([part for pair in zip(words, (*joints, b""), strict=True) for part in pair])


HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Fields about this connection only, lower-cased."""

FORWARDED = frozenset(
    spelt
    for name in (
        b"forwarded",
        b"x-forwarded-client-cert",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-real-ip",
    )
    for spelt in spellings(name)
)
"""Fields about the hops before: the agent's word on them is not believed, lower-cased."""

OURS = frozenset(
    {
        b"agent-why",
        b"x-toolgate-prompt",
        b"x-toolgate-prompt-signature",
        b"x-toolgate-task",
        b"x-toolgate-task-signature",
    }
)
"""Fields that are for the gateway, and end here: what the user said is no tool's business. Lower-cased."""


_FOR_ALL = frozenset(
    b"close host content-length content-type cache-control range if-match if-none-match if-modified-since "
    b"if-unmodified-since if-range".split()
)
"""Options that take no field away. With its condition gone, a write that looked guarded would be made blindly."""


def connection_options(value: bytes) -> frozenset[bytes]:
    """The lower-cased field names that a Connection field names as hop-by-hop.

    ``Content-Length``, ``If-Match`` and the like are not options and stay: naming them is a known way to make a proxy
    drop a field that a server needs (RFC 9110, 7.6.1: "MUST NOT send a connection option corresponding to a field
    intended for all recipients").
    """
    options = {option.strip().lower() for option in value.split(b",")}
    return frozenset(options - _FOR_ALL - {b""})
