"""The token that tells from which call another one comes.

A tool gets it with a call, as a member of W3C Baggage, and passes it on with the calls that it makes while it serves
that one. It is signed, so that only what this gateway once wrote is believed; who holds one can only add calls to the
tree of runs that it names, for a day. It is not secret: it shows the ids of agents and runs.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from binascii import b2a_base64
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from hmac import compare_digest

import msgspec
from msgspec import Struct

MEMBER = b"toolgate.run"
"""The member of ``baggage``."""

LIFETIME = 86_400.0
"""Seconds for which a token is good."""

LONGEST = 2048
"""Bytes of a token. Longer ones are not sent, nor looked at."""

_SKEW = 300.0
"""Seconds by which the clocks of replicas may differ."""

_MAC = 16
"""Bytes of the signature: keyed BLAKE2b (RFC 7693), which costs a fifth of HMAC-SHA256."""

_URL_SAFE = bytes.maketrans(b"+/", b"-_")
"""RFC 4648, 5."""

_TOKEN_VERSION = 2


class Place(Struct, frozen=True, array_like=True):
    """A call in its tree of runs: agent and run at the root, agent and run of the call, how many calls are above it,
    and the id of its span."""

    root: tuple[str, str]
    led: tuple[str, str]
    depth: int
    span: str = ""


class _Body(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    issued: int
    """Seconds since the epoch."""
    place: Place


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Body).decode


def token_of(place: Place, key: bytes, now: float) -> bytes:
    """The token for this place, or nothing where it would be too long. ``now`` is in seconds since the epoch."""
    body = _encode(_Body(_TOKEN_VERSION, int(now), place))
    token = b2a_base64(body + _mac(key, body), newline=False).translate(_URL_SAFE, b"=")
    return token if len(token) <= LONGEST else b""


def place_of(token: bytes, keys: Sequence[bytes], now: float) -> Place | None:
    """The place that a token names; None where none of the keys signed it, or it is too old."""
    if len(token) > LONGEST:
        return None
    try:
        signed = urlsafe_b64decode(token + b"=" * (-len(token) % 4))
    except ValueError:
        return None
    body, mac = signed[:-_MAC], signed[-_MAC:]
    if not any(compare_digest(mac, _mac(key, body)) for key in keys):
        return None
    try:
        read = _decode(body)
    except msgspec.DecodeError:
        return None
    if read.version != _TOKEN_VERSION or not -_SKEW <= now - read.issued <= LIFETIME:
        return None
    return read.place


def _mac(key: bytes, body: bytes) -> bytes:
    hashed = _keyed(key).copy()
    hashed.update(body)
    return hashed.digest()


@lru_cache(8)
def _keyed(key: bytes) -> blake2b:
    """The hash that has taken in the key; of a longer one than it can, the digest of that."""
    return blake2b(key=key if len(key) <= blake2b.MAX_KEY_SIZE else blake2b(key).digest(), digest_size=_MAC)
