"""Small questions over HTTP to whoever vouches for others: bounded in bytes and time, no redirects, no proxies of the
environment, TLS verified."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp

from gateway.config.authorities import believing
from gateway.errors import ToolgateError

PATIENCE = 5.0
"""Seconds for an answer."""
MOST_BYTES = 1 << 20
"""Of an answer."""


class Unavailable(ToolgateError):  # noqa: N818 - says how it stands
    """Whoever would have to be asked does not answer, or not as it should; the text says why, and holds no secret."""


class Asker:
    """Asks. ``ca_file`` names the authorities to trust instead of the system's."""

    def __init__(self, ca_file: str | None = None) -> None:
        self._ca_file = ca_file
        self._session: aiohttp.ClientSession | None = None

    async def ask(
        self,
        url: str,
        *,
        body: bytes | Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        accept: tuple[int, ...] = (200,),
    ) -> bytes:
        """What ``url`` answers to GET, or to POST where there is a ``body`` (a mapping is sent as a form).

        Raises:
            Unavailable: nothing usable.
        """
        method = "GET" if body is None else "POST"
        try:
            async with self._opened().request(
                method, url, data=body, headers=fields, allow_redirects=False
            ) as response:
                if response.status not in accept:
                    raise Unavailable(f"{url} answers with status {response.status}")
                data = await response.content.read(MOST_BYTES)
                while len(data) < MOST_BYTES and (more := await response.content.read(MOST_BYTES - len(data))):
                    data += more
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise Unavailable(f"{url} does not answer: {str(error) or type(error).__name__}") from None
        if len(data) >= MOST_BYTES:
            raise Unavailable(f"{url} answers with more than {MOST_BYTES} bytes")
        return data

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._tls(), limit=8)
            patience = aiohttp.ClientTimeout(total=PATIENCE)
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=patience, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
            )
        return self._session

    def _tls(self) -> Any:
        if self._ca_file is None:
            return True
        return believing(file=self._ca_file)

    async def close(self) -> None:
        """End what is open."""
        if self._session is not None:
            session, self._session = self._session, None
            await asyncio.shield(session.close())
