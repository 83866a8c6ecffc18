"""HTTP to the receivers of messages: bounded in time and size, never led elsewhere, and clear about what may be tried
again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from msgspec import Struct

from gateway.config.schema_admin import is_loopback

TIMEOUT = 10.0
"""Seconds for one request, all of it."""
MOST_ANSWER = 64 * 1024
"""Bytes of an answer that are read."""
_AGAIN = frozenset({408, 425, 429})


class Undelivered(Exception):  # noqa: N818 - an event
    """A message was not taken. The text says why and names no address, which may be a secret."""

    def __init__(self, why: str, *, again: bool, wait: float = 0.0) -> None:
        """``again``: it may be taken later, after ``wait`` seconds at the earliest."""
        super().__init__(why)
        self.again, self.wait = again, wait


class Answer(Struct, frozen=True):
    """What a receiver said to a message that it took."""

    status: int
    body: bytes


class Poster:
    """Sends bodies to addresses. Made on the loop; ``close`` once."""

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: bytes, fields: Mapping[str, str]) -> Answer:
        """POST it, through the proxy that the environment names (HTTPS_PROXY, HTTP_PROXY, NO_PROXY), if any; the answer
        where its status is 2xx.

        Raises:
            Undelivered: it is not, or there is none in time.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar())
        try:
            async with self._session.post(
                url, data=body, headers=fields, allow_redirects=False, proxy=_proxy_of(url)
            ) as answer:
                read = await answer.content.read(MOST_ANSWER)
                if 200 <= answer.status < 300:
                    return Answer(answer.status, read)
                again = answer.status in _AGAIN or answer.status >= 500
                wait = _seconds(answer.headers.get("Retry-After", ""))
                raise Undelivered(f"the receiver answered {answer.status}", again=again, wait=wait)
        except aiohttp.InvalidURL:
            raise Undelivered("its address cannot be used", again=False) from None
        except (aiohttp.ClientError, OSError) as error:
            raise Undelivered(f"it cannot be reached ({type(error).__name__})", again=True) from None

    async def close(self) -> None:
        """End its connections."""
        if self._session is not None:
            await self._session.close()


def _proxy_of(url: str) -> str | None:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return getproxies().get(parts.scheme)


def _seconds(text: str) -> float:
    """Of a Retry-After in seconds; 0 for a date, which nobody sends here."""
    try:
        seconds = float(text)
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0
