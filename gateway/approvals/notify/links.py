"""Links and buttons in messages: each a token that says all of what it is good for, under a MAC. Quiet.

A token names one approval with the arguments that were shown, one verb, the channel, for whom it was written, and its
end (HMAC-SHA256, RFC 2104). It is good for nothing else, whoever has it; whether it has been used is not known here.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

import msgspec
from msgspec import Struct

LONGEST = 1024
"""Characters of a token."""
_PURPOSE = b"toolgate approval link 1\0"
_MAC = 32


class BadLink(ValueError):  # noqa: N818 - a finding
    """No token of ours, or not any more. The text says which, for a person."""


class Link(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a token says."""

    approval: str
    edit: str
    """The arguments that were shown (``verdicts.edit_of``); empty for the call's own."""
    verb: str
    """approve or deny."""
    channel: str
    recipient: str
    """For whom it was written, as the channel knows them; empty for whoever sees it, who must say who they are."""
    until: int
    """Seconds since the epoch."""


class Links:
    """Writes and reads tokens."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def rekey(self, key: bytes) -> None:
        """Sign with this from now on; what was signed with another is void."""
        self._key = key

    def sign(self, link: Link) -> str:
        """The token."""
        said = msgspec.json.encode(link)
        return urlsafe_b64encode(self._mac(said) + said).rstrip(b"=").decode()

    def read(self, token: str, now: float) -> Link:
        """What a token says. ``now`` is in seconds since the epoch.

        Raises:
            BadLink: it is not ours, or its time is over.
        """
        data = _decoded(token)
        mac, said = data[:_MAC], data[_MAC:]
        if not hmac.compare_digest(mac, self._mac(said)):
            raise BadLink("this link was not made here, or the key that signs links has changed")
        link = msgspec.json.decode(said, type=Link)
        if now >= link.until:
            raise BadLink("this link is over: nobody can decide by it any more")
        return link

    def _mac(self, said: bytes) -> bytes:
        return hmac.new(self._key, _PURPOSE + said, sha256).digest()


def _decoded(token: str) -> bytes:
    """The token's bytes; nothing that any MAC fits where it is none."""
    if not 0 < len(token) <= LONGEST:
        return b""
    try:
        data = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError:
        return b""
    # base64 may be written in more ways than one; ours is the only one that counts.
    return data if urlsafe_b64encode(data).rstrip(b"=").decode() == token else b""


def digest_of(token: str) -> str:
    """What a token is remembered by."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()[:32]
