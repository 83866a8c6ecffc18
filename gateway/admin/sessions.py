"""Sessions of people who have logged in with a browser: a cookie instead of a token with each request.

The cookie says who it is, which roles they have and until when, under a MAC (HMAC-SHA256, RFC 2104): nothing has to be
remembered but which sessions were ended before their time.

A browser sends cookies to every port of a host (RFC 6265, 8.5), so another server there may come to see it. It opens
what reads, and no more: a change needs the session's key too, which the browser keeps where only pages of this very
origin reach it, and sends to nobody by itself.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import sha256

import msgspec
from msgspec import Struct

from gateway.admin.principals import Principal

COOKIE = "toolgate_console"
SECURE_COOKIE = f"__Host-{COOKIE}"
"""Its name over TLS: no other host, no path, and no page without TLS can have set it (RFC 6265bis, 4.1.3.2)."""

STATE_COOKIE = "toolgate_login"
"""What a browser keeps while somebody is at an identity provider."""

MOST_ENDED = 10_000
LONGEST = 4_000
"""Characters of a cookie."""


class Session(Struct, frozen=True, array_like=True):
    """``stamp`` says by which configuration or token it was begun; ``until`` is in seconds since the epoch."""

    ident: str
    name: str
    roles: tuple[str, ...]
    source: str
    stamp: str
    until: int

    @property
    def principal(self) -> Principal:
        """Whose it is, as of when it was begun."""
        return Principal(self.name, frozenset(self.roles), f"session ({self.source})")


class Sessions:
    """All that were begun under one key. ``life`` is in seconds, ``wall`` the time since the epoch."""

    def __init__(self, key: bytes, life: float, wall: Callable[[], float]) -> None:
        self._key = hmac.new(key, b"toolgate sessions", sha256).digest()
        self.life, self._wall = life, wall
        self._ended: OrderedDict[str, int] = OrderedDict()

    def new(self, principal: Principal, stamp: str) -> str:
        """The value of a new session's cookie."""
        until = int(self._wall() + self.life)
        roles = tuple(sorted(principal.roles))
        session = Session(os.urandom(12).hex(), principal.id, roles, principal.source, stamp, until)
        body = base64.urlsafe_b64encode(msgspec.json.encode(session)).rstrip(b"=").decode()
        return f"{body}.{self.mac('cookie', body)}"

    def read(self, cookie: str) -> Session | None:
        """The session of a cookie, where it is genuine and lasts."""
        body, _, mac = cookie.partition(".")
        if len(cookie) > LONGEST or not cookie.isascii() or not hmac.compare_digest(mac, self.mac("cookie", body)):
            return None
        try:
            session = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=Session)
        except (binascii.Error, msgspec.DecodeError):
            return None
        lasts = self._wall() < session.until and session.ident not in self._ended
        return session if lasts else None

    def end(self, session: Session) -> None:
        """It is over before its time."""
        self._ended[session.ident] = session.until
        while self._ended and (len(self._ended) > MOST_ENDED or next(iter(self._ended.values())) < self._wall()):
            self._ended.popitem(last=False)

    def remember(self, before: Sessions) -> None:
        """What was ended under another configuration stays so under this one."""
        self._ended = before._ended

    def key(self, session: Session) -> str:
        """What a change has to show beside the cookie."""
        return self.mac("change", session.ident)

    def mac(self, purpose: str, text: str) -> str:
        """A MAC that is good for this purpose alone, in hex."""
        return hmac.new(self._key, f"{purpose} {text}".encode("utf-8", "surrogateescape"), sha256).hexdigest()

    def secret(self, purpose: str, text: str) -> str:
        """The same as 43 characters of base64url."""
        return base64.urlsafe_b64encode(bytes.fromhex(self.mac(purpose, text))).rstrip(b"=").decode()


def cookie_of(cookies: Mapping[str, str], *, tls: bool) -> str:
    """The session's cookie among those of a request. Over TLS only the name will do that needs TLS to be set; without,
    it may have been set through a proxy that has TLS."""
    return cookies.get(SECURE_COOKIE, "") or ("" if tls else cookies.get(COOKIE, ""))
