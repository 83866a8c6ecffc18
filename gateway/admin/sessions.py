"""Sessions of people who have shown the admin token in a browser: a cookie instead of the token with each request.

The cookie says until when it is good, under a MAC (HMAC-SHA256, RFC 2104) whose key is the token: it outlives a
restart, not a change of the token, and nothing has to be remembered.

A browser sends cookies to every port of a host (RFC 6265, 8.5), so another server there may come to see it. It opens
what reads, and no more: a change needs the session's key too, which the browser keeps where only pages of this very
origin reach it, and sends to nobody by itself.
"""

from __future__ import annotations

import hmac
import time
from hashlib import sha256

COOKIE = "toolgate_console"
LIFE = 4 * 3600
"""Seconds that a session lasts."""


class Sessions:
    """For one token."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def opens(self, token: str) -> bool:
        """Whether this is the token."""
        return hmac.compare_digest(token.encode("utf-8", "surrogateescape"), self._token)

    def new(self) -> str:
        """The value of a new session's cookie."""
        return self._signed(int(time.time()) + LIFE)

    def valid(self, cookie: str) -> bool:
        """Whether the cookie is of a session that lasts."""
        until = cookie.partition(".")[0]
        if not (until.isascii() and until.isdecimal() and len(until) <= 12):
            return False
        genuine = hmac.compare_digest(cookie.encode("utf-8", "surrogateescape"), self._signed(int(until)).encode())
        return genuine and time.time() < int(until)

    def key(self, cookie: str) -> str:
        """What a change has to show beside the cookie, which is a valid one."""
        return self._mac(f"change {cookie.partition('.')[0]}")

    def _signed(self, until: int) -> str:
        return f"{until}.{self._mac(f'console {until}')}"

    def _mac(self, text: str) -> str:
        return hmac.new(self._token, text.encode(), sha256).hexdigest()
