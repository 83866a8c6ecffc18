"""Sessions of people who have shown the admin token in a browser: a cookie instead of the token with each request.

The cookie says until when it is good, under a MAC (HMAC-SHA256, RFC 2104) whose key is the token: it outlives a
restart, not a change of the token, and nothing has to be remembered.
"""

from __future__ import annotations

import hmac
import time
from hashlib import sha256

COOKIE = "toolgate_console"
LIFE = 12 * 3600
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

    def _signed(self, until: int) -> str:
        return f"{until}.{hmac.new(self._token, f'console {until}'.encode(), sha256).hexdigest()}"
